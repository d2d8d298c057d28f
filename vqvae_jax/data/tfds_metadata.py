"""The description of a prepared TFDS set, read without trusting it.

TFDS imports whatever Python class `features.json` names, and opens whatever
path `dataset_info.json` gives. So TFDS never sees these two files here. This
module reads and checks what is needed of them: the files of each split, the
shape of the images and the names of the classes.
"""

import dataclasses
import json
import re
from collections.abc import Mapping

from etils import epath

from vqvae_jax.data.tfds_json import (
  checked,
  get,
  list_of,
  plain_name,
  whole_number,
)
from vqvae_jax.errors import DataError
from vqvae_jax.files import read_json

# Classes of features that a set may name. No class is imported by its name.
_FEATURE_CLASS = re.compile(
  r"tensorflow_datasets\.(public_api\.|core\.)?features\.([a-z0-9_]+\.)*"
  r"[A-Z][A-Za-z0-9]*"
)
_FIELD = re.compile(r"\{([A-Z_]*)\}")
_FIELDS = (
  "DATASET",
  "SPLIT",
  "FILEFORMAT",
  "SHARD_INDEX",
  "NUM_SHARDS",
  "SHARD_X_OF_Y",
)
FORMATS = ("array_record", "tfrecord")
MAX_CLASSES = 2**20
MAX_SHARDS = 100_000
MAX_NAMES_BYTES = 64 * 2**20


@dataclasses.dataclass(frozen=True)
class SplitFiles:
  """The files of one split.

  Attributes:
    paths: path of each file, in the folder of the set.
    lengths: number of records of each file.
  """

  paths: tuple[str, ...]
  lengths: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Metadata:
  """The description of a prepared set.

  Attributes:
    format: format of the files, one of `FORMATS`.
    splits: files of each split.
    image_shape: height, width and channels; None where images differ.
    class_names: names of the classes, or None if there is no label.
  """

  format: str
  splits: Mapping[str, SplitFiles]
  image_shape: tuple[int | None, int | None, int | None]
  class_names: tuple[str, ...] | None


def read_metadata(folder: epath.Path, name: str) -> Metadata:
  """Reads and checks `dataset_info.json` and `features.json` of a set.

  Args:
    folder: folder of the prepared set.
    name: name of the set, for messages.

  Raises:
    DataError: if a file is missing or broken, names a class that is not a
      feature of TFDS, or a path outside of the folder, or if the set does not
      consist of 8-bit images with one class each.
  """
  path = folder / "dataset_info.json"
  info = read_json(path, DataError)
  format_ = _format(info, folder, name)
  splits = {}
  for split in list_of(info, "splits", path):
    split = checked(split, dict, path, "splits")
    key = plain_name(get(split, path, "name"), path, "split")
    if key in splits:
      raise DataError(f"{path} has two splits called {key!r}")
    splits[key] = _split_files(info, split, format_, folder, path)
  image_shape, class_names = _read_features(folder, name)
  return Metadata(format_, splits, image_shape, class_names)


def _format(info, folder, name):
  path = folder / "dataset_info.json"
  declared = [info.get("fileFormat") or "tfrecord"]
  declared += list_of(info, "alternativeFileFormats", path)
  found = next((f for f in FORMATS if f in declared), None)
  if found is None:
    known = ", ".join(map(repr, declared))
    raise DataError(
      f"{name} is prepared as {known} ({path}); array_record or tfrecord is "
      "needed"
    )
  return found


def _split_files(info, split, format_, folder, path):
  """Returns the files of a split, which all lie in the folder."""
  import tensorflow_datasets as tfds

  template = split.get("filepathTemplate") or ""
  dataset = plain_name(get(info, path, "name"), path, "name")
  template = checked(template, str, path, "filepathTemplate")
  fields = _FIELD.findall(template)
  rest = _FIELD.sub("", template)
  if (
    any(field not in _FIELDS for field in fields)
    or re.search(r"[{}\\\0$]", rest)
    or template.startswith("/")
    or ".." in template.split("/")
  ):
    raise DataError(
      f"{path} has the filepathTemplate {template[:100]!r}; files must lie in "
      "the folder of the set"
    )
  lengths = tuple(
    whole_number(n, path, "shardLengths", 2**40)
    for n in list_of(split, "shardLengths", path)
  )
  if len(lengths) > MAX_SHARDS:
    raise DataError(
      f"{path} declares {len(lengths):,} files of a split, more than the "
      f"{MAX_SHARDS:,} that are read"
    )
  names = tfds.core.ShardedFileTemplate(
    data_dir=folder,
    dataset_name=dataset,
    split=split["name"],
    filetype_suffix=format_,
    **({"template": template} if template else {}),
  )
  paths = [
    str(
      folder / names.relative_filepath(shard_index=i, num_shards=len(lengths))
    )
    for i in range(len(lengths))
  ]
  if len(set(paths)) < len(paths):
    raise DataError(
      f"{path} has the filepathTemplate {template[:100]!r}, which gives "
      f"{len(paths)} files one name"
    )
  return SplitFiles(tuple(paths), lengths)


def _read_features(folder, name):
  """Returns the shape of the images, and the class names or None."""
  path = folder / "features.json"
  tree = read_json(path, DataError)
  _check_classes(tree, path)
  features = _children(tree, path)
  image = features.get("image")
  if image is None or _class_name(image, path) != "Image":
    raise DataError(
      f"{name} has no feature 'image'; its features: "
      f"{', '.join(sorted(features)) or 'none'}"
    )
  content = _content(image, path, "image")
  dtype = content.get("dtype") or "uint8"
  if dtype != "uint8":
    raise DataError(f"{name} has images of {dtype}, not of uint8")
  label = features.get("label")
  if label is None:
    return _image_shape(content, path), None
  if _class_name(label, path) != "ClassLabel":
    raise DataError(
      f"{name} has a label of the kind {_class_name(label, path)}, not one "
      "class for each image"
    )
  return _image_shape(content, path), _class_names(label, folder, path)


def _check_classes(tree, path):
  """Raises `DataError` unless all classes that are named belong to TFDS."""
  # A stack instead of recursion, because the file may be nested deeply.
  waiting = [tree]
  while waiting:
    value = waiting.pop()
    if isinstance(value, dict):
      for key in ("pythonClassName", "python_class_name", "type"):
        named = value.get(key)
        if isinstance(named, str) and not _FEATURE_CLASS.fullmatch(named):
          raise DataError(
            f"{path} names the class {named[:100]!r}; only features of "
            "tensorflow_datasets are read, and nothing is imported for a set"
          )
      waiting.extend(value.values())
    elif isinstance(value, list):
      waiting.extend(value)


def _class_name(node, path):
  for key in ("pythonClassName", "python_class_name", "type"):
    if isinstance(node.get(key), str):
      return node[key].rpartition(".")[2]
  raise DataError(f"{path} cannot be read: a feature has no class")


def _children(tree, path):
  """Returns the features of a dictionary, in today's form or of TFDS 4.0."""
  content = _content(tree, path, "featuresDict")
  features = checked(content.get("features", content), dict, path, "features")
  for name, node in features.items():
    checked(node, dict, path, f"feature {name[:100]!r}")
  return features


def _content(node, path, key):
  snake = re.sub("([A-Z])", r"_\1", key).lower()
  for name in (key, snake, "content"):
    if name in node:
      content = node[name]
      if isinstance(content, str):  # As TFDS 4.0 wrote it.
        content = _parsed(content, path)
      return checked(content, dict, path, name)
  raise DataError(f"{path} cannot be read: a feature has no {key!r}")


def _parsed(text, path):
  try:
    return json.loads(text)
  except (ValueError, RecursionError):
    raise DataError(f"{path} cannot be read: its content is broken") from None


def _image_shape(content, path):
  shape = content.get("shape")
  if isinstance(shape, dict):
    shape = shape.get("dimensions")
  if not shape:
    return None, None, None
  shape = checked(shape, list, path, "shape")
  if len(shape) != 3:
    raise DataError(f"{path} has images of {len(shape)} axes, not of 3")
  unknown = (None, -1, "-1")
  sides = [
    None if n in unknown else whole_number(n, path, "shape", 2**20)
    for n in shape
  ]
  if sides[2] not in (None, 1, 3, 4) or 0 in sides:
    raise DataError(
      f"{path} has images of the shape {sides}; they must have 1, 3 or 4 "
      "channels"
    )
  return tuple(sides)


def _class_names(label, folder, path):
  content = _content(label, path, "classLabel")
  count = content.get("numClasses", content.get("num_classes", 0))
  count = whole_number(count, path, "numClasses", MAX_CLASSES)
  file = folder / "label.labels.txt"
  if not file.exists():
    return tuple(map(str, range(count)))
  if file.stat().length > MAX_NAMES_BYTES:
    raise DataError(f"{file} is larger than {MAX_NAMES_BYTES >> 20} MiB")
  try:
    lines = file.read_text().split("\n")
  except UnicodeDecodeError:
    raise DataError(f"{file} cannot be read: it is not UTF-8") from None
  names = [line.strip() for line in lines if line.strip()]
  if len(names) != count:
    raise DataError(
      f"{file} names {len(names)} classes, but {path} declares {count}"
    )
  seen = set()
  for name in names:
    if name in seen:
      raise DataError(f"{file} has two classes called {name[:100]!r}")
    seen.add(name)
  return tuple(names)
