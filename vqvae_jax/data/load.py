"""From a configuration to splits of equal, checked images."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from vqvae_jax.config import Config
from vqvae_jax.data.augment import resolve_augment
from vqvae_jax.data.divide import check_classes, divide
from vqvae_jax.data.images import Shape
from vqvae_jax.data.intensity import find_range, warn_of_darkness
from vqvae_jax.data.kinds import open_dataset
from vqvae_jax.data.shapes import check_size, common_shape
from vqvae_jax.data.spec import DataSpec
from vqvae_jax.data.split import Split, UnknownRangeError
from vqvae_jax.errors import DataError


@dataclasses.dataclass(frozen=True)
class Data:
  """Splits by name, and what they have in common.

  Attributes:
    spec: description of the training and validation images.
    splits: the splits that were asked for.
    num_test: number of images that were cut off for testing; None where the
      data set has a test split, which is not opened to count them.
    num_unused: number of images that `num_train_images` leaves out.
  """

  spec: DataSpec
  splits: Mapping[str, Split]
  num_test: int | None = None
  num_unused: int = 0

  def __getitem__(self, split: str) -> Split:
    return self.splits[split]


def load_data(
  config: Config, splits: Sequence[str] = ("train", "validation")
) -> Data:
  """Opens the data set of a run and cuts, checks and decodes its splits.

  Train and validation are always read, because the specification describes
  them; test is read only if it is asked for. If the data set has splits, they
  are used. If it has no test split, a fifth of train is cut off for it, the
  same for every seed; if it has no validation split, a fifth of train is cut
  off by `config.seed`. With `config.num_train_images`, this many images are
  chosen by seed from train and validation together, and a fifth of them is
  for validation.

  Args:
    config: settings of the run.
    splits: names of the splits: any of train, validation, test.

  Raises:
    DataError: in one line, if the data set cannot be read or does not fit
      the settings.
  """
  division = divide(_open(config), config)
  check_classes(division, config.num_train_images)
  indices = np.concatenate([division.train, division.validation])
  shape = common_shape(division.source, indices, config)
  check_size(shape, config)
  loaded, spec = _load_scaled(division, shape, config)
  if "test" in splits:
    loaded["test"] = _open_test(division, spec, config)
    for _ in loaded["test"].read_all("reading test images"):
      pass
  return Data(
    spec,
    {name: loaded[name] for name in splits},
    division.num_test,
    division.num_unused,
  )


def check_test_split(config: Config, spec: DataSpec) -> None:
  """Decodes all test images, so that broken ones are found early.

  Train and validation images are checked whenever they are loaded.

  Args:
    config: settings of the run.
    spec: specification that `load_data` gave for this configuration.

  Raises:
    DataError: in one line that names the file, if an image cannot be read or
      does not fit the training images.
  """
  images = _open_test(divide(_open(config), config), spec, config)
  if not len(images):
    raise DataError(f"{config.dataset} has no test images")
  for _ in images.read_all("checking test images"):
    pass


def _open(config):
  return open_dataset(
    config.dataset, config.data_dir, config.group_regex, config.labels_csv
  )


def _open_test(division, spec, config):
  source, indices = division.open_test()
  shape = Shape(*spec.image_shape)
  common_shape(source, indices, config, shape)
  return Split(source, indices, shape, config.image_size, spec.intensity_range)


def _load_scaled(division, shape, config):
  """Returns the train and validation splits, and their specification."""
  chosen = config.intensity_range
  try:
    loaded, spec = _load(division, shape, config, chosen)
  except UnknownRangeError:
    chosen = find_range(division.source, division.train)
    loaded, spec = _load(division, shape, config, chosen)
  if chosen and chosen[1] > 255 and not loaded["train"].has_16_bits:
    low, high = chosen
    raise DataError(
      f"--intensity-range {low} {high} is for images of 16 bits, but no "
      f"training image of {division.source.name} has more than 8; leave it "
      "out, or name values up to 255"
    )
  return loaded, spec


def _load(division, shape, config, intensity_range):
  """Reads both splits, and takes their digest and histogram meanwhile.

  The digest does not depend on how much is held in memory.
  """
  source = division.source
  digest = hashlib.blake2b(digest_size=8)
  digest.update(repr((source.class_names, shape)).encode())
  histogram = np.zeros(256, np.int64)
  loaded = {}
  parts = {"train": division.train, "validation": division.validation}
  for name, indices in parts.items():
    split = Split(source, indices, shape, config.image_size, intensity_range)
    digest.update(f"{name} {len(split)}".encode())
    digest.update(split.labels.tobytes())
    for image in split.read_all(f"reading {name} images"):
      digest.update(image)
      if name == "train":
        histogram += np.bincount(image.reshape(-1), minlength=256)
    loaded[name] = split
  variance = _variance(histogram)
  if variance == 0:
    raise DataError(
      f"all training pixels of {source.name} have one value; there is nothing "
      "to learn"
    )
  if intensity_range is None:
    warn_of_darkness(source.name, histogram)
  labels = loaded["train"].labels
  counts = np.bincount(labels, minlength=source.num_classes)
  return loaded, DataSpec(
    name=config.dataset,
    image_shape=tuple(int(n) for n in shape),
    class_names=tuple(source.class_names),
    class_counts=tuple(counts.tolist()),
    num_train=len(labels),
    num_validation=len(loaded["validation"]),
    variance=variance,
    augment=resolve_augment(config.augment, config.dataset),
    digest=digest.hexdigest(),
    intensity_range=intensity_range,
  )


def _variance(histogram):
  """Returns the variance of pixels in [0, 1]; a histogram is exact."""
  weights = histogram / histogram.sum()
  values = np.arange(256) / 255
  mean = np.sum(weights * values)
  return float(np.sum(weights * (values - mean) ** 2))
