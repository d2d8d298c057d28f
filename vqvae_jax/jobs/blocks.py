"""Blocks of images, which the device makes at a time."""

import itertools
from collections.abc import Iterator

import numpy as np
from jaxtyping import UInt8

from vqvae_jax.generators.plan import Plan
from vqvae_jax.jobs.shards import Shard


class Blocks:
  """The images of shards in their order, with the device one block ahead.

  A block that reaches into the next shard is kept for it.
  """

  def __init__(self, planned: Plan, shards: list[Shard], block: int):
    """Prepares the blocks; none is made yet.

    Args:
      planned: plan of the job.
      shards: shards in the order in which they are read.
      block: number of images of a block.
    """
    self._planned = planned
    self._block = block
    starts = {start for shard in shards for start in self._starts(shard)}
    self._following = dict(itertools.pairwise(sorted(starts)))
    self._made = {}

  def of(self, shard: Shard) -> Iterator[UInt8[np.ndarray, "b h w c"]]:
    """Yields the images of a shard, block by block."""
    for start in self._starts(shard):
      first = max(shard.first - start, 0)
      yield self._get(start)[first : shard.first + shard.count - start]

  def _starts(self, shard):
    first = shard.first // self._block * self._block
    return range(first, shard.first + shard.count, self._block)

  def _get(self, start):
    following = self._following.get(start)
    self._made = {
      n: self._made[n] if n in self._made else self._make(n)
      for n in (start, following)
      if n is not None
    }
    return np.asarray(self._made[start])

  def _make(self, start):
    numbers = np.arange(start, start + self._block)
    # A block may reach beyond the job, where it repeats the last label.
    labels = self._planned.labels[
      np.minimum(numbers, len(self._planned.labels) - 1)
    ]
    return self._planned.make_block(numbers, labels)
