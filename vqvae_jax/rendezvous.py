"""Processes find each other before JAX starts.

JAX ends a process that waits in vain with an abort and a stack of C++, after
minutes without a word. Here all of them first meet at the same address: the
others say their number to process 0, which lets all go on at once.
"""

import contextlib
import re
import selectors
import socket
import sys
import time

from vqvae_jax.errors import ConfigError

_PAUSE = 0.2
_GREETING = "vqvae_jax process {} of {}\n"
_GO = b"go\n"


def meet(coordinator: str, count: int, index: int, wait: float):
  """Returns once all processes have come.

  Args:
    coordinator: address of process 0, HOST:PORT.
    count: number of processes.
    index: number of this one.
    wait: seconds to wait.

  Raises:
    ConfigError: in one line, if the address cannot be used, a process did not
      come in time, or two do not fit each other.
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
  deadline = time.monotonic() + wait
  if index:
    _come(host, port, coordinator, count, index, deadline, limit)
  else:
    _gather(port, coordinator, count, deadline, limit)


def split(coordinator: str) -> tuple[str, int]:
  """Returns host and port of an address, without looking the host up.

  Args:
    coordinator: name or address of a host, an IPv6 address in brackets, and a
      port: HOST:PORT.

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


def _come(host, port, coordinator, count, index, deadline, limit):
  """A process other than 0: says its number, and waits for the word."""
  reason = "nobody listens there"
  while time.monotonic() < deadline:
    try:
      left = max(_PAUSE, deadline - time.monotonic())
      with socket.create_connection((host, port), timeout=left) as line:
        line.sendall(_GREETING.format(index, count).encode())
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
      raise ConfigError(
        f"--coordinator {coordinator}: "
        f"{answer[4:].decode(errors='replace').strip()}"
      )
    if answer:
      raise ConfigError(
        f"--coordinator {coordinator}: another program answers there; choose "
        "another port"
      )
    # Closed without a word, by a process 0 that ended: there may be another.
    reason = "process 0 went away"
    time.sleep(_PAUSE)
  raise ConfigError(
    f"--coordinator {coordinator}: process 0 was not reached within {limit} "
    f"({reason}); start it, or check the address and the firewall"
  )


def _gather(port, coordinator, count, deadline, limit):
  """Process 0: listens until all others have come, then gives the word."""
  lines: dict[int, socket.socket] = {}
  with contextlib.ExitStack() as stack:
    try:
      server = stack.enter_context(_listen(port))
    except OSError as error:
      raise ConfigError(
        f"--coordinator {coordinator}: process 0 cannot listen on port {port}: "
        f"{error.strerror or error}; choose another port"
      ) from None
    ready = stack.enter_context(selectors.DefaultSelector())
    ready.register(server, selectors.EVENT_READ)
    while len(lines) < count - 1:
      left = deadline - time.monotonic()
      if left <= 0:
        missing = sorted({*range(1, count)} - set(lines))
        told = ", ".join(map(str, missing[:5])) + ", ..." * (len(missing) > 5)
        _end(
          lines,
          coordinator,
          f"{len(missing)} of {count} processes did not come within {limit}: "
          f"{told}",
        )
      for key, _ in ready.select(left):
        if key.fileobj is not server:
          # Nothing is to be said yet, so it has ended.
          ready.unregister(key.fileobj)
          lines.pop(key.data).close()
          continue
        line = stack.enter_context(server.accept()[0])
        index = _number(line, lines, coordinator, count)
        if index is not None:
          lines[index] = line
          ready.register(line, selectors.EVENT_READ, index)
    for line in lines.values():
      line.sendall(_GO)
    # They hang up first, so that the port is free at once for JAX.
    for line in lines.values():
      with contextlib.suppress(OSError):
        line.recv(1)


def _number(line, lines, coordinator, count):
  """The number that a process says, or None of another program."""
  try:
    line.settimeout(5)
    words = _read_line(line).decode(errors="replace").split()
  except OSError:
    words = []
  if len(words) != 5 or not (words[2].isdecimal() and words[4].isdecimal()):
    line.close()
    return None
  index, their_count = int(words[2]), int(words[4])
  lines = {**lines, None: line}
  if their_count != count:
    _end(
      lines,
      coordinator,
      f"--num-processes is {count} in process 0 and {their_count} in process "
      f"{index}",
    )
  if index in lines or not 0 < index < count:
    _end(lines, coordinator, f"two processes have --process-index {index}")
  return index


def _end(lines, coordinator, reason):
  """Tells all that have come why it is over, and raises the same."""
  for line in lines.values():
    with contextlib.suppress(OSError):
      line.sendall(f"no: {reason}\n".encode())
  raise ConfigError(f"--coordinator {coordinator}: {reason}")


def _listen(port):
  """A server on all interfaces, as JAX's own will be."""
  if socket.has_dualstack_ipv6():
    return socket.create_server(
      ("", port), family=socket.AF_INET6, dualstack_ipv6=True
    )
  return socket.create_server(("", port))


def _read_line(line):
  """Up to 200 bytes, to the end of a line or of the connection."""
  read = b""
  while not read.endswith(b"\n") and len(read) < 200:
    part = line.recv(200 - len(read))
    if not part:
      break
    read += part
  return read
