"""The images of one split: in memory, or read again at every access."""

import math
from collections.abc import Iterator

import numpy as np
from jaxtyping import Int, Int32, UInt8

from vqvae_jax.data.images import Shape, fit, to_uint8
from vqvae_jax.data.parallel import in_order
from vqvae_jax.data.source import Example, Source
from vqvae_jax.errors import DataError

# Splits of at most this size, decoded, are held in memory.
MAX_MEMORY_BYTES = 2 * 2**30


class UnknownRangeError(DataError):
  """An image has 16 bits, but no range of values to scale it by is known."""


class Split:
  """Images of one shape with labels.

  Attributes:
    labels: int32 [n].
    images: uint8 [n, h, w, c]; None before `read_all`, and where they are too
      many for the memory.
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
    """Takes some images of a source.

    Args:
      source: source of the images.
      indices: indices of the images in the source.
      image_shape: shape of all images.
      size: pixels of a side that images are resized to; None to keep theirs.
      intensity_range: values that become 0 and 255; None for those of 8 bits.
    """
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
    """Returns a batch: `image` uint8 [b, h, w, c] and `label` int32 [b]."""
    if self.images is not None:
      images = self.images[indices]
    else:
      images = np.stack([self._read(i) for i in indices])
    return {"image": images, "label": self.labels[indices]}

  def read_all(self, what: str) -> Iterator[UInt8[np.ndarray, "h w c"]]:
    """Reads all images, and yields each in order.

    Where they fit in memory, they are held in `images` once the last one is
    read.

    Args:
      what: name of the work, shown where it takes long.

    Raises:
      DataError: if an image cannot be read or has another size.
    """
    read = in_order(self._read, len(self), what)
    if len(self) * math.prod(self.image_shape) > MAX_MEMORY_BYTES:
      yield from read
      return
    images = np.empty((len(self), *self.image_shape), np.uint8)
    for i, image in enumerate(read):
      images[i] = image
      yield images[i]
    self.images = images
    self._source = None  # Frees its encoded images, or its array.

  def _read(self, index):
    place = int(self._indices[index])
    image = self._source.image(place)
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
    return np.ascontiguousarray(image)
