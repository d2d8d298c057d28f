"""`folder:DIR`: class folders of image files, or one flat folder."""

import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Int

from vqvae_jax.data import folder_layout, folder_manifest, images
from vqvae_jax.data.folder_scan import Scan, find_root
from vqvae_jax.data.labels_csv import read_table
from vqvae_jax.data.labels_match import label_files
from vqvae_jax.data.notes import examples, note, shown
from vqvae_jax.data.source import Image, Source, SourceSplits
from vqvae_jax.errors import DataError

_T = TypeVar("_T")


class FolderSource(Source):
  """Image files with labels; a file is opened when its image is needed."""

  def __init__(
    self,
    root: Path,
    files: Sequence[str],
    labels: Sequence[int] | Int[np.ndarray, " n"],
    class_names: Sequence[str],
    group_regex: str | None,
  ):
    """Takes the files, and what is known about them.

    Args:
      root: path of the folder.
      files: paths relative to it.
      labels: label of each file.
      class_names: one name for each label; empty if there are no labels.
      group_regex: pattern that gives the group of each file; None for no
        groups.

    Raises:
      DataError: if a path does not match `group_regex`.
    """
    self.name = f"folder:{root}"
    self.root = root
    self.files = [file.replace(os.sep, "/") for file in files]
    self.labels = np.asarray(labels, np.int64)
    self.class_names = tuple(class_names)
    if group_regex is not None:
      self.groups = [_group(group_regex, file) for file in self.files]

  def image(self, index: int) -> Image:
    return self._read(images.decode, index)

  def shape(self, index: int) -> images.Shape:
    return self._read(images.read_shape, index)

  def describe(self, index: int) -> str:
    return shown(self.root / self.files[index])

  def _read(self, read: Callable[[Path, str], _T], index: int) -> _T:
    path, name = self.root / self.files[index], self.describe(index)
    try:
      return read(path, name)
    except DataError:
      if path.exists():
        raise
      raise DataError(
        f"{name} was listed, but is gone; is something moving the images?"
      ) from None


def open_folder(
  path: str, group_regex: str | None, labels_csv_flag: str | None = None
) -> SourceSplits:
  """Opens the data set in a folder.

  Args:
    path: path of a folder with one subfolder for each class, or with images and
      no subfolders (unlabelled), or with such folders called `train`,
      `val`/`valid`/`validation` and `test`; or the folder of a job of
      sample.py that wrote PNG files.
    group_regex: pattern that is searched in each file's path relative to the
      folder; files with the same first capturing group (or match) belong
      together.
    labels_csv_flag: value of `--labels-csv`, a table with the labels; folders
      are not classes then, but may be splits.

  Raises:
    DataError: if the folder is missing, it is not clear which folders are
      classes, a class has no image, a file is neither an image nor one of the
      usual companions, a path does not match `group_regex`, or two of the
      folder's own splits share a group.
  """
  root = find_root(path)
  manifest = None
  if labels_csv_flag is None:
    manifest = folder_manifest.find_manifest(root)
  if labels_csv_flag is not None:
    scan, sources = _from_table(root, group_regex, labels_csv_flag)
  elif manifest is not None:
    scan, sources = _from_manifest(root, manifest, group_regex)
  else:
    scan, sources = _from_folders(root, group_regex)
  if group_regex is not None:
    _check_groups(root, sources)
  scan.report(f"folder:{shown(root)}")
  _point_at_table(scan, sources["train"])
  return SourceSplits(
    sources["train"].name,
    {split: lambda source=source: source for split, source in sources.items()},
  )


def _from_folders(root, group_regex):
  """Reads a set whose labels are the names of folders."""
  scan = Scan(root)
  folders = folder_layout.find_splits(scan)
  train = _list(scan, folders["train"], None, group_regex)
  sources = {"train": train} | {
    split: _list(scan, folder, train.class_names, group_regex)
    for split, folder in folders.items()
    if split != "train"
  }
  _note_missing(sources)
  return scan, sources


def _from_table(root, group_regex, flag):
  """Reads a set whose labels are in a table; its folders may be splits."""
  table = read_table(flag)
  scan = Scan(root, known=(table.path,))
  files = {
    split: [file.replace(os.sep, "/") for file in scan.walk(folder)]
    for split, folder in folder_layout.find_splits(scan).items()
  }
  for split, names in files.items():
    if not names:
      raise _no_image(scan, f"the {split} split of {shown(root)}", "")
  class_names, labels = label_files(table, root, files, f"folder:{shown(root)}")
  sources = {
    split: FolderSource(root, names, labels[split], class_names, group_regex)
    for split, names in files.items()
  }
  _note_missing(sources)
  return scan, sources


def _from_manifest(root, manifest, group_regex):
  """Reads a set that a job of sample.py wrote."""
  scan = Scan(manifest.images)
  classes = folder_manifest.present_classes(
    manifest, scan, f"folder:{shown(root)}"
  )
  labels = [i for i, (_, files) in enumerate(classes) for _ in files]
  source = FolderSource(
    manifest.images,
    [file for _, files in classes for file in files],
    labels,
    [name for name, _ in classes] if manifest.is_labelled else (),
    group_regex,
  )
  return scan, {"train": source}


def _list(scan, split, class_names, group_regex):
  """Lists the files of a split by its class folders.

  Args:
    scan: the scan of the whole set.
    split: folder of the split.
    class_names: classes of the training images; None if this is their folder.
    group_regex: pattern of the groups.
  """
  base, level = scan.root / split, scan.look(split)
  where, names = shown(base), level.folders
  if names and level.images:
    raise DataError(
      f"{where}/{shown(level.images[0].name)} lies beside the class folders of "
      f"{where}; move it into one of them"
    )
  if not names or folder_layout.is_unlabelled(names):
    files = scan.walk(split)
    if not files:
      raise _no_image(scan, where, split)
    if class_names:
      raise DataError(
        f"{where} has no class folders, so no labels, but the train folder "
        f"has; sort its images into class folders, or move {where} away"
      )
    return FolderSource(scan.root, files, [0] * len(files), (), group_regex)
  folder_layout.check_classes(scan, split, names)
  if class_names is None:
    class_names = names
  elif not class_names:
    raise DataError(
      f"{where} has class folders, but the train folder has none; sort the "
      f"training images into class folders, or move {where} away"
    )
  files, labels = [], []
  for name in names:
    if name not in class_names:
      raise _unknown_class(base / name, class_names)
    folder = os.path.join(split, name)
    found = scan.walk(folder)
    if not found:
      raise _no_image(scan, f"the class folder {shown(base / name)}", folder)
    files += found
    labels += [class_names.index(name)] * len(found)
  return FolderSource(scan.root, files, labels, class_names, group_regex)


def _no_image(scan, what, folder):
  return DataError(
    f"{what} has no PNG, JPEG or WebP image{scan.skipped_below(folder)}; fill "
    "it, or move it away"
  )


def _unknown_class(path, class_names):
  other = folder_layout.closest(path.name, class_names)
  hint = f"; train has {other!r}, so rename one of them" if other else ""
  return DataError(
    f"{shown(path)} is a class that the train folder does not have{hint}"
  )


def _note_missing(sources):
  """Prints which classes a split of the folder's own does not have."""
  names = sources["train"].class_names
  for split, source in sources.items():
    present = set(source.labels.tolist())
    missing = [name for i, name in enumerate(names) if i not in present]
    if missing:
      note(
        f"{shown(source.name)}: its {split} split has no image of "
        f"{examples(missing)}"
      )


def _point_at_table(scan, train):
  """Prints how to read a table, if the folders give no labels but it may."""
  tables = [] if len(train.class_names) > 1 else scan.tables()
  if tables:
    flag = shlex.quote(f"--labels-csv={scan.root / tables[0]}")
    classes = "one class folder" if train.class_names else "no class folders"
    note(
      f"{shown(train.name)} has {classes}, so its images have no labels; if "
      f"{shown(tables[0])} has labels, add {shown(flag)}"
    )


def _group(pattern, file):
  match = re.search(pattern, file)
  if match is None or (match.re.groups and match.group(1) is None):
    raise DataError(f"--group-regex {pattern!r} does not match {shown(file)}")
  return match.group(1) if match.re.groups else match.group()


def _check_groups(root, sources: Mapping[str, FolderSource]):
  seen = {}
  for split, source in sources.items():
    for group in set(source.groups):
      if group in seen:
        raise DataError(
          f"{shown(root)} has images of the group {group!r} both in its "
          f"{seen[group]} and its {split} folder"
        )
      seen[group] = split
