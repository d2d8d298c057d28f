"""What every way to keep shards can do."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np
from etils import epath
from jaxtyping import Int, UInt8

from vqvae_jax.generation.shards import Shard

Images = UInt8[np.ndarray, "n h w c"]
Labels = Int[np.ndarray, " n"]
# Takes the next images of a shard.
Put = Callable[[Images], None]


class Format(Protocol):
  """How shards are kept in a folder."""

  def write(
    self, shard: Shard, labels: Labels
  ) -> contextlib.AbstractContextManager[Put]:
    """Writes a shard; its files are there once the context has ended well."""

  def read(self, shard: Shard, labels: Labels) -> Iterator[Images]:
    """The images of a shard, one or several at a time."""

  def strays(
    self, shards: Sequence[Shard], labels: Sequence[Labels]
  ) -> list[epath.Path]:
    """Images beside those of all shards, where a reader would take them in."""

  def complete(self, counts: Sequence[int]):
    """Writes what goes with the whole set, given the images of each shard."""


class FormatBase:
  """What the formats share."""

  def __init__(self, out, class_names, shape, shards, pool):
    self._out = out
    self._class_names = list(class_names)
    self._shape = tuple(shape)
    self._shards = shards
    self._pool = pool

  def strays(
    self, shards: Sequence[Shard], labels: Sequence[Labels]
  ) -> list[epath.Path]:
    """None: files of this format say how many they are."""
    del shards, labels
    return []

  def complete(self, counts: Sequence[int]):
    """Nothing goes with the set but its manifest."""
