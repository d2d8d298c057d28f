"""Random choices on the host that are the same on every machine.

NumPy guarantees the bits of its generators from version to version, but not
what `Generator.permutation` and `Generator.choice` make of them. Choices that
must not change, such as which images are test images or which image a generated
one starts from, are therefore drawn here from the bits themselves.
"""

import numpy as np
from jaxtyping import Int


def permutation(count: int, *seeds: int) -> Int[np.ndarray, " count"]:
  """Returns a random order of `range(count)`, the same for equal arguments."""
  return np.argsort(_bits(count, seeds).random_raw(count), kind="stable")


def distinct(count: int, size: int, *seeds: int) -> Int[np.ndarray, " count"]:
  """Returns different numbers below `size`, the same for equal arguments.

  Reducing 64 bits modulo a size below 2**32 favours no number by more than one
  part in 2**32.
  """
  bits = _bits(size, seeds)
  found: dict[int, None] = {}
  while len(found) < count:
    for raw in bits.random_raw(count).tolist():
      found.setdefault(raw % size)
  return np.array(list(found)[:count])


def _bits(size, seeds):
  # The size is part of the seed, so that two choices by one seed do not use the
  # same bits.
  return np.random.Philox(np.random.SeedSequence([*seeds, size]))
