"""`npz:FILE`: arrays `images` and `labels`, or those of MedMNIST.

Nothing is unpickled, and the sizes that the file declares are checked before
memory is allocated.
"""

import math
import os
import zipfile
from pathlib import Path

import numpy as np

from vqvae_jax.data import images, npz_hints
from vqvae_jax.data.source import ArraySource, SourceSplits
from vqvae_jax.errors import DataError

MAX_ARRAY_BYTES = 4 * 2**30


def open_npz(path: str) -> SourceSplits:
  """Opens the data set in an npz file.

  Args:
    path: path of a file with `images` (uint8 or uint16, [n, h, w],
      [n, h, w, 1] or [n, h, w, 3]), optionally `labels` (whole numbers from 0,
      [n] or [n, 1]) and `class_names` (one text for each label); or, as in
      MedMNIST, with `train_images`, `train_labels`, and the same for `val` and
      `test`.

  Raises:
    DataError: if the file is missing or broken, or an array is missing, or
      has the wrong type or shape, or is larger than `MAX_ARRAY_BYTES`.
  """
  file = Path(path).expanduser()
  if path and file.is_dir():
    inside = sorted(found.name for found in file.glob("*.npz"))
    if inside:
      raise DataError(
        f"npz:{path} is a folder; name one of its {len(inside):,} files: "
        f"npz:{os.path.join(path, inside[0])}"
      )
    raise DataError(
      f"npz:{path} is a folder; for the images in it: folder:{path}"
    )
  if not path or not file.is_file():
    raise DataError(f"npz:{path} does not exist")
  headers = _read_headers(file)
  if "images" in headers:
    prefixes = {"train": ""}
  elif "train_images" in headers:
    prefixes = {
      split: prefix
      for split, prefix in (
        ("train", "train_"),
        ("validation", "val_"),
        ("test", "test_"),
      )
      if f"{prefix}images" in headers
    }
  else:
    raise DataError(
      f"{file} has no array 'images' (nor MedMNIST's 'train_images'); its "
      f"arrays: {', '.join(headers) or 'none'}"
    )
  train = _source(file, headers, prefixes["train"], None)

  def opener(prefix):
    return lambda: _source(file, headers, prefix, train.class_names)

  return SourceSplits(
    train.name,
    {split: opener(prefix) for split, prefix in prefixes.items()}
    | {"train": lambda: train},
  )


def _source(file, headers, prefix, class_names):
  name = f"npz:{file}"
  pixels = _load_images(file, headers, f"{prefix}images")
  labels = _load_labels(file, headers, f"{prefix}labels", len(pixels))
  if class_names is None:
    class_names = _class_names(file, headers, labels, f"{prefix}labels")
  if labels is None:
    if class_names:
      raise DataError(f"{file} has no array '{prefix}labels'")
    labels = np.zeros(len(pixels), np.int64)
  elif labels.max() >= max(1, len(class_names)):
    raise DataError(
      f"{file}: '{prefix}labels' has the label {labels.max()}, beyond "
      f"that of the last class, {max(0, len(class_names) - 1)}"
    )
  return ArraySource(name, pixels, labels, class_names)


def _load_images(file, headers, key):
  shape, dtype = headers[key]
  if dtype.hasobject:
    _refuse_objects(file, key)
  if 0 in shape:
    raise DataError(f"{file}: '{key}' is {list(shape)}, so it has no pixels")
  wrong, fix = npz_hints.of_shape(shape)
  if wrong and not fix:
    raise DataError(f"{file}: '{key}' is {list(shape)}, {wrong}")
  native = dtype.newbyteorder("=")
  if native not in (np.uint8, np.uint16):
    # The hint depends on the values.
    values = _load(file, headers, key) if dtype.kind in "buif" else None
    raise DataError(
      f"{file}: '{key}' is {dtype}, not uint8; "
      f"{npz_hints.of_pixels(values, fix or 'images')}"
    )
  if wrong:
    raise DataError(f"{file}: '{key}' is {list(shape)}, {wrong}; store {fix}")
  images.check_pixels(f"{file}: '{key}'", shape[1], shape[2])
  array = _load(file, headers, key)
  array = array if array.ndim == 4 else array[..., None]
  return array.astype(native, copy=False)


def _load_labels(file, headers, key, count):
  if key not in headers:
    return None
  shape, dtype = headers[key]
  if dtype.hasobject:
    _refuse_objects(file, key)
  if 0 in shape or not shape:
    raise DataError(f"{file}: '{key}' is {list(shape)}, so it has no labels")
  if shape[0] != count:
    raise DataError(f"{file}: '{key}' has {shape[0]} labels for {count} images")
  if dtype.kind not in "iu" or math.prod(shape) != shape[0]:
    values = _load(file, headers, key) if dtype.kind in "biufU" else None
    kind = f"{dtype} {list(shape)}" if len(shape) > 1 else dtype
    raise DataError(
      f"{file}: '{key}' is {kind}; labels are whole numbers from 0, one for "
      f"each image: {npz_hints.of_labels(values, key)}"
    )
  labels = _load(file, headers, key).reshape(-1)
  low, high = int(labels.min()), int(labels.max())
  if low < 0 or high >= 2**31:
    raise DataError(
      f"{file}: '{key}' has the label {low if low < 0 else high}; labels are "
      "whole numbers from 0"
    )
  return labels.astype(np.int64)


def _class_names(file, headers, labels, key):
  """Returns the names in the file, or the numbers of the classes as names."""
  if labels is None:
    return ()
  if "class_names" in headers:
    shape, dtype = headers["class_names"]
    if dtype.kind != "U" or len(shape) != 1:
      raise DataError(
        f"{file}: 'class_names' is {dtype} {list(shape)}, not text [classes]; "
        "store np.array(['cat', 'dog'])"
      )
    return tuple(str(name) for name in _load(file, headers, "class_names"))
  present = np.unique(labels)
  if present[0] > 0 and present[-1] == len(present):
    raise DataError(
      f"{file}: '{key}' counts from {present[0]}; labels are whole numbers "
      "from 0 (store labels - 1)"
    )
  # Labels may be up to 10**9, so that a list of all gaps could fill the memory.
  gaps = np.flatnonzero(present != np.arange(len(present)))
  if len(gaps):
    raise DataError(
      f"{file}: '{key}' reaches {present[-1]} but no image has the label "
      f"{gaps[0]}; number the classes from 0 without gaps"
    )
  return tuple(str(label) for label in present)


def _read_headers(file):
  """Returns the shape and type of each array from the headers alone."""
  try:
    with zipfile.ZipFile(file) as archive:
      return {
        entry.filename.removesuffix(".npy"): _read_header(archive, entry, file)
        for entry in archive.infolist()
        if entry.filename.endswith(".npy")
      }
  except DataError:
    raise
  except Exception as error:  # zipfile raises errors of many kinds.
    raise DataError(f"{file} is not an npz file: {error}") from None


def _read_header(archive, entry, file):
  with archive.open(entry) as stream:
    version = np.lib.format.read_magic(stream)
    read = (
      np.lib.format.read_array_header_1_0
      if version == (1, 0)
      else np.lib.format.read_array_header_2_0
    )
    shape, _, dtype = read(stream)
    size = math.prod(shape) * dtype.itemsize
    if not dtype.hasobject and stream.tell() + size != entry.file_size:
      raise DataError(
        f"{file}: the array {entry.filename} declares {size} bytes but the "
        f"file holds {entry.file_size - stream.tell()}"
      )
  return shape, dtype


def _load(file, headers, key):
  shape, dtype = headers[key]
  size = math.prod(shape) * dtype.itemsize
  if size > MAX_ARRAY_BYTES:
    raise DataError(
      f"{file}: '{key}' declares {size / 2**30:.1f} GiB, more than the "
      f"{MAX_ARRAY_BYTES / 2**30:g} GiB that are read into memory; use "
      "folder:DIR for a set of that size"
    )
  try:
    with np.load(os.fspath(file), allow_pickle=False) as arrays:
      return arrays[key]
  except Exception as error:
    raise DataError(f"{file}: '{key}' cannot be read: {error}") from None


def _refuse_objects(file, key):
  raise DataError(
    f"{file}: '{key}' holds Python objects, which are never unpickled; store "
    "one plain array (all images of one size)"
  )
