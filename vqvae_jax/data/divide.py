"""Which images of a data set are for training, validation and testing."""

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Int

from vqvae_jax.config import Config
from vqvae_jax.data import cuts
from vqvae_jax.data.source import JoinedSource, Source, SourceSplits
from vqvae_jax.errors import DataError


@dataclasses.dataclass(frozen=True)
class Division:
  """The images of each split.

  Attributes:
    source: source of the training and validation images.
    train: indices of the training images in it.
    validation: indices of the validation images in it.
    open_test: opens the source of the test images and returns it with their
      indices in it.
    num_test: number of images that were cut off for testing; None where the
      data set has a test split, which is not opened to count them.
  """

  source: Source
  train: Int[np.ndarray, " n"]
  validation: Int[np.ndarray, " m"]
  open_test: Callable[[], tuple[Source, Int[np.ndarray, " t"]]]
  num_test: int | None

  @property
  def num_unused(self) -> int:
    """Number of images that `num_train_images` leaves out."""
    used = len(self.train) + len(self.validation) + (self.num_test or 0)
    return len(self.source) - used


def divide(opened: SourceSplits, config: Config) -> Division:
  """Divides a data set as `load_data` says."""
  sources = [
    opened.splits[name]()
    for name in ("train", "validation")
    if name in opened.splits
  ]
  source = JoinedSource(sources) if len(sources) > 1 else sources[0]
  train = np.arange(len(sources[0]))
  validation = np.arange(len(train), len(source))
  if "test" in opened.splits:
    open_test, num_test = _opener(opened), None
  else:
    train, test = _hold_out(source, train, cuts.FIXED_SEED, leave=2)
    open_test, num_test = _cut_off(opened.name, source, test), len(test)
  if config.num_train_images is not None:
    pool = np.concatenate([train, validation])
    pool = cuts.choose(
      source.labels, pool, config.num_train_images, config.seed
    )
    train, validation = _hold_out(source, pool, config.seed, leave=1)
  elif not len(validation):
    train, validation = _hold_out(source, train, config.seed, leave=1)
  return Division(source, train, validation, open_test, num_test)


def _opener(opened):
  def open_test():
    source = opened.splits["test"]()
    return source, np.arange(len(source))

  return open_test


def _cut_off(name, source, test):
  def open_test():
    if not len(test):
      raise DataError(f"{name} has too few images for a test split")
    return source, test

  return open_test


def _hold_out(source, pool, seed, leave):
  """Returns the images that stay, and a fifth that is cut off."""
  count = round(cuts.HELD_OUT * len(pool))
  if source.groups is None:
    return cuts.cut(source.labels, pool, count, seed, leave)
  return cuts.cut_groups(source.labels, source.groups, pool, count, seed, leave)


def check_classes(division: Division, num_train_images: int | None) -> None:
  """Checks that every class has a training and a validation image.

  Args:
    division: the images of each split.
    num_train_images: value of `--num-train-images`, for the message.

  Raises:
    DataError: if a class has none.
  """
  source = division.source
  in_train, in_validation = (
    np.bincount(source.labels[indices], minlength=source.num_classes)
    for indices in (division.train, division.validation)
  )
  short = np.flatnonzero((in_train == 0) | (in_validation == 0))
  if not len(short):
    return
  label = short[0]
  names = source.class_names
  who = f"class {names[label]!r}" if names else "the set"
  has = f"{in_train[label]} train and {in_validation[label]} validation images"
  if num_train_images is not None:
    raise DataError(
      f"--num-train-images {num_train_images} leaves {who} with {has}; every "
      "class needs at least 1 of both, so use "
      f"{2 * source.num_classes} or more"
    )
  unit = "groups of images" if source.groups is not None else "images"
  raise DataError(
    f"{who} ({source.name}) has {has}; every class needs at least 1 of both, "
    f"so 2 {unit}"
  )
