"""Drives Chromium over its debugging pipe, for tests of pages."""

import fcntl
import itertools
import json
import os
import select
import shutil
import subprocess
import time

NAMES = ("chromium", "google-chrome-stable", "google-chrome")
FLAGS = (
  "--headless=new",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-dev-shm-usage",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-extensions",
  "--hide-scrollbars",
  "--remote-debugging-pipe",
)
SECONDS = 60


def find() -> str | None:
  """Returns the path of the browser; None if there is none."""
  return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
  """One page of a browser, with its messages and requests.

  Messages of the DevTools protocol end with a zero byte; the browser reads
  them from file 3 and writes to file 4.
  """

  def __init__(self, program: str, profile):
    theirs, self._write = os.pipe()
    self._read, others = os.pipe()
    # Numbers 3 and 4 must stay free.
    theirs, others = (
      fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in (theirs, others)
    )
    script = 'r=$1 w=$2; shift 2; exec "$@" 3<&$r 4>&$w'
    self._process = subprocess.Popen(
      ["bash", "-c", script, "-", str(theirs), str(others), program, *FLAGS]
      + [f"--user-data-dir={profile}", "about:blank"],
      pass_fds=(theirs, others),
      stdout=subprocess.DEVNULL,
      stderr=subprocess.DEVNULL,
    )
    os.close(theirs)
    os.close(others)
    self._buffer, self._numbers = b"", itertools.count(1)
    self._session, self.events = None, []
    (target,) = [
      target
      for target in self.call("Target.getTargets")["targetInfos"]
      if target["type"] == "page"
    ]
    self._session = self.call(
      "Target.attachToTarget", targetId=target["targetId"], flatten=True
    )["sessionId"]
    for domain in ("Page", "Runtime", "Log", "Network"):
      self.call(f"{domain}.enable")

  def call(self, method: str, **params) -> dict:
    """Calls a method of the protocol and returns its result."""
    number = next(self._numbers)
    message = {"id": number, "method": method, "params": params}
    if self._session:
      message["sessionId"] = self._session
    os.write(self._write, json.dumps(message).encode() + b"\0")
    while True:
      found = self._next()
      if found.get("id") != number:
        self.events.append(found)
      elif "error" in found:
        raise RuntimeError(f"{method}: {found['error']}")
      else:
        return found["result"]

  def open(self, url: str, width: int, dark: bool = False, media: str = ""):
    """Opens a page with a width and a colour scheme, and waits for it."""
    self.call(
      "Emulation.setDeviceMetricsOverride",
      width=width,
      height=900,
      deviceScaleFactor=1,
      mobile=False,
    )
    scheme = {
      "name": "prefers-color-scheme",
      "value": "dark" if dark else "light",
    }
    self.call("Emulation.setEmulatedMedia", media=media, features=[scheme])
    self.events.clear()
    self.call("Page.navigate", url=url)
    while not any(
      event.get("method") == "Page.loadEventFired" for event in self.events
    ):
      self.events.append(self._next())

  def run(self, script: str):
    """Returns the value of an expression."""
    found = self.call("Runtime.evaluate", expression=script, returnByValue=True)
    if "exceptionDetails" in found:
      raise RuntimeError(found["exceptionDetails"]["exception"]["description"])
    return found["result"].get("value")

  def complaints(self) -> list[str]:
    """Returns what the page logged and requested since it was opened."""
    found = []
    for event in self.events:
      method, params = event.get("method"), event.get("params", {})
      if method in ("Log.entryAdded", "Runtime.exceptionThrown"):
        found.append(json.dumps(params))
      elif method == "Runtime.consoleAPICalled":
        found.append(json.dumps(params["args"]))
      elif method == "Network.requestWillBeSent":
        url = params["request"]["url"]
        if not url.startswith("data:"):
          found.append(f"request: {url}")
    return found

  def close(self):
    """Ends the browser."""
    try:
      os.write(self._write, b'{"id":0,"method":"Browser.close"}\0')
      self._process.wait(10)
    except (OSError, subprocess.TimeoutExpired):
      self._process.kill()
      self._process.wait()
    os.close(self._write)
    os.close(self._read)

  def _next(self):
    end = time.monotonic() + SECONDS
    while b"\0" not in self._buffer:
      ready, _, _ = select.select(
        [self._read], [], [], max(0, end - time.monotonic())
      )
      piece = os.read(self._read, 1 << 20) if ready else b""
      if not piece:
        raise RuntimeError("the browser does not answer")
      self._buffer += piece
    message, _, self._buffer = self._buffer.partition(b"\0")
    return json.loads(message)
