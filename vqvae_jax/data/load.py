"""From a configuration to splits of equal, checked images."""

import dataclasses
import hashlib
import math
from collections.abc import Mapping, Sequence

import numpy as np

from vqvae_jax.config import Config
from vqvae_jax.data import cuts
from vqvae_jax.data.augment import resolve_augment
from vqvae_jax.data.images import MAX_PIXELS, Shape
from vqvae_jax.data.intensity import find_range, warn_of_darkness
from vqvae_jax.data.source import JoinedSource, open_dataset
from vqvae_jax.data.spec import DataSpec
from vqvae_jax.data.split import Split, UnknownRangeError
from vqvae_jax.errors import DataError
from vqvae_jax.machine import host_memory
from vqvae_jax.progress import counted

# Splits of at most this size, decoded, are held in memory.
MAX_MEMORY_BYTES = 2 * 2**30


@dataclasses.dataclass(frozen=True)
class Data:
  """Splits by name, and what they have in common."""

  spec: DataSpec
  splits: Mapping[str, Split]
  # Images kept for testing; None where a test split of the set's own waits
  # unopened.
  num_test: int | None = None
  # Images that `num_train_images` leaves out.
  num_unused: int = 0

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
  dataset = _open(config)
  source, train, validation, test, held_out = _cut(dataset, config)
  _check_classes(source, train, validation, config)
  parts = {"train": train, "validation": validation}
  shape = _common_shape(source, parts, config)
  _check_size(shape, config)
  loaded, survey, scale = _load_scaled(source, parts, shape, config)
  spec = _specify(source, loaded, survey, scale, config)
  if "test" in splits:
    loaded["test"] = _open_test(test, spec, config)
    if _fits(loaded["test"]):
      loaded["test"].decode_all("reading test images")
  unused = len(source) - len(train) - len(validation) - (held_out or 0)
  return Data(spec, {name: loaded[name] for name in splits}, held_out, unused)


def check_split(config: Config, split: str, spec: DataSpec | None = None):
  """Decodes all images of a split and hands out none.

  So that a broken test image is found before hours of training, not after
  them. Train and validation images are checked whenever they are loaded.

  Args:
    config: settings of the run.
    split: name of the split: train, validation or test.
    spec: what `load_data` found for this configuration, if that is known;
      otherwise the training and validation images are read first.

  Raises:
    DataError: in one line that names the file, if an image cannot be read or
      does not fit the training images.
  """
  if spec is None or split != "test":
    spec = load_data(config).spec
  if split != "test":
    return
  dataset = _open(config)
  test = _cut(dataset, config)[3]
  images = _open_test(test, spec, config)
  if not len(images):
    raise DataError(f"{config.dataset} has no test images")
  for _ in images.rows("checking test images"):
    pass


def _open_test(test, spec, config):
  source, indices = test()
  shape = Shape(*spec.image_shape)
  _common_shape(source, {"test": indices}, config, shape)
  return Split(source, indices, shape, config.image_size, spec.intensity_range)


def _open(config):
  return open_dataset(
    config.dataset, config.data_dir, config.group_regex, config.labels_csv
  )


def _cut(dataset, config):
  """The joint source, train and validation indices, how to get test, and how
  many it has if it is cut off."""
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

    num_test = None
  else:
    train, held_out = hold_out(train, cuts.FIXED_SEED, leave=2)

    def test():
      if not len(held_out):
        raise DataError(f"{dataset.name} has too few images for a test split")
      return source, held_out

    num_test = len(held_out)
  if config.num_train_images is not None:
    pool = np.concatenate([train, validation])
    pool = cuts.choose(
      source.labels, pool, config.num_train_images, config.seed
    )
    train, validation = hold_out(pool, config.seed, leave=1)
  elif not len(validation):
    train, validation = hold_out(train, config.seed, leave=1)
  return source, train, validation, test, num_test


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
  size = config.image_size
  if size is not None and (expected or config.channels):
    # Nothing is left to be learnt from the headers.
    return expected or Shape(size, size, config.channels)
  indices = np.concatenate(list(parts.values()))
  shapes = counted(
    (source.shape(int(i)) for i in indices), len(indices), "reading headers"
  )
  channels, first = 1, None
  for index, shape in zip(indices, shapes, strict=True):
    channels = max(channels, shape.channels)
    if first is None:
      first = (index, shape)
    if size is None and shape[:2] != first[1][:2]:
      raise DataError(
        f"{source.describe(int(first[0]))} is {_pixels(first[1])} pixels but "
        f"{source.describe(int(index))} is {_pixels(shape)}; bring them to "
        "one size with --image-size"
      )
  if expected is not None:
    if first[1][:2] != expected[:2]:
      raise DataError(
        f"{source.describe(int(first[0]))} is {_pixels(first[1])} pixels, but "
        f"the training images are {_pixels(expected)}; bring them to one size "
        "with --image-size"
      )
    return expected
  height, width, _ = first[1]
  if size is not None:
    height = width = size
  return Shape(height, width, config.channels or channels)


def _check_size(shape, config):
  """One batch of floats fits in memory, before any is taken for it."""
  height, width, channels = shape
  if height * width > MAX_PIXELS:
    raise DataError(
      f"--image-size={config.image_size} makes images of {width}x{height} "
      f"pixels ({4 * height * width * channels / 2**30:,.1f} GiB each while "
      f"they are learnt), more than the {MAX_PIXELS // 10**6} megapixels that "
      "are possible; take a smaller one"
    )
  stages = (config.tokenizer, config.prior, config.baseline)
  batch = max(stage.batch_size or config.batch_size for stage in stages)
  needed, memory = 4 * batch * height * width * channels, host_memory()
  # Of many machines each holds only its part.
  if needed > memory and not config.multihost:
    raise DataError(
      f"one batch of {batch:,} images of {width}x{height} pixels takes "
      f"{needed / 2**30:,.1f} GiB, but this machine has "
      f"{memory / 2**30:,.1f} GiB of memory; take a smaller --image-size or "
      "--batch-size"
    )


def _pixels(shape):
  return f"{shape[1]}x{shape[0]}"


def _load_scaled(source, parts, shape, config):
  """Train and validation, their survey, and the range they are scaled by."""
  chosen = config.intensity_range
  try:
    loaded, survey = _load(source, parts, shape, config, chosen)
  except UnknownRangeError:
    chosen = find_range(source, parts["train"])
    loaded, survey = _load(source, parts, shape, config, chosen)
  if chosen and chosen[1] > 255 and not loaded["train"].has_16_bits:
    low, high = chosen
    raise DataError(
      f"--intensity-range {low} {high} is for images of 16 bits, but no "
      f"training image of {source.name} has more than 8; leave it out, or name "
      "values up to 255"
    )
  return loaded, survey, chosen


def _load(source, parts, shape, config, intensity_range):
  loaded = {}
  for name, indices in parts.items():
    split = Split(source, indices, shape, config.image_size, intensity_range)
    if _fits(split):
      split.decode_all(f"reading {name} images")
    loaded[name] = split
  return loaded, _survey(source, loaded)


def _fits(split):
  """Whether the decoded images are few enough to be held in memory."""
  return len(split) * math.prod(split.image_shape) <= MAX_MEMORY_BYTES


def _specify(source, loaded, survey, intensity_range, config):
  train = loaded["train"]
  counts = np.bincount(train.labels, minlength=source.num_classes)
  digest, histogram = survey
  variance = _variance(histogram)
  if variance == 0:
    raise DataError(
      f"all training pixels of {source.name} have one value; there is nothing "
      "to learn"
    )
  if intensity_range is None:
    warn_of_darkness(source.name, histogram)
  return DataSpec(
    name=config.dataset,
    image_shape=tuple(int(n) for n in train.image_shape),
    class_names=tuple(source.class_names),
    class_counts=tuple(int(n) for n in counts),
    num_train=len(train),
    num_validation=len(loaded["validation"]),
    variance=variance,
    augment=resolve_augment(config.augment, config.dataset),
    digest=digest,
    intensity_range=intensity_range,
  )


def _survey(source, loaded):
  """The digest of all images, and how often the training pixels' values occur.

  Goes through the images once, in memory or not: those that are read anew at
  every access are thereby all decoded before training, and the digest does not
  depend on how much is held in memory.
  """
  digest = hashlib.blake2b(digest_size=8)
  digest.update(
    repr((source.class_names, loaded["train"].image_shape)).encode()
  )
  histogram = np.zeros(256, np.int64)
  for name, split in loaded.items():
    digest.update(f"{name} {len(split)}".encode())
    digest.update(split.labels.tobytes())
    for rows in _blocks(split, f"checking {name} images"):
      digest.update(rows)
      if name == "train":
        histogram += np.bincount(rows.reshape(-1), minlength=256)
  return digest.hexdigest(), histogram


def _blocks(split, what):
  if split.images is not None:
    return np.array_split(split.images, max(1, len(split) // 1000))
  return split.rows(what)


def _variance(histogram):
  """Variance of the pixels in [0, 1]; a histogram makes the sums exact."""
  weights = histogram / histogram.sum()
  values = np.arange(256) / 255
  mean = np.sum(weights * values)
  return float(np.sum(weights * (values - mean) ** 2))
