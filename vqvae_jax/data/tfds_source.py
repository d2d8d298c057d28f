"""Sets of TensorFlow Datasets (TFDS), read from disk without TensorFlow.

A set prepared as ArrayRecord or as TFRecord is read straight from its files,
after its description was checked (`tfds_metadata.py`). A set that is not on
disk is prepared first (`prepare.py`).
"""

import contextlib
import os
import re
import sys
from collections.abc import Sequence

import numpy as np
import tensorflow_datasets as tfds
from etils import epath

from vqvae_jax.data import images
from vqvae_jax.data.tfds_prepare import prepare
from vqvae_jax.data.source import Dataset, Example, Source
from vqvae_jax.data.tfds_metadata import Metadata, SplitFiles, read_metadata
from vqvae_jax.data.tfrecord import TFRecords
from vqvae_jax.errors import DataError
from vqvae_jax.files import expand

# Encoded images of at most this size are read at once: many in a row come
# twenty times faster than one by one.
MAX_ENCODED_BYTES = 2**30
_CHUNK = 1000


class TfdsSource(Source):
  """One split of a prepared set; images are decoded when asked for."""

  def __init__(self, name: str, metadata: Metadata, split: str):
    self.name = name
    self._split = split
    self._shape = metadata.image_shape
    self._features = _features(metadata)
    self._encoded = None
    self.class_names = metadata.class_names or ()
    files = metadata.splits[split]
    with self._told_in_one_line():
      num_bytes = sum(os.path.getsize(path) for path in files.paths)
      self._records = _open_records(metadata.format, files)
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
    if None not in self._shape:
      height, width, channels = self._shape
      return images.Shape(height, width, 1 if channels == 1 else 3)
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
  data_dir = str(expand(data_dir or tfds.core.constants.DATA_DIR))
  folder = _find(name, data_dir)
  if folder is None:
    prepare(name, data_dir)
    folder = _find(name, data_dir)
  if folder is None:
    raise DataError(f"{name} was prepared, but is not found in {data_dir}")
  return _open_folder(name, folder)


def open_tfds_dir(path: str) -> Dataset:
  """A prepared TFDS set by its own folder, wherever that is.

  Args:
    path: the folder that holds `dataset_info.json`.

  Raises:
    DataError: if it holds no TFDS set, or not one of 8-bit images with one
      label each.
  """
  folder = expand(path)
  if not (folder / "dataset_info.json").exists():
    raise DataError(
      f"{path} is not a TFDS data set: it has no dataset_info.json; a job of "
      "sample.py has one once all of its shards are whole"
    )
  return _open_folder(f"tfds-dir:{path}", folder)


def _open_folder(name, folder):
  metadata = read_metadata(folder, name)
  own = metadata.splits
  if "train" not in own:
    raise DataError(
      f"{name} has no train split; its splits: {', '.join(own) or 'none'}"
    )
  train = TfdsSource(name, metadata, "train")
  if not len(train):
    raise DataError(f"{name} has no training image")
  # Some sets declare classes that none of their images has.
  kept = np.unique(train.labels)
  if kept[0] < 0:
    raise DataError(f"{name} has training images without a label")
  if kept[-1] >= train.num_classes:
    index = int(np.argmax(train.labels))
    raise DataError(
      f"{train.describe(index)} has the label {kept[-1]}, beyond the "
      f"{train.num_classes} classes of the set"
    )
  unused = train.num_classes - len(kept)
  if unused:
    print(
      f"{name}: {unused} of its {train.num_classes} classes have no image and "
      "are left out",
      file=sys.stderr,
    )
  train.keep_classes(kept)

  def opener(split):
    def open_split():
      source = TfdsSource(name, metadata, split)
      source.keep_classes(kept)
      return source

    return open_split

  return Dataset(
    name,
    {s: opener(s) for s in ("validation", "test") if s in own}
    | {"train": lambda: train},
  )


def _find(name: str, data_dir: str) -> epath.Path | None:
  """The folder of a set as TFDS lays it out, or None.

  The newest of several versions is taken, as TFDS does.
  """
  parts = re.fullmatch(
    r"([A-Za-z]\w*)(?:/([\w.\-]+))?(?::([\d.*]+))?", name, re.ASCII
  )
  if parts is None or ".." in name:
    return None
  base, config, version = parts.groups()
  root = epath.Path(data_dir) / base
  if not config:
    found = _newest(root, version)
    config = None if found else _default_config(base)
    if found or not config:
      return found
  return _newest(root / config, version)


def _default_config(base):
  """The configuration that TFDS takes where none is named, or None."""
  try:
    config = tfds.builder_cls(base).default_builder_config
  except (tfds.core.DatasetNotFoundError, ValueError):
    return None
  return config.name if config else None


def _newest(folder, version):
  """The folder of the newest version that is meant, or None."""
  if not folder.is_dir():
    return None
  pattern = re.escape(version or "*").replace(r"\*", r"\d+")
  if version is None:
    pattern = r"\d+\.\d+\.\d+"
  versions = [
    child
    for child in folder.iterdir()
    if re.fullmatch(pattern, child.name, re.ASCII)
    and (child / "dataset_info.json").exists()
  ]
  return max(
    versions,
    key=lambda child: [int(n) for n in child.name.split(".")],
    default=None,
  )


def _features(metadata):
  """How TFDS reads a record; features of a set that are not used are not
  named, so TFDS does not look at them.
  """
  features = {"image": tfds.features.Image(shape=metadata.image_shape)}
  if metadata.class_names is not None:
    features["label"] = tfds.features.ClassLabel(
      num_classes=len(metadata.class_names)
    )
  return tfds.features.FeaturesDict(features)


def _open_records(format_: str, files: SplitFiles) -> Sequence[bytes]:
  if format_ == "tfrecord":
    return TFRecords(files.paths, files.lengths)
  from array_record.python import array_record_data_source as array_record

  for path, length in zip(files.paths, files.lengths, strict=True):
    found = len(array_record.ArrayRecordDataSource(path))
    if found != length:
      raise DataError(
        f"{path} should have {length} records but has {found}; delete its "
        "folder and prepare the set again"
      )
  paths = [p for p, n in zip(files.paths, files.lengths, strict=True) if n]
  return array_record.ArrayRecordDataSource(paths) if paths else []


def _read_many(records, indices):
  if hasattr(records, "__getitems__"):
    return records.__getitems__(list(indices))
  return [records[i] for i in indices]
