"""Sets of TensorFlow Datasets (TFDS), read from disk without TensorFlow.

A set prepared as ArrayRecord is read through TFDS's own data source; one
prepared as TFRecord, TFDS's default, straight from its files. A set that is
not on disk is prepared first (`prepare.py`).
"""

import contextlib
import os
import sys

import numpy as np
import tensorflow_datasets as tfds
from etils import epath
from tensorflow_datasets.core import decode, read_only_builder

from vqvae_jax.data import images
from vqvae_jax.data.prepare import prepare
from vqvae_jax.data.sources import Dataset, Example, Source
from vqvae_jax.data.tfrecord import TFRecords
from vqvae_jax.errors import DataError

# Encoded images of at most this size are read at once: many in a row come
# twenty times faster than one by one.
MAX_ENCODED_BYTES = 2**30
_CHUNK = 1000


class TfdsSource(Source):
  """One split of a prepared set; images are decoded when asked for."""

  def __init__(self, name: str, builder: tfds.core.DatasetBuilder, split: str):
    self.name = name
    self._split = split
    self._features = builder.info.features
    self._encoded = None
    self.class_names = ()
    if "label" in self._features:
      self.class_names = tuple(self._features["label"].names)
    num_bytes = builder.info.splits[split].num_bytes
    with self._told_in_one_line():
      self._records = _open_records(name, builder, split)
      self.labels = self._read_labels(keep=num_bytes <= MAX_ENCODED_BYTES)

  @contextlib.contextmanager
  def _told_in_one_line(self):
    try:
      yield
    except DataError:
      raise
    except Exception as error:  # A broken file raises many kinds.
      line = (str(error).splitlines() or [type(error).__name__])[0]
      raise DataError(
        f"the {self._split} split of {self.name} cannot be read: {line}"
      ) from error

  def _read_labels(self, keep):
    """All labels; keeps the encoded images if it is told to."""
    labels, encoded = [], []
    for start in range(0, len(self._records), _CHUNK):
      stop = min(start + _CHUNK, len(self._records))
      for record in _read_many(self._records, range(start, stop)):
        image, label = self._parse(record)
        labels.append(label)
        if keep:
          encoded.append(image)
    if keep:
      self._encoded = encoded
    return np.asarray(labels, np.int64)

  def _parse(self, record):
    example = self._features.deserialize_example_np(
      record, decoders={"image": tfds.decode.SkipDecoding()}
    )
    return example["image"], int(example.get("label", 0))

  def _bytes(self, index):
    if self._encoded is not None:
      return self._encoded[index]
    with self._told_in_one_line():
      return self._parse(self._records[index])[0]

  def __getitem__(self, index: int) -> Example:
    image = images.decode(self._bytes(index), self.describe(index))
    return {"image": image, "label": int(self.labels[index])}

  def shape(self, index: int) -> images.Shape:
    declared = self._features["image"].shape
    if None not in declared:
      return images.Shape(*declared[:2], 1 if declared[2] == 1 else 3)
    return images.read_shape(self._bytes(index), self.describe(index))

  def describe(self, index: int) -> str:
    return f"image {index} of {self.name} ({self._split})"

  def keep_classes(self, kept: np.ndarray):
    """Numbers the classes anew, leaving out all but the `kept` ones.

    Raises:
      DataError: if an image is of another class, or has no label (-1).
    """
    places = np.searchsorted(kept, self.labels)
    known = kept[np.minimum(places, len(kept) - 1)] == self.labels
    if not np.all(known):
      index = int(np.argmin(known))
      raise DataError(
        f"{self.describe(index)} has the label {self.labels[index]}, which no "
        "training image has"
      )
    self.labels = places
    if self.class_names:
      self.class_names = tuple(self.class_names[label] for label in kept)


def open_tfds(name: str, data_dir: str | None) -> Dataset:
  """A TFDS set, prepared first where it is not on disk and there is network.

  Args:
    name: as TFDS writes it: `name`, `name/config`, `name:version`.
    data_dir: where sets are prepared; by default TFDS's own choice,
      `$TFDS_DATA_DIR` or `~/tensorflow_datasets`.

  Raises:
    DataError: if there is no such set, it cannot be prepared, or it is not
      one of 8-bit images with one label each.
  """
  data_dir = os.path.expanduser(data_dir or tfds.core.constants.DATA_DIR)
  builder = _find(name, data_dir)
  if builder is None:
    prepare(name, data_dir)
    builder = _find(name, data_dir)
  if builder is None:
    raise DataError(f"{name} was prepared, but is not found in {data_dir}")
  return _open_builder(name, builder)


def open_tfds_dir(path: str) -> Dataset:
  """A prepared TFDS set by its own folder, wherever that is.

  Args:
    path: the folder that holds `dataset_info.json`.

  Raises:
    DataError: if it holds no TFDS set, or not one of 8-bit images with one
      label each.
  """
  folder = epath.Path(path).expanduser()
  if not (folder / "dataset_info.json").exists():
    raise DataError(
      f"{path} is no TFDS data set: it has no dataset_info.json; a job of "
      "sample.py has one once all of its shards are whole"
    )
  try:
    builder = tfds.builder_from_directory(folder)
  except Exception as error:
    # TFDS lets its parsers' own errors through.
    raise DataError(
      f"{path} cannot be read as a TFDS data set: "
      f"{' '.join(str(error).split())[:200]}"
    ) from error
  return _open_builder(f"tfds-dir:{path}", builder)


def _open_builder(name, builder):
  _check_features(name, builder.info.features)
  own = builder.info.splits
  if "train" not in own:
    raise DataError(
      f"{name} has no train split; its splits: {', '.join(own) or 'none'}"
    )
  train = TfdsSource(name, builder, "train")
  if not len(train):
    raise DataError(f"{name} has no training image")
  # Some sets declare classes that none of their images has.
  kept = np.unique(train.labels)
  unused = train.num_classes - len(kept)
  if kept[0] < 0:
    raise DataError(f"{name} has training images without a label")
  if unused:
    print(
      f"{name}: {unused} of its {train.num_classes} classes have no image and "
      "are left out",
      file=sys.stderr,
    )
  train.keep_classes(kept)

  def opener(split):
    def open_split():
      source = TfdsSource(name, builder, split)
      source.keep_classes(kept)
      return source

    return open_split

  return Dataset(
    name,
    {s: opener(s) for s in ("validation", "test") if s in own}
    | {"train": lambda: train},
  )


def _find(name, data_dir):
  """The set as it lies on disk, or None."""
  try:
    return read_only_builder.builder_from_files(name, data_dir=data_dir)
  except (tfds.core.DatasetNotFoundError, ValueError):
    return None


def _check_features(name, features):
  """Raises `DataError` unless the set has 8-bit images and one label each."""
  is_dict = isinstance(features, tfds.features.FeaturesDict)
  features = dict(features.items()) if is_dict else {}
  image, label = features.get("image"), features.get("label")
  if not isinstance(image, tfds.features.Image):
    raise DataError(
      f"{name} has no feature 'image'; its features: "
      f"{', '.join(sorted(features)) or 'none'}"
    )
  if image.np_dtype != np.uint8:
    raise DataError(
      f"{name} has images of {np.dtype(image.np_dtype)}, not of uint8"
    )
  if label is not None and not isinstance(label, tfds.features.ClassLabel):
    raise DataError(
      f"{name} has the label {label!r}, not one class for each image"
    )


def _open_records(name, builder, split):
  formats = {f.value for f in builder.info.available_file_formats()}
  if "array_record" in formats:
    return builder.as_data_source(
      split,
      deserialize_method=decode.DeserializeMethod.RAW_BYTES,
      file_format="array_record",
    )
  if "tfrecord" in formats:
    info = builder.info.splits[split]
    return TFRecords(info.filepaths, info.shard_lengths)
  raise DataError(
    f"{name} is prepared as {', '.join(sorted(formats)) or 'nothing known'} "
    "in its folder; array_record or tfrecord is needed"
  )


def _read_many(records, indices):
  if hasattr(records, "__getitems__"):
    return records.__getitems__(list(indices))
  return [records[i] for i in indices]
