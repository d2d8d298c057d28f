"""Paths that users give, locks, and files that are whole or absent."""

import contextlib
import json
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import filelock
from etils import epath

from vqvae_jax.errors import RunError, UserError

PARTIAL = ".partial"
# Writing a small file takes less than this many seconds.
ABANDONED = 600
# Between two looks at a lock that another process holds, in seconds.
LOCK_WAIT = 20


def expand(path: epath.PathLike) -> epath.Path:
  """Returns a path in which `~` stands for the home folder.

  A shell expands `~` only at the start of a word, so not in `--out=~/set`.
  """
  return epath.Path(path).expanduser()


def is_remote(path: epath.PathLike) -> bool:
  """Returns whether a path is in a store such as `gs://`, without locks."""
  return "://" in os.fspath(path)


@contextlib.contextmanager
def lock(
  path: epath.PathLike, waiting: Callable[[], None] | None = None
) -> Iterator[bool]:
  """Holds a lock for this process; the system frees it if the process dies.

  Args:
    path: the lock file, which is removed at the end. Remote paths are not
      locked.
    waiting: called every `LOCK_WAIT` seconds while another process holds the
      lock; None to give up at once.

  Yields:
    Whether the lock is held now.

  Raises:
    OSError: if the file cannot be made.
  """
  if is_remote(path):
    yield True
    return
  held = filelock.FileLock(os.fspath(path))
  while True:
    try:
      held.acquire(timeout=LOCK_WAIT if waiting else 0)
    except filelock.Timeout:
      if waiting is None:
        yield False
        return
      waiting()
      continue
    if os.path.exists(path):
      break
    # The other process has just removed the file that this one locked.
    held.release()
  try:
    yield True
  finally:
    with contextlib.suppress(OSError):
      # Ours is empty; what a user wrote stays.
      if not os.path.getsize(path):
        os.unlink(path)
    held.release()


def replace(path: epath.Path, content: bytes) -> None:
  """Writes a file under another name, then renames it."""
  _replace(path, path.with_name(path.name + PARTIAL), content)


def replace_shared(path: epath.Path, content: bytes) -> None:
  """Does what `replace` does for a file that other workers may write, too."""
  owner = f"{_host()}-{os.getpid()}-{threading.get_ident()}"
  _replace(path, path.with_name(f"{path.name}{PARTIAL}-{owner}"), content)


def left_behind(path: epath.Path) -> bool:
  """Returns whether the process of a partial file has ended.

  Processes of other machines are presumed dead after `ABANDONED` seconds.
  """
  found = re.fullmatch(rf".*{re.escape(PARTIAL)}-(.*)-(\d+)-\d+", path.name)
  if found is None:
    return False
  try:
    if found[1] != _host():
      return time.time() - path.stat().mtime > ABANDONED
    os.kill(int(found[2]), 0)
  except (ProcessLookupError, OverflowError):
    return True
  except OSError:  # It is gone by now, or its process is another user's.
    return False
  return False


def _host():
  return socket.gethostname()


def _replace(path, partial, content):
  partial.write_bytes(content)
  partial.replace(path)


def pretty_json(values: Any) -> bytes:
  """Returns indented JSON with a line break at the end."""
  return (json.dumps(values, indent=2) + "\n").encode()


def read_json(
  path: epath.PathLike, kind: type[UserError] = RunError
) -> dict[str, Any]:
  """Reads the object in a JSON file.

  Args:
    path: path of the file.
    kind: class of the error to raise.

  Raises:
    UserError: of class `kind`, naming the file, if it is missing, is not JSON
      in UTF-8, is nested too deeply, or holds anything but one object.
  """
  path = epath.Path(path)
  try:
    values = json.loads(path.read_text())
  except FileNotFoundError:
    raise kind(f"{path} does not exist") from None
  except RecursionError:
    raise kind(f"{path} cannot be read: it is nested too deeply") from None
  except ValueError as error:  # Of JSON, and of UTF-8.
    line = (str(error).splitlines() or [""])[0][:200]
    raise kind(f"{path} cannot be read: {line}") from None
  if not isinstance(values, dict):
    raise kind(
      f"{path} cannot be read: it holds {_in_json(values)}, not an object"
    )
  return values


def _in_json(value):
  """Returns the name of a JSON type, with an article."""
  if value is None:
    return "null"
  if isinstance(value, bool):
    return "a truth value"
  if isinstance(value, int | float):
    return "a number"
  return "a string" if isinstance(value, str) else "a list"
