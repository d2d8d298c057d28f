"""Files that are whole or absent."""

import os
import socket

from etils import epath

PARTIAL = ".partial"


def replace(path: epath.Path, content: bytes):
  """Writes a file under another name, then renames it."""
  _replace(path, path.with_name(path.name + PARTIAL), content)


def replace_shared(path: epath.Path, content: bytes):
  """`replace` for a file that other workers may write at the same time."""
  owner = f"{socket.gethostname()}-{os.getpid()}"
  _replace(path, path.with_name(f"{path.name}{PARTIAL}-{owner}"), content)


def _replace(path, partial, content):
  partial.write_bytes(content)
  partial.replace(path)
