"""The images of one split: in memory, or read anew at every access."""

import collections
import concurrent.futures
import os
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
from jaxtyping import Int, Int32, UInt8

from vqvae_jax.data.images import Shape, fit, to_uint8
from vqvae_jax.data.source import Example, Source
from vqvae_jax.errors import DataError
from vqvae_jax.progress import counted

# Images that are read ahead for each thread; more would only wait in memory.
_AHEAD = 4

T = TypeVar("T")


class UnknownRangeError(DataError):
  """A 16-bit image was met, but no range of values to scale it by is known."""


class Split:
  """Equal images with labels: in memory, or read anew at every access.

  Attributes:
    labels: int32 [n].
    images: uint8 [n, h, w, c], or None if they do not fit in memory.
    image_shape: (h, w, c).
    groups: for each image the group that no split cuts, or None.
    has_16_bits: whether an image read so far has 16 bits.
    files: for each image its path relative to the data set, or None where
      images are not files.
  """

  def __init__(
    self,
    source: Source,
    indices: Int[np.ndarray, " n"],
    image_shape: Shape,
    size: int | None,
    intensity_range: tuple[int, int] | None = None,
  ):
    self._source = source
    self._indices = indices
    self._size = size
    self._range = intensity_range
    self.has_16_bits = False
    self.image_shape = image_shape
    self.labels: Int32[np.ndarray, " n"] = source.labels[indices].astype(
      np.int32
    )
    self.images: UInt8[np.ndarray, "n h w c"] | None = None
    self.groups: list[str] | None = None
    if source.groups is not None:
      self.groups = [source.groups[i] for i in indices]
    self.files: list[str] | None = None
    if source.files is not None:
      self.files = [source.files[i] for i in indices]

  def __len__(self) -> int:
    return len(self._indices)

  def __getitem__(self, index: int) -> Example:
    in_memory = self.images is not None
    image = self.images[index] if in_memory else self._read(index)
    return {"image": image, "label": int(self.labels[index])}

  def gather(self, indices: Int[np.ndarray, " b"]) -> dict[str, np.ndarray]:
    """Rows as a batch: `image` uint8 [b, h, w, c], `label` int32 [b]."""
    if self.images is not None:
      images = self.images[indices]
    else:
      images = np.stack([self._read(i) for i in indices])
    return {"image": images, "label": self.labels[indices]}

  def _read(self, index):
    place = int(self._indices[index])
    image = self._source[place]["image"]
    if image.dtype != np.uint8:
      self.has_16_bits = True
      if self._range is None:
        raise UnknownRangeError(
          f"{self._source.describe(place)} has 16 bits, but no training image "
          "has; name the range of its values with --intensity-range LOW HIGH"
        )
    image = to_uint8(image, self._range)
    image = fit(image, self.image_shape.channels, self._size)
    if image.shape != self.image_shape:
      raise DataError(
        f"{self._source.describe(place)} is {image.shape[1]}x{image.shape[0]} "
        f"pixels, not {self.image_shape.width}x{self.image_shape.height}"
      )
    return image

  def decode_all(self, what: str):
    """Fills `images`; `what` names the work where it takes long.

    Raises:
      DataError: if an image cannot be read or is of another size.
    """
    images = np.empty((len(self), *self.image_shape), np.uint8)
    for i, row in enumerate(self.rows(what)):
      images[i] = row
    self.images = images
    self._source = None  # Its encoded images, or its array, may go.

  def rows(self, what: str) -> Iterator[UInt8[np.ndarray, "h w c"]]:
    """All images in order; `what` names the work where it takes long.

    Raises:
      DataError: if an image cannot be read or is of another size.
    """
    if self.images is not None:
      return iter(self.images)
    return in_order(self._read, len(self), what)


def in_order(read: Callable[[int], T], count: int, what: str) -> Iterator[T]:
  """`read(0)` to `read(count - 1)`, by as many threads as there are cores.

  Args:
    read: function of a number.
    count: how many numbers there are.
    what: name of the work, said where it takes long.
  """

  def results():
    # Pillow decodes outside Python's lock.
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
