"""The split rules, on labels alone."""

import numpy as np
import pytest

from vqvae_jax.data import cuts
from vqvae_jax.errors import DataError


def counts(labels, indices):
  return np.bincount(labels[indices], minlength=labels.max() + 1).tolist()


def test_cut_keeps_each_class_in_proportion_and_divides_the_pool():
  labels = np.repeat([0, 1, 2], [500, 300, 200])
  pool = np.arange(0, 1000)
  kept, held = cuts.cut(labels, pool, 200, seed=1)
  assert counts(labels, held) == [100, 60, 40]
  assert sorted([*kept, *held]) == pool.tolist()


def test_cut_has_exactly_the_count_where_shares_are_not_whole():
  labels = np.arange(1000) % 7  # 142 or 143 of each
  kept, held = cuts.cut(labels, np.arange(1000), 200, seed=1)
  assert len(held) == 200
  assert set(counts(labels, held)) == {28, 29}
  assert len(kept) == 800


def test_cut_depends_on_the_seed_and_is_spread_over_the_pool():
  labels = np.zeros(1000, int)
  first = cuts.cut(labels, np.arange(1000), 200, seed=1)[1]
  again = cuts.cut(labels, np.arange(1000), 200, seed=1)[1]
  other = cuts.cut(labels, np.arange(1000), 200, seed=2)[1]
  assert np.array_equal(first, again)
  assert not np.array_equal(first, other)
  # The mean position of 200 of 1000 has a standard deviation of 18.
  assert abs(first.mean() - 499.5) < 90


def test_a_class_of_two_gives_one_and_a_class_of_one_stays():
  labels = np.repeat([0, 1, 2], [97, 2, 1])
  kept, held = cuts.cut(labels, np.arange(100), 20, seed=0)
  assert counts(labels, held)[1:] == [1, 0]
  assert counts(labels, kept)[1:] == [1, 1]


def test_leave_keeps_enough_for_a_second_cut():
  labels = np.repeat([0, 1], [10, 2])
  kept, held = cuts.cut(labels, np.arange(12), 6, seed=0, leave=2)
  assert counts(labels, kept)[1] == 2
  assert len(held) == 6


def test_choose_takes_classes_equally_up_to_one():
  labels = np.repeat(np.arange(10), 400)
  assert (
    counts(labels, cuts.choose(labels, np.arange(4000), 1000, 0)) == [100] * 10
  )
  chosen = cuts.choose(labels, np.arange(4000), 1003, 0)
  assert sorted(counts(labels, chosen)) == [100] * 7 + [101] * 3


def test_choose_fills_up_from_large_classes_where_a_small_one_ends():
  labels = np.repeat([0, 1, 2], [10, 500, 500])
  chosen = cuts.choose(labels, np.arange(1010), 210, 0)
  assert counts(labels, chosen) == [10, 100, 100]
  everything = cuts.choose(labels, np.arange(1010), 1010, 0)
  assert everything.tolist() == list(range(1010))


def test_choose_refuses_more_than_there_are():
  with pytest.raises(DataError, match="1001 is more than the 1000 images"):
    cuts.choose(np.zeros(1000, int), np.arange(1000), 1001, 0)


@pytest.mark.parametrize("seed", range(5))
def test_groups_stay_together_and_classes_in_proportion(seed):
  rng = np.random.default_rng(seed)
  # 200 patients with 1 to 6 images; class 1 is a quarter of them.
  sizes = rng.integers(1, 7, 200)
  groups = np.repeat([f"patient {i}" for i in range(200)], sizes)
  labels = np.repeat((rng.random(200) < 0.25).astype(int), sizes)
  pool = np.arange(len(labels))
  kept, held = cuts.cut_groups(
    labels, groups.tolist(), pool, round(0.2 * len(pool)), seed
  )
  assert not set(groups[kept]) & set(groups[held])
  assert sorted([*kept, *held]) == pool.tolist()
  for label in (0, 1):
    share = np.mean(labels[held] == label) * len(held)
    assert abs(share / np.sum(labels == label) - 0.2) < 0.02


def test_groups_give_every_class_a_place_on_both_sides():
  # Class 1 has two groups of 5: a fifth of it is less than half a group.
  labels = np.repeat([0, 1], [90, 10])
  groups = [f"a{i // 3}" for i in range(90)] + ["b"] * 5 + ["c"] * 5
  kept, held = cuts.cut_groups(labels, groups, np.arange(100), 20, seed=0)
  assert counts(labels, held)[1] == 5
  assert counts(labels, kept)[1] == 5


def test_a_class_of_one_group_is_not_torn():
  labels = np.repeat([0, 1], [90, 10])
  groups = [f"a{i}" for i in range(90)] + ["b"] * 10
  kept, _ = cuts.cut_groups(labels, groups, np.arange(100), 20, seed=0)
  assert counts(labels, kept)[1] == 10


def test_allot_rounds_the_largest_remainders_up_within_bounds():
  low, high = np.zeros(3, int), np.array([5, 5, 5])
  assert cuts.allot(7, np.array([1.2, 2.9, 2.9]), low, high).tolist() == [
    1,
    3,
    3,
  ]
  quotas = np.array([6.0, 1.6, 1.4])
  assert cuts.allot(9, quotas, low, high).tolist() == [5, 2, 2]
