"""What the machine holds: memory and disk, in bytes and in words."""

import os
import pathlib
import shutil
import sys

from etils import epath
from jax.sharding import Mesh

from vqvae_jax.files import is_remote


def memory_bytes(mesh: Mesh) -> int:
  """Memory of one device: of an accelerator, or of this machine."""
  statistics = mesh.local_devices[0].memory_stats() or {}
  if "bytes_limit" in statistics:
    return statistics["bytes_limit"]
  # Several CPU devices share it.
  return host_memory() // len(mesh.local_devices)


def host_memory() -> int:
  """Bytes of this machine's memory, or of what its container may use."""
  try:
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
  except (AttributeError, OSError, ValueError):
    # Where the system does not tell, nothing is refused.
    found = sys.maxsize
  limit = pathlib.Path("/sys/fs/cgroup/memory.max")
  if limit.exists() and limit.read_text().strip().isdecimal():
    found = min(found, int(limit.read_text()))
  return found


def size(count: float) -> str:
  """Bytes as people say them: `3 kB`, `1.2 GB`, `25,600 TB`."""
  units = ("bytes", "kB", "MB", "GB", "TB")
  power = 0
  while count >= 999.5 and power < len(units) - 1:
    count, power = count / 1000, power + 1
  digits = ".1f" if power and count < 9.95 else ".0f"
  return f"{count:,{digits}} {units[power]}"


def free_bytes(folder: epath.Path) -> int | None:
  """Free bytes of the disk of a folder that may not exist yet."""
  if is_remote(folder):
    return None
  path = pathlib.Path(folder).absolute()
  while not path.exists() and path != path.parent:
    path = path.parent
  total, _, free = shutil.disk_usage(path)
  # Some file systems do not tell their size.
  return free if total else None
