"""Class-stratified cuts by seed, with or without groups that stay together.

Every function returns sorted indices of images, which are the same on every
machine; see `draws`.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from vqvae_jax.draws import permutation
from vqvae_jax.errors import DataError

# Seed of cuts that must not depend on --seed, above all of test splits.
FIXED_SEED = 5_000
# Share of the images that is cut off for a split.
HELD_OUT = 0.2

# Indices of images, or one number for each image: of any length.
Indices = Int[np.ndarray, "_"]


class TooFewImages(DataError):
  """More training images are requested than are available.

  Attributes:
    wanted: number of images that are requested.
    available: number of images to choose from.
  """

  def __init__(self, wanted: int, available: int):
    super().__init__(
      f"--num-train-images {wanted} is more than the {available} images that "
      "are available; leave it out to use all of them"
    )
    self.wanted = wanted
    self.available = available


def cut(
  labels: Indices, pool: Indices, count: int, seed: int, leave: int = 1
) -> tuple[Indices, Indices]:
  """Cuts `count` of the pool's images off, each class in proportion.

  Args:
    labels: labels of all images.
    pool: indices of the images to divide.
    count: number of images to cut off.
    seed: seed of the choice.
    leave: number of images of each class that stay, if the class has as many.

  Returns:
    The indices that stay and those that are cut off. A class of at least
    `leave` + 1 images has one among the latter, even if they are more than
    `count` then.
  """
  pool = np.asarray(pool)[permutation(len(pool), seed)]
  classes, counts = np.unique(labels[pool], return_counts=True)
  shares = allot(
    count,
    counts * (count / len(pool)),
    low=np.minimum(1, np.maximum(counts - leave, 0)),
    high=np.maximum(counts - leave, 0),
  )
  cut_off = _first_of_each(labels, pool, classes, shares)
  return np.setdiff1d(pool, cut_off), cut_off


def cut_groups(
  labels: Indices,
  groups: Sequence[str],
  pool: Indices,
  count: int,
  seed: int,
  leave: int = 1,
) -> tuple[Indices, Indices]:
  """Cuts about `count` images off, so that no group is on both sides.

  Groups are taken in random order, larger ones first, wherever that brings
  the classes of the cut closer to their shares.

  Args:
    labels: labels of all images.
    groups: groups of all images.
    pool: indices of the images to divide.
    count: number of images to cut off.
    seed: seed of the choice.
    leave: number of groups of each class that stay, if the class has as many.

  Returns:
    The indices that stay and those that are cut off.
  """
  classes, codes = np.unique(labels[pool], return_inverse=True)
  names, members = np.unique(
    np.asarray([groups[i] for i in pool]), return_inverse=True
  )
  table = np.zeros((len(names), len(classes)), np.int64)
  np.add.at(table, (members, codes), 1)
  quotas = table.sum(0) * (count / len(pool))
  weights = 1 / table.sum(0)

  def distance(held):
    return np.sum(((held - quotas) * weights) ** 2)

  order = permutation(len(names), seed)
  order = order[np.argsort(-table[order].sum(1), kind="stable")]
  taken = np.zeros(len(names), bool)
  held = np.zeros(len(classes), np.int64)
  groups_left = (table > 0).sum(0)
  # The second round takes what a class still lacks, smallest group first.
  for wanted, candidates in (("closer", order), ("lacking", order[::-1])):
    for group in candidates:
      row = table[group]
      useful = (
        distance(held + row) < distance(held)
        if wanted == "closer"
        else np.any((held == 0) & (row > 0))
      )
      enough = np.all(groups_left[row > 0] > leave)
      if useful and enough and not taken[group]:
        taken[group] = True
        held = held + row
        groups_left = groups_left - (row > 0)
  return np.sort(pool[~taken[members]]), np.sort(pool[taken[members]])


def choose(labels: Indices, pool: Indices, count: int, seed: int) -> Indices:
  """Chooses `count` images of the pool, equally many of each class.

  If a class has fewer images than its share, all of them are chosen, and more
  of the other classes.

  Args:
    labels: labels of all images.
    pool: indices of the images to choose from.
    count: number of images to choose.
    seed: seed of the choice.

  Raises:
    TooFewImages: if the pool has fewer than `count` images.
  """
  if count > len(pool):
    raise TooFewImages(count, len(pool))
  pool = np.asarray(pool)[permutation(len(pool), seed)]
  classes, counts = np.unique(labels[pool], return_counts=True)
  # The largest number that every class can give, or all its images if fewer.
  level = 0
  for size in range(count // len(classes), count + 1):
    if np.minimum(counts, size).sum() > count:
      break
    level = size
  filled = np.minimum(counts, level)
  shares = allot(count, filled.astype(float), low=filled, high=counts)
  return _first_of_each(labels, pool, classes, shares)


def allot(
  total: int,
  quotas: Float[np.ndarray, " n"],
  low: Int[np.ndarray, " n"],
  high: Int[np.ndarray, " n"],
) -> Int[np.ndarray, " n"]:
  """Returns whole numbers in [low, high] near the quotas that sum to `total`.

  The largest remainders are rounded up (Hamilton's method). If the bounds do
  not allow the total, the sum is as near to it as possible.
  """
  shares = np.clip(np.floor(quotas).astype(np.int64), low, high)
  while shares.sum() < total and np.any(shares < high):
    shares[np.argmax(np.where(shares < high, quotas - shares, -np.inf))] += 1
  while shares.sum() > total and np.any(shares > low):
    shares[np.argmin(np.where(shares > low, quotas - shares, np.inf))] -= 1
  return shares


def _first_of_each(labels, pool, classes, shares):
  chosen = [
    pool[labels[pool] == label][:share]
    for label, share in zip(classes, shares, strict=True)
  ]
  return np.sort(np.concatenate(chosen))
