"""How much memory and disk the machine has, in bytes and in words."""

import os
import pathlib
import shutil
import sys

from etils import epath
from jax.sharding import Mesh

from vqvae_jax.files import is_remote


def memory_bytes(mesh: Mesh) -> int:
  """Returns the bytes of memory that one device of a mesh has."""
  statistics = mesh.local_devices[0].memory_stats() or {}
  if "bytes_limit" in statistics:
    return statistics["bytes_limit"]
  # Several CPU devices share the memory of the machine.
  return host_memory() // len(mesh.local_devices)


def host_memory() -> int:
  """Returns the bytes of memory that this machine or its container has."""
  try:
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
  except (AttributeError, OSError, ValueError):
    # Where the system does not say, nothing is refused.
    found = sys.maxsize
  limit = pathlib.Path("/sys/fs/cgroup/memory.max")
  if limit.exists() and limit.read_text().strip().isdecimal():
    found = min(found, int(limit.read_text()))
  return found


def size(count: float) -> str:
  """Returns bytes in words: `3 kB`, `1.2 GB`, `25,600 TB`."""
  units = ("bytes", "kB", "MB", "GB", "TB")
  power = 0
  while count >= 999.5 and power < len(units) - 1:
    count, power = count / 1000, power + 1
  digits = ".1f" if power and count < 9.95 else ".0f"
  return f"{count:,{digits}} {units[power]}"


def free_bytes(folder: epath.PathLike) -> int | None:
  """Returns the free bytes of the disk of a folder, which need not exist."""
  if is_remote(folder):
    return None
  path = pathlib.Path(folder).absolute()
  while not path.exists() and path != path.parent:
    path = path.parent
  total, _, free = shutil.disk_usage(path)
  # Some file systems do not tell their size.
  return free if total else None
