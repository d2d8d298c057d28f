"""Keeps memory between steps on CPUs."""

import ctypes
import sys

# From glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
_NEVER = 2**31 - 1


def keep_freed_memory() -> None:
  """Tells glibc's malloc to keep large blocks for the next step.

  XLA's CPU backend allocates the temporary memory of a program at each call. By
  default glibc returns blocks of more than 32 MiB to the system at once, and a
  training step spends a quarter of its time on the page faults of getting them
  again. This changes the whole process, which then keeps the memory that it
  once needed, so that only commands call it, before JAX starts its threads.
  Without glibc it does nothing.
  """
  if not sys.platform.startswith("linux"):
    return
  mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
  if mallopt is None:
    return
  # Only the main arena can hold blocks of more than 64 MiB.
  mallopt(_M_ARENA_MAX, 1)
  mallopt(_M_MMAP_THRESHOLD, _NEVER)
  mallopt(_M_TRIM_THRESHOLD, _NEVER)
