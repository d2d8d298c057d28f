"""Work on numbered items by several threads, with the results in order."""

import collections
import concurrent.futures
import os
from collections.abc import Callable, Iterator
from typing import TypeVar

from vqvae_jax.progress import counted

# Items that are read ahead for each thread; more would only wait in memory.
_AHEAD = 4

T = TypeVar("T")


def in_order(read: Callable[[int], T], count: int, what: str) -> Iterator[T]:
  """Yields `read(0)` to `read(count - 1)`, read by one thread per core.

  Args:
    read: function of a number.
    count: number of calls.
    what: name of the work, shown where it takes long.
  """

  def results():
    # Pillow decodes outside of Python's lock.
    threads = os.cpu_count() or 1
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
      waiting = collections.deque()
      for number in range(count):
        waiting.append(pool.submit(read, number))
        if len(waiting) == _AHEAD * threads:
          yield waiting.popleft().result()
      while waiting:
        yield waiting.popleft().result()

  return counted(results(), count, what)
