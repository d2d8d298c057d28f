"""Processes find each other before JAX starts.

JAX ends a process that waits in vain after minutes without a message, with an
abort and a stack of C++. Here all processes first meet at the same address: the
others send their number to process 0, which lets all of them continue at once.
"""

import contextlib
import dataclasses
import re
import selectors
import socket
import sys
import time

from vqvae_jax.errors import ConfigError

_PAUSE = 0.2
_GREETING = "vqvae_jax process {} of {}\n"
_GO = b"go\n"
# Missing processes that a message lists.
_LISTED = 5


def meet(coordinator: str, count: int, index: int, wait: int | float) -> None:
  """Returns once all processes have come.

  Args:
    coordinator: address of process 0, HOST:PORT.
    count: number of processes.
    index: number of this process.
    wait: number of seconds to wait.

  Raises:
    ConfigError: in one line, if the address cannot be used, a process did not
      come in time, or two processes do not fit each other.
  """
  host, port = address(coordinator)
  if count == 1:
    return
  limit = f"{wait / 60:g} minutes" if wait >= 60 else f"{wait:g} seconds"
  others = "the other process" if count == 2 else f"{count - 1} other processes"
  whom = "process 0" if index else others
  print(
    f"process {index}: waiting for {whom} at {coordinator}, up to {limit}",
    file=sys.stderr,
    flush=True,
  )
  meeting = _Meeting(coordinator, count, limit, time.monotonic() + wait)
  if index:
    meeting.come(host, port, index)
  else:
    meeting.gather(port)


def split(coordinator: str) -> tuple[str, int]:
  """Returns host and port of an address, without looking the host up.

  Args:
    coordinator: HOST:PORT, where an IPv6 address stands in brackets.

  Raises:
    ConfigError: if it has another form.
  """
  host, _, port = coordinator.rpartition(":")
  bare = re.fullmatch(r"\[[0-9A-Fa-f:.%]+\]|[^\s:/\[\]]+", host)
  if not (bare and re.fullmatch("[0-9]{1,5}", port) and 0 < int(port) < 2**16):
    raise ConfigError(
      f"--coordinator {coordinator[:100]!r} is not of the form HOST:PORT, such "
      "as 10.0.0.1:1234"
    )
  return host.strip("[]"), int(port)


def address(coordinator: str) -> tuple[str, int]:
  """Returns host and port of an address that exists.

  Raises:
    ConfigError: if it is not HOST:PORT, or the name cannot be looked up.
  """
  host, port = split(coordinator)
  try:
    socket.getaddrinfo(host, port)
  except (OSError, UnicodeError) as error:
    reason = getattr(error, "strerror", None) or "no such name"
    raise ConfigError(
      f"--coordinator {coordinator}: {host} is not known here: {reason}"
    ) from None
  return host, port


@dataclasses.dataclass(frozen=True)
class _Meeting:
  """Where processes meet, how many they are, and until when they wait."""

  coordinator: str
  count: int
  limit: str
  deadline: float

  def error(self, reason):
    return ConfigError(f"--coordinator {self.coordinator}: {reason}")

  def come(self, host, port, index):
    """Sends the number of another process to process 0 and waits for it."""
    reason = "nobody listens there"
    while time.monotonic() < self.deadline:
      try:
        left = max(_PAUSE, self.deadline - time.monotonic())
        with socket.create_connection((host, port), timeout=left) as line:
          line.sendall(_GREETING.format(index, self.count).encode())
          # Process 0 waits as long, and has more to say.
          line.settimeout(left + 2)
          answer = _read_line(line)
      except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        time.sleep(_PAUSE)
        continue
      if answer == _GO:
        return
      if answer.startswith(b"no: "):
        raise self.error(answer[4:].decode(errors="replace").strip())
      if answer:
        raise self.error("another program answers there; choose another port")
      # A process 0 closed the line and ended; another one may come.
      reason = "process 0 went away"
      time.sleep(_PAUSE)
    raise self.error(
      f"process 0 was not reached within {self.limit} ({reason}); start it, or "
      "check the address and the firewall"
    )

  def gather(self, port):
    """Listens as process 0 until all others have come, then lets them go."""
    lines: dict[int, socket.socket] = {}
    with contextlib.ExitStack() as stack:
      try:
        server = stack.enter_context(_listen(port))
      except OSError as error:
        raise self.error(
          f"process 0 cannot listen on port {port}: {error.strerror or error}; "
          "choose another port"
        ) from None
      ready = stack.enter_context(selectors.DefaultSelector())
      ready.register(server, selectors.EVENT_READ)
      while len(lines) < self.count - 1:
        left = self.deadline - time.monotonic()
        if left <= 0:
          self.end(lines.values(), self.missing(lines))
        for key, _ in ready.select(left):
          if key.fileobj is not server:
            # A process sends nothing at this point unless it ends.
            ready.unregister(key.fileobj)
            lines.pop(key.data).close()
            continue
          line = stack.enter_context(server.accept()[0])
          index = self.number(line, lines)
          if index is not None:
            lines[index] = line
            ready.register(line, selectors.EVENT_READ, index)
      for line in lines.values():
        line.sendall(_GO)
      # The others close their lines first, so that JAX can use the port.
      for line in lines.values():
        with contextlib.suppress(OSError):
          line.recv(1)

  def missing(self, lines):
    """Says which processes did not come."""
    absent = sorted({*range(1, self.count)} - set(lines))
    names = [str(index) for index in absent[:_LISTED]]
    if len(absent) > _LISTED:
      names.append("...")
    return (
      f"{len(absent)} of {self.count} processes did not come within "
      f"{self.limit}: {', '.join(names)}"
    )

  def number(self, line, lines):
    """Returns the number that a process sends; None for another program."""
    try:
      line.settimeout(5)
      words = _read_line(line).decode(errors="replace").split()
    except OSError:
      words = []
    if len(words) != 5 or not (words[2].isdecimal() and words[4].isdecimal()):
      line.close()
      return None
    index, count = int(words[2]), int(words[4])
    if count != self.count:
      self.end(
        [*lines.values(), line],
        f"--num-processes is {self.count} in process 0 and {count} in process "
        f"{index}",
      )
    if index in lines or not 0 < index < count:
      self.end(
        [*lines.values(), line], f"two processes have --process-index {index}"
      )
    return index

  def end(self, lines, reason):
    """Sends the reason of the end to all that have come, and raises it."""
    for line in lines:
      with contextlib.suppress(OSError):
        line.sendall(f"no: {reason}\n".encode())
    raise self.error(reason)


def _listen(port):
  """Returns a server on all interfaces, as that of JAX will be."""
  if socket.has_dualstack_ipv6():
    return socket.create_server(
      ("", port), family=socket.AF_INET6, dualstack_ipv6=True
    )
  return socket.create_server(("", port))


def _read_line(line):
  """Reads up to 200 bytes, to the end of a line or of the connection."""
  read = b""
  while not read.endswith(b"\n") and len(read) < 200:
    part = line.recv(200 - len(read))
    if not part:
      break
    read += part
  return read
