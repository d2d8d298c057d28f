"""The interface of a file format, and what formats share."""

import abc
import concurrent.futures
import functools
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

import numpy as np
from etils import epath
from jaxtyping import Int, UInt8

from vqvae_jax.jobs.shards import Shard

Images = UInt8[np.ndarray, "b h w c"]
Labels = Int[np.ndarray, " n"]
# Compression leaves at least this share of the pixels of a set.
COMPRESSED = 1 / 100
# Names from the folder of the set down to a file or folder.
Names = tuple[str, ...]


class Format(abc.ABC):
  """A way to store shards in a folder. Making one writes nothing.

  Attributes:
    unit: what a file holds, for messages: "image" or "file".
    loading: lines of Python that load a set, for its card.
    advice: a sentence about loading a set, for its card.
    extras: names of the files that `complete` writes.
  """

  unit: ClassVar[str] = "file"
  loading: ClassVar[tuple[str, ...]] = ()
  advice: ClassVar[str] = ""
  extras: tuple[str, ...] = ()

  def __init__(
    self,
    out: epath.PathLike,
    class_names: Sequence[str],
    shape: Sequence[int],
    num_shards: int,
    pool: concurrent.futures.Executor,
  ):
    """Prepares to write or read a set.

    Args:
      out: folder of the set.
      class_names: names of the classes; none for sets without labels.
      shape: height, width and channels of an image.
      num_shards: number of shards of the set.
      pool: threads that encode images.
    """
    self._out = epath.Path(out)
    self._class_names = list(class_names)
    self._shape = tuple(shape)
    self._num_shards = num_shards
    self._pool = pool

  @classmethod
  def check_classes(cls, class_names: Sequence[str]) -> None:
    """Raises `ConfigError` if the format cannot store these classes."""
    del class_names

  @classmethod
  @abc.abstractmethod
  def least_bytes(cls, shape: Sequence[int]) -> float:
    """Returns how many bytes an image of this shape needs at least."""

  @abc.abstractmethod
  def write(
    self, shard: Shard, labels: Labels, blocks: Iterable[Images]
  ) -> None:
    """Writes the images of a shard, whole or not at all."""

  @abc.abstractmethod
  def digest(self, shard: Shard, labels: Labels) -> str:
    """Returns the SHA-256 of the bytes of a shard's files.

    Raises:
      FileNotFoundError: if a file is missing.
    """

  @abc.abstractmethod
  def missing(self, shard: Shard, labels: Labels) -> list[epath.Path]:
    """Returns the files of a shard that do not exist."""

  @abc.abstractmethod
  def read(self, shard: Shard, labels: Labels) -> Iterator[Images]:
    """Yields the images of a shard, one or several at a time."""

  @abc.abstractmethod
  def owns(self, names: Names, labels: Labels, *, folder: bool) -> bool:
    """Returns whether a file or folder belongs to a shard.

    Args:
      names: names from the folder of the set down to it.
      labels: labels of all images of the set.
      folder: whether it is a folder.
    """

  def complete(self, counts: Sequence[int]) -> None:
    """Writes `extras`, given the number of images of each shard."""
    del counts


class OneFile(Format):
  """A format that stores each shard in one file."""

  @abc.abstractmethod
  def path(self, number: int) -> epath.Path:
    """Returns the path of the file of a shard."""

  def digest(self, shard: Shard, labels: Labels) -> str:
    """Returns the SHA-256 of the file."""
    del labels
    return file_digest(self.path(shard.number))

  def missing(self, shard: Shard, labels: Labels) -> list[epath.Path]:
    """Returns the file if it does not exist."""
    del labels
    path = self.path(shard.number)
    return [] if path.exists() else [path]

  def owns(self, names: Names, labels: Labels, *, folder: bool) -> bool:
    """Returns whether a path is the file of a shard."""
    del labels
    return not folder and names in self._names

  @functools.cached_property
  def _names(self):
    return {(self.path(number).name,) for number in range(self._num_shards)}


def file_digest(path: epath.Path) -> str:
  """Returns the SHA-256 of a file, of which a part at a time is in memory."""
  sha = hashlib.sha256()
  with path.open("rb") as file:
    while part := file.read(2**20):
      sha.update(part)
  return sha.hexdigest()
