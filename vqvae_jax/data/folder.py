"""`folder:DIR`: class folders of image files, or one flat folder."""

import difflib
import os
import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Int

from vqvae_jax.data import folder_layout, folder_manifest, images, labels_csv
from vqvae_jax.data.folder_scan import Scan, home_path
from vqvae_jax.data.notes import examples, is_safe, note, shown
from vqvae_jax.data.source import Dataset, Example, Source
from vqvae_jax.errors import DataError

_T = TypeVar("_T")


class FolderSource(Source):
  """Image files with labels; a file is opened when its image is asked for."""

  def __init__(
    self,
    root: Path,
    files: Sequence[str],
    labels: Int[np.ndarray, " n"],
    class_names: Sequence[str],
    group_regex: str | None,
  ):
    """Takes the files and what is known of them.

    Args:
      root: path of the folder.
      files: paths relative to it.
      labels: the label of each file.
      class_names: one for each label; none if there are no labels.
      group_regex: gives the group of each file; None for no groups.

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

  def __getitem__(self, index: int) -> Example:
    image = self._read(images.decode, index)
    return {"image": image, "label": int(self.labels[index])}

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
) -> Dataset:
  """The data set in a folder.

  Args:
    path: a folder with one subfolder for each class, or with images and no
      subfolders (unlabelled), or with such folders called `train`,
      `val`/`valid`/`validation` and `test`; or the folder of a job of
      sample.py that wrote PNG files.
    group_regex: searched in each file's path relative to the folder; files
      with the same first capturing group (or match) belong together.
    labels_csv_flag: as `--labels-csv`, a table that has the labels; folders
      are no classes then, but may be splits.

  Raises:
    DataError: if the folder is missing, it is not clear which folders are
      classes, a class has no image, a file is neither an image nor one of the
      usual companions, a path does not match `group_regex`, or two of the
      folder's own splits share a group.
  """
  root = _root(path)
  if labels_csv_flag is not None:
    scan, sources = _from_table(root, group_regex, labels_csv_flag)
  else:
    manifest = folder_manifest.find_manifest(root)
    if manifest is not None:
      scan, sources = _from_manifest(root, manifest, group_regex)
    else:
      scan, sources = _from_folders(root, group_regex)
  if group_regex is not None:
    _check_groups(root, sources)
  name = f"folder:{shown(root)}"
  scan.report(name)
  _say_table(scan, sources["train"])
  return Dataset(
    sources["train"].name,
    {split: lambda source=source: source for split, source in sources.items()},
  )


def _root(path):
  if not path:
    raise DataError("folder: names no folder; write folder:DIR")
  root = home_path(path)
  if not is_safe(path):
    raise DataError(
      f"folder:{shown(path)} has a name that is not UTF-8 or has a control "
      "character; rename it"
    )
  if os.path.isdir(root):
    return root
  if os.path.islink(root):
    raise DataError(f"folder:{path} is a link to nothing")
  if os.path.exists(root):
    raise DataError(f"folder:{path} is a file, not a folder")
  raise DataError(f"folder:{path}: there is no such folder{_suggestion(root)}")


def _suggestion(root):
  try:
    siblings = [p.name for p in root.parent.iterdir() if p.is_dir()]
  except OSError:
    return ""
  by_case = {name.casefold(): name for name in sorted(siblings)}
  near = difflib.get_close_matches(root.name.casefold(), by_case, 1)
  if not near:
    return ""
  return (
    "; did you mean "
    f"{shown(shlex.quote(f'folder:{root.parent / by_case[near[0]]}'))}?"
  )


def _from_folders(root, group_regex):
  """Labels by the names of folders."""
  scan = Scan(root)
  parts = folder_layout.find_splits(scan)
  train = _read(scan, parts["train"], None, group_regex)
  sources = {"train": train} | {
    split: _read(scan, part, train.class_names, group_regex)
    for split, part in parts.items()
    if split != "train"
  }
  _say_missing(sources)
  return scan, sources


def _from_table(root, group_regex, flag):
  """Labels by a table; folders are splits, or nothing but places."""
  table = labels_csv.read_table(flag)
  scan = Scan(root, known=(table.path,))
  parts = {
    split: [file.replace(os.sep, "/") for file in scan.walk(part)]
    for split, part in folder_layout.find_splits(scan).items()
  }
  for split, files in parts.items():
    if not files:
      raise _no_image(scan, f"the {split} split of {shown(root)}", "")
  names, labels = labels_csv.label_files(
    table, root, parts, f"folder:{shown(root)}"
  )
  sources = {
    split: FolderSource(root, files, labels[split], names, group_regex)
    for split, files in parts.items()
  }
  _say_missing(sources)
  return scan, sources


def _from_manifest(root, manifest, group_regex):
  """Labels by the manifest of a job of sample.py."""
  scan = Scan(manifest.images)
  kept = folder_manifest.kept_classes(manifest, scan, f"folder:{shown(root)}")
  files = [file for _, files in kept for file in files]
  labels = np.repeat(np.arange(len(kept)), [len(files) for _, files in kept])
  names = tuple(name for name, _ in kept)
  source = FolderSource(
    manifest.images,
    files,
    labels,
    names if manifest.is_labelled else (),
    group_regex,
  )
  return scan, {"train": source}


def _read(scan, part, class_names, group_regex):
  """Lists one split; `class_names` are those of train, if known already."""
  base, level = scan.root / part, scan.look(part)
  where, names = shown(base), level.folders
  if names and level.images:
    raise DataError(
      f"{where}/{shown(level.images[0].name)} lies beside the class folders of "
      f"{where}; move it into one of them"
    )
  if not names or folder_layout.is_unlabelled(names):
    files = scan.walk(part)
    if not files:
      raise _no_image(scan, where, part)
    if class_names:
      raise DataError(
        f"{where} has no class folders, so no labels, but the train folder "
        f"has; sort its images into class folders, or move {where} away"
      )
    labels = np.zeros(len(files), np.int64)
    return FolderSource(scan.root, files, labels, (), group_regex)
  folder_layout.check_classes(scan, part, names)
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
    found = scan.walk(os.path.join(part, name))
    if not found:
      raise _no_image(
        scan, f"the class folder {shown(base / name)}", os.path.join(part, name)
      )
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
  hint = f"; train has {other!r}, rename one of them" if other else ""
  return DataError(
    f"{shown(path)} is a class that the train folder does not have{hint}"
  )


def _say_missing(sources):
  """Says which classes a split of its own does not have."""
  names = sources["train"].class_names
  for split, source in sources.items():
    present = set(source.labels.tolist())
    missing = [name for i, name in enumerate(names) if i not in present]
    if missing:
      note(
        f"{shown(source.name)}: its {split} split has no image of "
        f"{examples(missing)}"
      )


def _say_table(scan, train):
  """Says how labels in a table are used, where folders tell none."""
  tables = [] if len(train.class_names) > 1 else scan.tables()
  if tables:
    flag = shlex.quote(f"--labels-csv={scan.root / tables[0]}")
    classes = "one class folder" if train.class_names else "no class folders"
    note(
      f"{shown(train.name)} has {classes}, so no labels to tell apart; if "
      f"{shown(tables[0])} has labels, add {shown(flag)}"
    )


def _group(pattern, file):
  match = re.search(pattern, file)
  if match is None or (match.re.groups and match.group(1) is None):
    raise DataError(f"--group-regex {pattern!r} does not match {shown(file)}")
  return match.group(1) if match.re.groups else match.group()


def _check_groups(root, sources):
  seen = {}
  for split, source in sources.items():
    for group in set(source.groups):
      if group in seen:
        raise DataError(
          f"{shown(root)} has images of the group {group!r} both in its "
          f"{seen[group]} and its {split} folder"
        )
      seen[group] = split
