"""From a configuration to splits of equal, checked images."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vqvae_jax.config import Config
from vqvae_jax.data import cuts
from vqvae_jax.data.augment import resolve_augment
from vqvae_jax.data.images import Shape
from vqvae_jax.data.sources import JoinedSource, open_dataset
from vqvae_jax.data.split import Split
from vqvae_jax.errors import DataError
from vqvae_jax.progress import counted

# Splits of at most this size, decoded, are held in memory.
MAX_MEMORY_BYTES = 2 * 2**30
# Images that tell the variance of a split too large to be held in memory.
_SAMPLE = 10_000


@dataclasses.dataclass(frozen=True)
class DataSpec:
  """What models, writers and a resumed run need to know of the data."""

  # As given by --dataset.
  name: str
  # Height, width, channels.
  image_shape: tuple[int, int, int]
  # One name for each label; empty if the images have no labels.
  class_names: tuple[str, ...]
  # Training images of each class.
  class_counts: tuple[int, ...]
  num_train: int
  num_validation: int
  # Of all training pixels, scaled to [0, 1].
  variance: float
  # The kind of augmentation that `auto` came to.
  augment: str
  # Of the training and validation images and labels.
  digest: str

  @property
  def num_classes(self) -> int:
    return max(1, len(self.class_names))

  def to_dict(self) -> dict[str, Any]:
    """The same as plain JSON values."""
    values = dataclasses.asdict(self)
    for name in ("image_shape", "class_names", "class_counts"):
      values[name] = list(values[name])
    return values

  @classmethod
  def from_dict(cls, values: Mapping[str, Any]) -> "DataSpec":
    """Inverse of `to_dict`."""
    values = dict(values)
    for name in ("image_shape", "class_names", "class_counts"):
      values[name] = tuple(values[name])
    return cls(**values)


@dataclasses.dataclass(frozen=True)
class Data:
  """Splits by name, and what they have in common."""

  spec: DataSpec
  splits: Mapping[str, Split]

  def __getitem__(self, split: str) -> Split:
    return self.splits[split]


def load_data(
  config: Config, splits: Sequence[str] = ("train", "validation")
) -> Data:
  """Opens the data set of a run and cuts, checks and decodes its splits.

  Train and validation are always read, because the specification describes
  them; test is read only if it is asked for. A source's own splits are used.
  Where it has no test split, a fifth of train is cut off for it, the same for
  every seed; where it has no validation split, a fifth of train is cut off
  by `config.seed`. With `config.num_train_images`, so many images are chosen
  by seed from train and validation together, and a fifth of them validates.

  Args:
    config: of the run.
    splits: names out of train, validation, test.

  Raises:
    DataError: in one line, if the data set cannot be read or does not fit
      the settings.
  """
  dataset = open_dataset(config.dataset, config.data_dir, config.group_regex)
  source, train, validation, test = _cut(dataset, config)
  _check_classes(source, train, validation, config)
  parts = {"train": train, "validation": validation}
  shape = _common_shape(source, parts, config)
  loaded = {
    name: _load(source, indices, shape, config, name)
    for name, indices in parts.items()
  }
  spec = _specify(source, loaded, parts, config)
  if "test" in splits:
    test_source, indices = test()
    _common_shape(test_source, {"test": indices}, config, shape)
    loaded["test"] = _load(test_source, indices, shape, config, "test")
  return Data(spec, {name: loaded[name] for name in splits})


def _cut(dataset, config):
  """The joint source, train and validation indices, and how to get test."""
  train_source = dataset.splits["train"]()
  sources = [train_source]
  if "validation" in dataset.splits:
    sources.append(dataset.splits["validation"]())
  source = JoinedSource(sources) if len(sources) > 1 else train_source
  train = np.arange(len(train_source))
  validation = np.arange(len(train_source), len(source))

  def hold_out(pool, seed, leave):
    count = round(cuts.HELD_OUT * len(pool))
    if source.groups is None:
      return cuts.cut(source.labels, pool, count, seed, leave)
    return cuts.cut_groups(
      source.labels, source.groups, pool, count, seed, leave
    )

  if "test" in dataset.splits:

    def test():
      opened = dataset.splits["test"]()
      return opened, np.arange(len(opened))
  else:
    train, held_out = hold_out(train, cuts.FIXED_SEED, leave=2)

    def test():
      if not len(held_out):
        raise DataError(f"{dataset.name} has too few images for a test split")
      return source, held_out

  if config.num_train_images is not None:
    pool = np.concatenate([train, validation])
    pool = cuts.choose(
      source.labels, pool, config.num_train_images, config.seed
    )
    train, validation = hold_out(pool, config.seed, leave=1)
  elif not len(validation):
    train, validation = hold_out(train, config.seed, leave=1)
  return source, train, validation, test


def _check_classes(source, train, validation, config):
  """Every class has an image to learn from and one to validate with."""
  in_train = np.bincount(source.labels[train], minlength=source.num_classes)
  in_validation = np.bincount(
    source.labels[validation], minlength=source.num_classes
  )
  short = np.flatnonzero((in_train == 0) | (in_validation == 0))
  if not len(short):
    return
  label = short[0]
  names = source.class_names
  who = f"class {names[label]!r}" if names else "the set"
  has = f"{in_train[label]} train and {in_validation[label]} validation images"
  if config.num_train_images is not None:
    raise DataError(
      f"num_train_images {config.num_train_images} leaves {who} with {has}; "
      "every class needs at least 1 of both, so ask for "
      f"{2 * source.num_classes} or more"
    )
  unit = "groups of images" if source.groups is not None else "images"
  raise DataError(
    f"{who} ({source.name}) has {has}; every class needs at least 1 of both, "
    f"so 2 {unit}"
  )


def _common_shape(source, parts, config, expected=None):
  """The shape of all images as they will be, from their headers.

  Raises:
    DataError: if an image cannot be read, or sizes differ and are not
      brought to one by `image_size`.
  """
  indices = np.concatenate(list(parts.values()))
  shapes = counted(
    (source.shape(int(i)) for i in indices), len(indices), "reading headers"
  )
  channels, first = 1, None
  for index, shape in zip(indices, shapes, strict=True):
    channels = max(channels, shape.channels)
    if first is None:
      first = (index, shape)
    if config.image_size is None and shape[:2] != first[1][:2]:
      raise DataError(
        f"{source.describe(int(first[0]))} is {_pixels(first[1])} pixels but "
        f"{source.describe(int(index))} is {_pixels(shape)}; bring them to "
        "one size with --image-size"
      )
  if expected is not None:
    if config.image_size is None and first[1][:2] != expected[:2]:
      raise DataError(
        f"{source.describe(int(first[0]))} is {_pixels(first[1])} pixels, but "
        f"the training images are {_pixels(expected)}; bring them to one size "
        "with --image-size"
      )
    return expected
  height, width, _ = first[1]
  if config.image_size is not None:
    height = width = config.image_size
  return Shape(height, width, config.channels or channels)


def _pixels(shape):
  return f"{shape[1]}x{shape[0]}"


def _load(source, indices, shape, config, name):
  split = Split(source, indices, shape, config.image_size)
  if len(split) * np.prod(shape, dtype=np.int64) <= MAX_MEMORY_BYTES:
    split.decode_all(f"reading {name} images")
  return split


def _specify(source, loaded, parts, config):
  train = loaded["train"]
  counts = np.bincount(train.labels, minlength=source.num_classes)
  variance = _variance(train)
  if variance == 0:
    raise DataError(
      f"all training pixels of {source.name} have one value; there is nothing "
      "to learn"
    )
  return DataSpec(
    name=config.dataset,
    image_shape=tuple(int(n) for n in train.image_shape),
    class_names=tuple(source.class_names),
    class_counts=tuple(int(n) for n in counts),
    num_train=len(train),
    num_validation=len(loaded["validation"]),
    variance=variance,
    augment=resolve_augment(config.augment, config.dataset),
    digest=_digest(source, loaded, parts),
  )


def _variance(split):
  """Of the pixels in [0, 1]; of a sample where they are not in memory."""
  if split.images is not None:
    batches = np.array_split(split.images, max(1, len(split) // 1000))
  else:
    step = max(1, len(split) // _SAMPLE)
    batches = (split[i]["image"] for i in range(0, len(split), step))
  # A histogram of 256 values makes the sums exact.
  histogram = sum(
    np.bincount(batch.reshape(-1), minlength=256) for batch in batches
  )
  weights = histogram / histogram.sum()
  values = np.arange(256) / 255
  mean = np.sum(weights * values)
  return float(np.sum(weights * (values - mean) ** 2))


def _digest(source, loaded, parts):
  digest = hashlib.blake2b(digest_size=8)
  digest.update(
    repr((source.class_names, loaded["train"].image_shape)).encode()
  )
  for name, split in loaded.items():
    digest.update(f"{name} {len(split)}".encode())
    digest.update(split.labels.tobytes())
    if split.images is not None:
      digest.update(split.images)
    else:
      for index in parts[name]:
        digest.update(source.stamp(int(index)).encode())
  return digest.hexdigest()
