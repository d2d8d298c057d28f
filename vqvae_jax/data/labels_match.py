"""The label of each image file, by the rows of a table."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from vqvae_jax.data.file_finder import FileFinder
from vqvae_jax.data.folder_layout import check_names
from vqvae_jax.data.labels_csv import Table
from vqvae_jax.data.notes import amount, examples, note, shown
from vqvae_jax.errors import DataError

_EMPTY = ("", "nan", "null")


def label_files(
  table: Table, root: Path, splits: Mapping[str, Sequence[str]], name: str
) -> tuple[tuple[str, ...], dict[str, list[int]]]:
  """Returns the names of the classes, and the label of every file.

  Classes are in the order of their names, or of their values if all are
  integers.

  Args:
    table: the table.
    root: folder of the images.
    splits: image files of each split, relative to `root`.
    name: name of the data set.

  Returns:
    The names of the classes, and the labels of the files of each split.

  Raises:
    DataError: if an image has no row, or its row does not have one label.
  """
  files = [file for names in splits.values() for file in names]
  found, absent = _match(table, FileFinder(root, files))
  where = shown(table.path)
  bare = [file for file in files if file not in found]
  if bare:
    raise DataError(_without_row(table, files, bare, absent))
  _check_cells(where, found)
  classes = _in_order({found[file].label for file in splits["train"]})
  check_names(classes, where)
  numbers = {label: number for number, label in enumerate(classes)}
  for split, names in splits.items():
    for file in names:
      if found[file].label not in numbers:
        raise DataError(
          f"{where}, line {found[file].line}: the {split} image {shown(file)} "
          f"is {found[file].label!r}, a class that no training image has"
        )
  file_column, label_column = table.columns
  note(
    f"{name}: {amount(len(classes), 'class', 'classes')} from {where}, columns "
    f"{shown(file_column)!r} and {shown(label_column)!r}: "
    f"{examples(classes, 10)}"
  )
  if absent:
    verb = "names a file that is" if len(absent) == 1 else "name files that are"
    note(
      f"{name}: {amount(len(absent), 'row')} of {where} {verb} not there "
      f"(first: line {absent[0].line}, {shown(absent[0].file)})"
    )
  return classes, {
    split: [numbers[found[file].label] for file in names]
    for split, names in splits.items()
  }


def _match(table, files):
  """Returns the row of each file, and the rows without a file."""
  found, absent, clashes = {}, [], []
  files.learn(row.file for row in table.rows)
  for row in table.rows:
    same = files.find(row.file)
    if len(same) > 1:
      raise DataError(
        f"{shown(table.path)}, line {row.line}: {shown(row.file)} could be "
        f"{' or '.join(shown(file) for file in same[:2])}; write the whole "
        "path"
      )
    if not same:
      absent.append(row)
      continue
    first = found.setdefault(same[0], row)
    if first.label != row.label:
      clashes.append((same[0], first, row))
  if clashes:
    file, first, row = clashes[0]
    raise DataError(
      f"{shown(table.path)} has {amount(len(clashes), 'row')} with another "
      f"label for a file than a row above (first: {shown(file)} is "
      f"{shown(first.label)!r} in line {first.line} and {shown(row.label)!r} "
      f"in line {row.line}); keep one of them"
    )
  return found, absent


def _without_row(table, files, bare, absent):
  where = shown(table.path)
  if len(bare) == len(files):
    if not absent:
      return f"{where} has no row below its column names"
    return (
      f"no row of {where} names an image of the folder: its column "
      f"{shown(table.columns[0])!r} has {shown(absent[0].file)} in line "
      f"{absent[0].line}, and the first image is {shown(files[0])}"
    )
  verb = "has" if len(bare) == 1 else "have"
  return (
    f"{len(bare):,} of {amount(len(files), 'image')} {verb} no row in "
    f"{where} (first: {shown(bare[0])}); add rows, or move the images away"
  )


def _check_cells(where, found):
  """Refuses cells without a label or with several labels."""
  labels = {row.label for row in found.values()}
  empty = [row for row in found.values() if row.label.casefold() in _EMPTY]
  several = [row for row in found.values() if _is_several(row.label, labels)]
  for rows, what, todo in (
    (empty, "no label", "fill it in, or move those images away"),
    (
      several,
      "several labels",
      "an image has one class here: write one, or move those images away",
    ),
  ):
    if rows:
      verb = "has" if len(rows) == 1 else "have"
      first = min(rows, key=lambda row: row.line)
      raise DataError(
        f"{where}: {amount(len(rows), 'image')} {verb} {what} (first: line "
        f"{first.line}, {shown(first.file)} is {shown(first.label)!r}); {todo}"
      )


def _is_several(label, labels):
  if "|" in label:
    return True
  parts = [part.strip() for part in re.split(r"[,;/+&]", label)]
  return len(parts) > 1 and all(part in labels for part in parts)


def _in_order(labels):
  if all(re.fullmatch(r"-?[0-9]{1,18}", label) for label in labels):
    return tuple(sorted(labels, key=lambda label: (int(label), label)))
  return tuple(sorted(labels))
