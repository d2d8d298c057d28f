"""The labelled images of a study and how they are loaded."""

import dataclasses
import hashlib
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int, UInt8

from vqvae_jax.config import StudyConfig
from vqvae_jax.data import Data, Split, load_data
from vqvae_jax.data.cuts import TooFewImages
from vqvae_jax.errors import DataError


@dataclasses.dataclass(frozen=True)
class Images:
  """Labelled images.

  Attributes:
    images: pixels.
    labels: class of each image.
  """

  images: UInt8[np.ndarray, "n h w c"]
  labels: Int[np.ndarray, " n"]

  def __len__(self) -> int:
    return len(self.labels)

  @cached_property
  def digest(self) -> str:
    """The SHA-256 of the images and their labels."""
    found = hashlib.sha256(repr(self.images.shape).encode())
    found.update(np.ascontiguousarray(self.images))
    found.update(np.asarray(self.labels, "<i8").tobytes())
    return found.hexdigest()

  def take(
    self,
    indices: slice | Int[np.ndarray, " m"] | Bool[np.ndarray, " n"],
  ) -> "Images":
    """Returns some of the images, by index, slice or mask."""
    return Images(self.images[indices], self.labels[indices])


def load(config: StudyConfig, number: int, splits: tuple[str, ...]) -> Data:
  """Loads the data of a seed.

  Args:
    config: settings of the study.
    number: number of the seed.
    splits: names of the splits to load.

  Raises:
    DataError: if the data cannot be used; the message names the flags of the
      study.
  """
  try:
    return load_data(config.run_config(number, ""), splits)
  except TooFewImages as error:
    raise DataError(
      f"--num-real {error.wanted} is more than the {error.available} images "
      "that are available for training and validation; --num-real=0 takes all "
      "of them"
    ) from None
  except DataError as error:
    # `load_data` calls this setting by its name in train.py.
    text = str(error).replace("--num-train-images", "num_train_images")
    raise DataError(text.replace("num_train_images", "--num-real")) from None


def all_images(split: Split) -> Images:
  """Returns all images of a split; images in memory are not copied."""
  if split.images is not None:
    return Images(split.images, split.labels)
  batch = split.gather(np.arange(len(split)))
  return Images(batch["image"], batch["label"])
