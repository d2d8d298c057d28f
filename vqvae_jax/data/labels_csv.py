"""`--labels-csv=FILE`: reads a table of files and labels."""

import csv
import io
import os
import re
from pathlib import Path
from typing import NamedTuple

from vqvae_jax.data.folder_scan import home_path
from vqvae_jax.data.notes import amount, examples, shown
from vqvae_jax.errors import DataError

MAX_BYTES = 2**28
_DELIMITERS = ",;\t|"
# Names that columns have in published sets, in small letters and digits alone.
# Of several groups the first that has a column is taken.
_FILE_COLUMNS = (
  ("file",),
  ("filename", "filepath", "image", "imagefile", "imagefilename", "imageid")
  + ("imageindex", "imagename", "imagepath", "img", "imgid", "imgname")
  + ("imgpath", "path", "idcode"),
  ("id",),
)
_LABEL_COLUMNS = (
  ("label",),
  ("labels", "class", "classname", "category", "target", "diagnosis", "dx")
  + ("finding", "findings", "findinglabel", "findinglabels"),
)


class Row(NamedTuple):
  """One line of the table: its number, the file that it names, the label."""

  line: int
  file: str
  label: str


class Table(NamedTuple):
  """A table.

  Attributes:
    path: path of the file.
    columns: names of the columns of file and label.
    rows: rows below the column names.
  """

  path: Path
  columns: tuple[str, str]
  rows: tuple[Row, ...]


def read_table(flag: str) -> Table:
  """Reads the table that the flag names.

  Args:
    flag: a path; or a path, a colon, and the names of the columns of file and
      label with a comma between them.

  Raises:
    DataError: if the file cannot be read as CSV in UTF-8, or it is not clear
      which columns are meant.
  """
  path, wanted = _parse(flag)
  text = _text(path)
  try:
    records = _records(text)
  except csv.Error as error:
    raise DataError(f"{shown(path)} is not a CSV table: {error}") from None
  if not records:
    raise DataError(f"{shown(path)} is empty")
  header = [cell.strip() for cell in records[0][1]]
  columns = _columns(path, header, wanted)
  rows = []
  for line, cells in records[1:]:
    # If there are more cells, a delimiter is not in quotes.
    if len(cells) <= max(columns) or any(cells[len(header) :]):
      raise DataError(
        f"{shown(path)}, line {line}: it has {amount(len(cells), 'column')}, "
        f"but the first line has {len(header)}"
      )
    rows.append(Row(line, *(cells[column].strip() for column in columns)))
  file_column, label_column = (header[column] for column in columns)
  return Table(path, (file_column, label_column), tuple(rows))


def _parse(flag):
  path = home_path(flag)
  if os.path.isfile(path):
    return path, None
  name, colon, text = flag.rpartition(":")
  path = home_path(name)
  if not colon or not os.path.isfile(path):
    raise DataError(f"--labels-csv: the file {shown(flag)} does not exist")
  wanted = [cell.strip() for cell in next(csv.reader([text]), [])]
  if len(wanted) != 2 or not all(wanted) or wanted[0] == wanted[1]:
    raise DataError(
      f"--labels-csv {shown(flag)}: two columns must follow the colon, as in "
      f"{shown(name)}:file,label"
    )
  return path, wanted


def _text(path):
  try:
    if path.stat().st_size > MAX_BYTES:
      raise DataError(
        f"{shown(path)} is larger than {MAX_BYTES // 2**20} MiB; leave only "
        "the columns of file and label in it"
      )
    content = path.read_bytes()
  except OSError as error:
    raise DataError(f"{shown(path)} cannot be read: {error.strerror}") from None
  if content.startswith((b"\xff\xfe", b"\xfe\xff")):
    raise DataError(
      f"{shown(path)} is in UTF-16, not UTF-8; save it as CSV in UTF-8"
    )
  if content.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
    raise DataError(f"{shown(path)} is a spreadsheet; save it as CSV in UTF-8")
  try:
    text = content.decode("utf-8-sig")
  except UnicodeDecodeError as error:
    line = content.count(b"\n", 0, error.start) + 1
    raise DataError(
      f"{shown(path)}, line {line}: this is not UTF-8; save the table as CSV "
      "in UTF-8"
    ) from None
  if "\0" in text:
    raise DataError(f"{shown(path)} is not a CSV table: it has zero bytes")
  return text


def _records(text):
  """Returns the cells of all lines that are not empty, with line numbers."""
  first = re.match(r"[^\r\n]*", text).group()
  # Excel writes such a line.
  declared = re.fullmatch(f"sep=([{_DELIMITERS}])", first)
  if declared:
    delimiter = declared.group(1)
  else:
    delimiter = max(
      _DELIMITERS, key=lambda d: len(next(csv.reader([first], delimiter=d), []))
    )
  reader = csv.reader(
    io.StringIO(text, newline=""), delimiter=delimiter, strict=True
  )
  records = [(reader.line_num, cells) for cells in reader if any(cells)]
  return records[1:] if declared else records


def _columns(path, header, wanted):
  """Returns the indices of the columns of file and label."""
  if wanted is not None:
    return tuple(_index(path, header, name) for name in wanted)
  plain = [re.sub(r"[^a-z0-9]", "", name.casefold()) for name in header]
  indices = []
  for what, groups in (("file", _FILE_COLUMNS), ("label", _LABEL_COLUMNS)):
    candidates = []
    for group in groups:
      candidates = candidates or [
        i for i, name in enumerate(plain) if name in group
      ]
    if len(candidates) != 1:
      many = "more than one" if candidates else "no"
      raise DataError(
        f"{shown(path)} has {many} column that could be the {what}; its "
        f"columns: {examples(header, 20)}; name two: "
        f"--labels-csv={shown(path)}:file,label"
      )
    indices += candidates
  return tuple(indices)


def _index(path, header, name):
  exact = [i for i, column in enumerate(header) if column == name]
  found = exact or [
    i for i, column in enumerate(header) if column.casefold() == name.casefold()
  ]
  if len(found) != 1:
    raise DataError(
      f"{shown(path)} has {'several columns' if found else 'no column'} "
      f"{shown(name)!r}; its columns: {examples(header, 20)}"
    )
  return found[0]
