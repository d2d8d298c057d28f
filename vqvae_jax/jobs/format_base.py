"""What every way to keep shards can do."""

import functools
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
from etils import epath
from jaxtyping import Int, UInt8

from vqvae_jax.jobs.shards import Shard

Images = UInt8[np.ndarray, "n h w c"]
Labels = Int[np.ndarray, " n"]
# Names from the set's folder down to a file or folder.
Parts = tuple[str, ...]


class Format(Protocol):
  """How shards are kept in a folder; nothing is made before it is asked for."""

  # Files that `complete` writes, by name.
  extras: tuple[str, ...]

  def write(self, shard: Shard, labels: Labels, blocks: Iterable[Images]):
    """Writes the images of a shard; its files are there once all are."""

  def digest(self, shard: Shard, labels: Labels) -> str:
    """SHA-256 of the bytes of a shard's files.

    Raises:
      FileNotFoundError: if one is missing.
    """

  def missing(self, shard: Shard, labels: Labels) -> list[epath.Path]:
    """Files of a shard that do not exist."""

  def read(self, shard: Shard, labels: Labels) -> Iterator[Images]:
    """The images of a shard, one or several at a time."""

  def owns(self, parts: Parts, labels: Labels, *, folder: bool) -> bool:
    """Whether a file or folder is a shard's, given the labels of all images."""

  def complete(self, counts: Sequence[int]):
    """Writes what goes with the whole set, given the images of each shard."""


class FormatBase:
  """What the formats share."""

  extras: tuple[str, ...] = ()

  def __init__(self, out, class_names, shape, shards, pool):
    self._out = out
    self._class_names = list(class_names)
    self._shape = tuple(shape)
    self._shards = shards
    self._pool = pool

  def complete(self, counts: Sequence[int]):
    """Writes nothing; the TFDS format does."""


class FileOfShard(FormatBase):
  """A format that keeps each shard in one file."""

  def digest(self, shard: Shard, labels: Labels) -> str:
    """SHA-256 of the file."""
    del labels
    return file_digest(self._path(shard.number))

  def missing(self, shard: Shard, labels: Labels) -> list[epath.Path]:
    """The file, if it does not exist."""
    del labels
    path = self._path(shard.number)
    return [] if path.exists() else [path]

  def owns(self, parts: Parts, labels: Labels, *, folder: bool) -> bool:
    """Whether a path is the file of one of the shards."""
    del labels
    return not folder and parts in self._names

  @functools.cached_property
  def _names(self):
    return {(self._path(number).name,) for number in range(self._shards)}

  def _path(self, number):
    raise NotImplementedError


def file_digest(path: epath.Path) -> str:
  """SHA-256 of a file, a part at a time."""
  found = hashlib.sha256()
  with path.open("rb") as file:
    while part := file.read(2**20):
      found.update(part)
  return found.hexdigest()
