"""Sources of images: the interface that every kind of data set implements.

A source knows all its labels before any image is decoded. Splits are therefore
cut first, and only the images of the splits that are needed are ever read.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TypedDict

import numpy as np
from jaxtyping import Int, UInt8, UInt16

from vqvae_jax.data.images import Shape

# Images of 16 bits are as `images.decode` returns them; `Split` scales them.
Image = UInt8[np.ndarray, "h w c"] | UInt16[np.ndarray, "h w c"]


class Example(TypedDict):
  """One image with its class; unlabelled images have the label 0."""

  image: Image
  label: int


class Source:
  """Random access to labelled images: `len(source)`, `source[i]`.

  Attributes:
    name: name of the data set, for messages.
    class_names: one name for each label; empty if the images have no labels.
    labels: labels of all images, known without decoding any.
    groups: for each image the group that no split may cut, or None.
    files: for each image its path relative to the data set, or None where
      images are not files.
    common_shape: shape of all images if they have one, and no image must be
      read to know it; otherwise None.
  """

  name: str
  class_names: tuple[str, ...]
  labels: Int[np.ndarray, " n"]
  groups: Sequence[str] | None = None
  files: Sequence[str] | None = None
  common_shape: Shape | None = None

  @property
  def num_classes(self) -> int:
    return max(1, len(self.class_names))

  def __len__(self) -> int:
    return len(self.labels)

  def __getitem__(self, index: int) -> Example:
    return {"image": self.image(index), "label": int(self.labels[index])}

  def image(self, index: int) -> Image:
    """Returns the pixels of an image.

    Raises:
      DataError: if the image cannot be read.
    """
    raise NotImplementedError

  def shape(self, index: int) -> Shape:
    """Returns the shape of an image without decoding its pixels.

    Raises:
      DataError: if the image cannot be read.
    """
    if self.common_shape is None:
      raise NotImplementedError
    return self.common_shape

  def describe(self, index: int) -> str:
    """Returns what messages call an image."""
    return f"image {index} of {self.name}"


@dataclasses.dataclass(frozen=True)
class SourceSplits:
  """The splits that a data set has itself, each opened when it is needed.

  `splits` has `train` and may have `validation` and `test`.
  """

  name: str
  splits: Mapping[str, Callable[[], Source]]


class ArraySource(Source):
  """Images that are in memory already."""

  def __init__(
    self,
    name: str,
    images: UInt8[np.ndarray, "n h w c"] | UInt16[np.ndarray, "n h w c"],
    labels: Int[np.ndarray, " n"],
    class_names: tuple[str, ...],
  ):
    self.name = name
    self.images = images
    self.labels = labels
    self.class_names = class_names
    self.common_shape = Shape(*images.shape[1:])

  def image(self, index: int) -> Image:
    return self.images[index]


class JoinedSource(Source):
  """Several sources of one data set, one after the other."""

  def __init__(self, sources: Sequence[Source]):
    first = sources[0]
    self.name, self.class_names = first.name, first.class_names
    self.labels = np.concatenate([source.labels for source in sources])
    self._sources = sources
    self._ends = np.cumsum([len(source) for source in sources])
    if all(source.common_shape == first.common_shape for source in sources):
      self.common_shape = first.common_shape
    if all(source.groups is not None for source in sources):
      self.groups = [group for source in sources for group in source.groups]
    if all(source.files is not None for source in sources):
      self.files = [file for source in sources for file in source.files]

  def _locate(self, index):
    """Returns the source of an image, and the image's index in it."""
    number = int(np.searchsorted(self._ends, index, side="right"))
    source = self._sources[number]
    return source, int(index - (self._ends[number] - len(source)))

  def image(self, index: int) -> Image:
    source, place = self._locate(index)
    return source.image(place)

  def shape(self, index: int) -> Shape:
    source, place = self._locate(index)
    return source.shape(place)

  def describe(self, index: int) -> str:
    source, place = self._locate(index)
    return source.describe(place)
