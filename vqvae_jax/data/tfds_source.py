"""Sets of TensorFlow Datasets (TFDS), read from disk without TensorFlow.

A set that is prepared as ArrayRecord or as TFRecord is read from its files
after its description is checked (`tfds_metadata.py`). A set that is not on
disk is prepared first (`tfds_prepare.py`).
"""

import contextlib
import os
import re

import numpy as np
from etils import epath
from jaxtyping import Int

from vqvae_jax.data import images
from vqvae_jax.data.notes import note
from vqvae_jax.data.source import Image, Source, SourceSplits
from vqvae_jax.data.tfds_metadata import Metadata, read_metadata
from vqvae_jax.data.tfds_prepare import prepare
from vqvae_jax.data.tfrecord import TFRecords
from vqvae_jax.errors import DataError
from vqvae_jax.extras import TFDS, need
from vqvae_jax.files import expand

# Splits of at most this size, encoded, are held in memory: reading many records
# in a row is twenty times faster than reading one by one.
MAX_ENCODED_BYTES = 2**30
_CHUNK = 1000


class TfdsSource(Source):
  """One split of a prepared set; an image is decoded when it is needed."""

  def __init__(self, name: str, metadata: Metadata, split: str):
    self.name = name
    self._split = split
    if None not in metadata.image_shape:
      height, width, channels = metadata.image_shape
      self.common_shape = images.Shape(height, width, 1 if channels == 1 else 3)
    self._parse = _parser(name, metadata)
    self.class_names = metadata.class_names or ()
    files = metadata.splits[split]
    with self._in_one_line():
      num_bytes = sum(os.path.getsize(path) for path in files.paths)
      self._records = _open_records(metadata.format, files)
      self.labels = self._read_labels(num_bytes <= MAX_ENCODED_BYTES)

  @contextlib.contextmanager
  def _in_one_line(self):
    try:
      yield
    except DataError:
      raise
    except Exception as error:  # A broken file raises errors of many kinds.
      line = (str(error).splitlines() or [type(error).__name__])[0]
      raise DataError(
        f"the {self._split} split of {self.name} cannot be read: {line}"
      ) from error

  def _read_labels(self, hold_images):
    """Returns all labels, and holds the encoded images if that is wanted."""
    labels, encoded = [], [] if hold_images else None
    for start in range(0, len(self._records), _CHUNK):
      stop = min(start + _CHUNK, len(self._records))
      for record in self._records.__getitems__(list(range(start, stop))):
        image, label = self._parse(record)
        labels.append(label)
        if encoded is not None:
          encoded.append(image)
    self._encoded = encoded
    return np.asarray(labels, np.int64)

  def _bytes(self, index):
    if self._encoded is not None:
      return self._encoded[index]
    with self._in_one_line():
      return self._parse(self._records[index])[0]

  def image(self, index: int) -> Image:
    return images.decode(self._bytes(index), self.describe(index))

  def shape(self, index: int) -> images.Shape:
    return self.common_shape or images.read_shape(
      self._bytes(index), self.describe(index)
    )

  def describe(self, index: int) -> str:
    return f"image {index} of {self.name} ({self._split})"

  def select_classes(self, present: Int[np.ndarray, " k"]) -> None:
    """Leaves out all other classes, and numbers these from 0.

    Args:
      present: labels of the classes, in ascending order.

    Raises:
      DataError: if an image has another class, or no label (-1).
    """
    labels = np.searchsorted(present, self.labels)
    known = present[np.minimum(labels, len(present) - 1)] == self.labels
    if not np.all(known):
      index = int(np.argmin(known))
      raise DataError(
        f"{self.describe(index)} has the label {self.labels[index]}, which no "
        "training image has"
      )
    self.labels = labels
    if self.class_names:
      self.class_names = tuple(self.class_names[label] for label in present)


def open_tfds(name: str, data_dir: str | None) -> SourceSplits:
  """Opens a TFDS set, which is prepared first if it is not on disk.

  Args:
    name: name of the set in TFDS: `name`, `name/config`, `name:version`.
    data_dir: folder of the prepared sets; by default that of TFDS,
      `$TFDS_DATA_DIR` or `~/tensorflow_datasets`.

  Raises:
    DataError: if there is no such set, it cannot be prepared, it does not
      consist of 8-bit images with one label each, or TFDS is not installed.
  """
  default = os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
  data_dir = str(expand(data_dir or default))
  folder = _find(name, data_dir)
  if folder is None:
    prepare(name, data_dir)
    folder = _find(name, data_dir)
  if folder is None:
    raise DataError(f"{name} was prepared, but is not found in {data_dir}")
  return _open_folder(name, folder)


def open_tfds_dir(path: str) -> SourceSplits:
  """Opens a prepared TFDS set by its own folder.

  Args:
    path: path of the folder that holds `dataset_info.json`.

  Raises:
    DataError: if the folder does not hold a TFDS set of 8-bit images with one
      label each, or TFDS is not installed.
  """
  folder = expand(path)
  if not (folder / "dataset_info.json").exists():
    raise DataError(
      f"{path} is not a TFDS data set: it has no dataset_info.json; a job of "
      "sample.py writes one when all of its shards are complete"
    )
  return _open_folder(f"tfds-dir:{path}", folder)


def _open_folder(name, folder):
  _tfds(name)
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
  present = np.unique(train.labels)
  if present[0] < 0:
    raise DataError(f"{name} has training images without a label")
  if present[-1] >= train.num_classes:
    index = int(np.argmax(train.labels))
    raise DataError(
      f"{train.describe(index)} has the label {present[-1]}, beyond the "
      f"{train.num_classes} classes of the set"
    )
  unused = train.num_classes - len(present)
  if unused:
    note(
      f"{name}: {unused} of its {train.num_classes} classes have no image and "
      "are left out"
    )
  train.select_classes(present)

  def opener(split):
    def open_split():
      source = TfdsSource(name, metadata, split)
      source.select_classes(present)
      return source

    return open_split

  return SourceSplits(
    name,
    {s: opener(s) for s in ("validation", "test") if s in own}
    | {"train": lambda: train},
  )


def _find(name: str, data_dir: str) -> epath.Path | None:
  """Returns the folder of a set in the layout of TFDS, or None.

  Of several versions it is the newest, as in TFDS.
  """
  parts = re.fullmatch(
    r"([A-Za-z]\w*)(?:/([\w.\-]+))?(?::([\d.*]+))?", name, re.ASCII
  )
  if parts is None or ".." in name:
    return None
  base, config, version = parts.groups()
  root = epath.Path(data_dir) / base
  if not root.is_dir():
    return None
  if not config:
    found = _newest(root, version)
    config = None if found else _default_config(base)
    if found or not config:
      return found
  return _newest(root / config, version)


def _default_config(base):
  """Returns the configuration that TFDS takes by default, or None."""
  tfds = _tfds(base)
  try:
    config = tfds.builder_cls(base).default_builder_config
  except (tfds.core.DatasetNotFoundError, ValueError):
    return None
  return config.name if config else None


def _newest(folder, version):
  """Returns the folder of the newest version that matches, or None."""
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


def _tfds(name):
  return need("tensorflow_datasets", f"--dataset={name}", TFDS)


def _parser(name, metadata):
  """Returns a function from a record to its encoded image and its label.

  TFDS looks at no other features of the set, because they are not named.
  """
  tfds = _tfds(name)
  features = {"image": tfds.features.Image(shape=metadata.image_shape)}
  if metadata.class_names is not None:
    features["label"] = tfds.features.ClassLabel(
      num_classes=len(metadata.class_names)
    )
  features = tfds.features.FeaturesDict(features)
  decoders = {"image": tfds.decode.SkipDecoding()}

  def parse(record):
    example = features.deserialize_example_np(record, decoders=decoders)
    return example["image"], int(example.get("label", 0))

  return parse


def _open_records(format_, files):
  if format_ == "tfrecord":
    return TFRecords(files.paths, files.lengths)
  array_record = need(
    "array_record.python.array_record_data_source",
    f"the ArrayRecord file {files.paths[0]}" if files.paths else "ArrayRecord",
    TFDS,
  )
  for path, length in zip(files.paths, files.lengths, strict=True):
    found = len(array_record.ArrayRecordDataSource(path))
    if found != length:
      raise DataError(
        f"{path} should have {length} records but has {found}; delete its "
        "folder and prepare the set again"
      )
  paths = [p for p, n in zip(files.paths, files.lengths, strict=True) if n]
  return array_record.ArrayRecordDataSource(paths) if paths else []
