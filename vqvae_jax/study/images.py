"""The real images of a study, and its errors by the study's own flags."""

import numpy as np

from vqvae_jax.config import StudyConfig
from vqvae_jax.data import Data, Split, load_data
from vqvae_jax.data.cuts import TooFewImages
from vqvae_jax.errors import DataError
from vqvae_jax.study.arms import Images


def load(config: StudyConfig, number: int, splits: tuple[str, ...]) -> Data:
  """The data of a seed.

  Raises:
    DataError: naming the flags of the study.
  """
  try:
    return load_data(config.run_config(number, ""), splits)
  except TooFewImages as error:
    raise DataError(
      f"--num-real {error.wanted} is more than the {error.available} images "
      "there are to learn from; --num-real=0 takes all of them"
    ) from None
  except DataError as error:
    # `load_data` calls this setting by train.py's name.
    text = str(error).replace("--num-train-images", "num_train_images")
    raise DataError(text.replace("num_train_images", "--num-real")) from None


def all_images(split: Split) -> Images:
  """The images of a split; those in memory are not copied."""
  if split.images is not None:
    return Images(split.images, split.labels)
  rows = split.gather(np.arange(len(split)))
  return Images(rows["image"], rows["label"])
