"""`folder:DIR`: class folders of image files, or one flat folder."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vqvae_jax.data import images
from vqvae_jax.data.sources import Dataset, Example, Source
from vqvae_jax.errors import DataError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
# What lies beside images in published sets; any other file is a mistake.
_STRAY_SUFFIXES = frozenset(
  (".txt", ".md", ".rst", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml")
  + (".yml", ".html", ".pdf", ".ini", ".db", ".log", ".py", ".sh", ".zip")
  + (".tar", ".gz")
)
_STRAY_NAMES = ("license", "readme", "notice", "copying", "checksums")
_SPLIT_NAMES = {
  "train": "train",
  "training": "train",
  "val": "validation",
  "valid": "validation",
  "validation": "validation",
  "test": "test",
  "testing": "test",
}


class FolderSource(Source):
  """Image files with labels; a file is opened when its image is asked for."""

  def __init__(
    self,
    root: Path,
    files: list[str],
    labels: np.ndarray,
    class_names: tuple[str, ...],
    groups: list[str] | None,
  ):
    self.name = f"folder:{root}"
    self.root = root
    self.files = files
    self.labels = labels
    self.class_names = class_names
    self.groups = groups

  def __getitem__(self, index: int) -> Example:
    image = images.decode(self.root / self.files[index], self.describe(index))
    return {"image": image, "label": int(self.labels[index])}

  def shape(self, index: int) -> images.Shape:
    return images.read_shape(
      self.root / self.files[index], self.describe(index)
    )

  def describe(self, index: int) -> str:
    return str(self.root / self.files[index])


def open_folder(path: str, group_regex: str | None) -> Dataset:
  """The data set in a folder.

  Args:
    path: a folder with one subfolder for each class, or with images and no
      subfolders (unlabelled), or with such folders called `train`,
      `val`/`valid`/`validation` and `test`.
    group_regex: searched in each file's path relative to the folder; files
      with the same first capturing group (or match) belong together.

  Raises:
    DataError: if the folder is missing, a class has no image, a file is
      neither an image nor one of the usual companions, a path does not match
      `group_regex`, or two of the folder's own splits share a group.
  """
  root = Path(path).expanduser()
  if not path or not root.is_dir():
    raise DataError(f"folder:{path} is no folder that exists")
  names = _subfolders(root)
  parts = {}
  for name in names:
    split = _SPLIT_NAMES.get(name.lower())
    if split in parts:
      raise DataError(
        f"{root} has two folders for the {split} split, {parts[split]} and "
        f"{name}; keep one"
      )
    if split:
      parts[split] = name
  if "train" not in parts or len(parts) < len(names):
    source = _read(root, "", None, group_regex)
    return Dataset(source.name, {"train": lambda: source})
  train = _read(root, parts["train"], None, group_regex)
  sources = {"train": train} | {
    split: _read(root, part, train.class_names, group_regex)
    for split, part in parts.items()
    if split != "train"
  }
  if group_regex is not None:
    _check_groups(root, sources)
  return Dataset(
    train.name,
    {split: lambda source=source: source for split, source in sources.items()},
  )


def _read(root, part, class_names, group_regex):
  """Lists one split; `class_names` are those of train, if known already."""
  base = root / part
  names = _subfolders(base)
  flat = [os.path.join(part, file) for file in _images_in(base, base)]
  if names and flat:
    raise DataError(
      f"{root / flat[0]} lies beside the class folders of {base}; move it "
      "into one of them"
    )
  if class_names is None:
    class_names = tuple(names)
  unknown = sorted(set(names) - set(class_names))
  if unknown:
    raise DataError(
      f"{base / unknown[0]} is a class that the train folder does not have"
    )
  files, labels = flat, [0] * len(flat)
  for name in names:
    found = [
      os.path.join(part, name, file)
      for file in _walk(base / name, base / name, ())
    ]
    if not found:
      raise DataError(
        f"the class folder {base / name} has no PNG, JPEG or WebP image"
      )
    files += found
    labels += [class_names.index(name)] * len(found)
  if not files:
    raise DataError(f"{base} has no PNG, JPEG or WebP image")
  files = [file.replace(os.sep, "/") for file in files]
  groups = None
  if group_regex is not None:
    groups = [_group(group_regex, file) for file in files]
  return FolderSource(
    root, files, np.asarray(labels, np.int64), class_names, groups
  )


def _group(pattern, file):
  match = re.search(pattern, file)
  if match is None or (match.re.groups and match.group(1) is None):
    raise DataError(f"--group-regex {pattern!r} does not match {file}")
  return match.group(1) if match.re.groups else match.group()


def _check_groups(root, sources):
  seen = {}
  for split, source in sources.items():
    for group in set(source.groups):
      if group in seen:
        raise DataError(
          f"{root} has images of the group {group!r} both in its {seen[group]} "
          f"and its {split} folder"
        )
      seen[group] = split


def _subfolders(folder):
  return sorted(entry.name for entry in _entries(folder) if _is_folder(entry))


def _images_in(folder, base) -> Iterator[str]:
  """Image files of one folder, as paths relative to `base`."""
  for entry in _entries(folder):
    if _is_folder(entry):
      continue
    stem, suffix = os.path.splitext(entry.name.lower())
    if suffix in IMAGE_SUFFIXES:
      yield os.path.relpath(entry.path, base)
    elif suffix not in _STRAY_SUFFIXES and stem not in _STRAY_NAMES:
      raise DataError(
        f"{entry.path} is no PNG, JPEG or WebP image; convert it or move it "
        "away"
      )


def _walk(folder, base, above) -> Iterator[str]:
  """Image files of a folder and all below, in a fixed order."""
  real = os.path.realpath(folder)
  if real in above:
    raise DataError(f"{folder} is a link to a folder that it lies in")
  yield from _images_in(folder, base)
  for name in _subfolders(folder):
    yield from _walk(Path(folder) / name, base, (*above, real))


def _entries(folder):
  try:
    with os.scandir(folder) as entries:
      visible = [e for e in entries if not e.name.startswith((".", "__"))]
  except OSError as error:
    raise DataError(f"{folder} cannot be read: {error.strerror}") from None
  return sorted(visible, key=lambda entry: entry.name)


def _is_folder(entry):
  try:
    return entry.is_dir()
  except OSError as error:  # A link to itself.
    raise DataError(
      f"{entry.path} cannot be followed: {error.strerror}"
    ) from None
