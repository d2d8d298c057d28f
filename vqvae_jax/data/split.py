"""The images of one split: in memory, or read anew at every access."""

import concurrent.futures
import os

import numpy as np
from jaxtyping import Int, Int32, UInt8

from vqvae_jax.data.images import Shape, fit
from vqvae_jax.data.sources import Example, Source
from vqvae_jax.errors import DataError
from vqvae_jax.progress import counted


class Split:
  """Equal images with labels: in memory, or read anew at every access.

  Attributes:
    labels: int32 [n].
    images: uint8 [n, h, w, c], or None if they do not fit in memory.
    image_shape: (h, w, c).
    groups: for each image the group that no split cuts, or None.
    files: for each image its path relative to the data set, or None where
      images are not files.
  """

  def __init__(
    self,
    source: Source,
    indices: Int[np.ndarray, " n"],
    image_shape: Shape,
    size: int | None,
  ):
    self._source = source
    self._indices = indices
    self._size = size
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
    # Pillow decodes outside Python's lock.
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
      rows = pool.map(self._read, range(len(self)))
      for i, row in enumerate(counted(rows, len(self), what)):
        images[i] = row
    self.images = images
    self._source = None  # Its encoded images, or its array, may go.
