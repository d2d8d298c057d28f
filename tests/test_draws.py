"""Random choices on the host."""

import numpy as np

from vqvae_jax import draws


def test_the_order_by_seed_never_changes():
  # A new NumPy must not move images between train and test of old runs.
  assert draws.permutation(8, 0).tolist() == [5, 7, 4, 1, 0, 3, 6, 2]


def test_distinct_numbers_are_the_same_on_every_machine():
  assert draws.distinct(4, 10, 7, 3).tolist() == [7, 4, 3, 0]
  for size in (1, 2, 21, 1000):
    count = min(size, 21)
    for number in range(50):
      drawn = draws.distinct(count, size, 0, number)
      assert len(set(drawn.tolist())) == count
      assert drawn.min() >= 0 and drawn.max() < size
  # Evenly: of 2,000 draws of one in ten, 13 is one standard deviation.
  first = [draws.distinct(1, 10, 0, n)[0] for n in range(2000)]
  assert np.abs(np.bincount(first, minlength=10) - 200).max() < 55
