"""The shards of a job: which images each one holds, and their checksum."""

import dataclasses
import hashlib

import numpy as np
from jaxtyping import Int, UInt8


@dataclasses.dataclass(frozen=True)
class Shard:
  """The images with the numbers `first` to `first + count - 1`.

  Attributes:
    number: number of the shard, from 0 on.
    first: number of its first image.
    count: how many images it holds.
  """

  number: int
  first: int
  count: int


def plan(num_images: int, shard_size: int) -> list[Shard]:
  """Returns all shards of a job; the last one may be smaller."""
  return [
    Shard(number, first, min(shard_size, num_images - first))
    for number, first in enumerate(range(0, num_images, shard_size))
  ]


class Checksum:
  """SHA-256 of labels and pixels, which is the same for every file format."""

  def __init__(self, labels: Int[np.ndarray, " n"]):
    self._sum = hashlib.sha256(np.asarray(labels, "<i4").tobytes())

  def update(self, images: UInt8[np.ndarray, "b h w c"]) -> None:
    """Adds images, in their order."""
    self._sum.update(np.ascontiguousarray(images).tobytes())

  def hexdigest(self) -> str:
    """Returns the checksum of all that was added."""
    return self._sum.hexdigest()
