"""Finds the file that a row of a table names."""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from vqvae_jax.data.folder_file_types import CONVERTED_SUFFIXES


class FileFinder:
  """The image files of a folder, found by the names that tables give them.

  A table may name a file with or without its extension, its folders, or the
  folder of the whole set, and with the extension that the file had before it
  was converted.
  """

  def __init__(self, root: Path, files: Sequence[str]):
    """Takes the files.

    Args:
      root: path of the folder.
      files: paths relative to it, with slashes.
    """
    self._above = root.resolve().parts
    self._by_name, self._by_stem = _Index(), _Index()
    self._common = 0
    for file in files:
      self._by_name.add(file, file)
      self._by_stem.add(os.path.splitext(file)[0], file)

  def learn(self, names: Iterable[str]) -> None:
    """Learns which folders all names of a table begin with."""
    folders = {tuple(_parts(name)[:-1]) for name in names}
    self._common = len(os.path.commonprefix(list(folders)))

  def find(self, name: str) -> list[str]:
    """Returns the file of a name, or two files if the name is ambiguous."""
    parts = _parts(name)
    if not parts:
      return []
    stem, suffix = os.path.splitext(parts[-1])
    found = self._look(self._by_name, parts) or self._look(self._by_stem, parts)
    if not found and suffix.lower() in CONVERTED_SUFFIXES:
      found = self._look(self._by_stem, [*parts[:-1], stem])
    return found

  def _look(self, index, parts):
    """Looks below the root, then with folders above it, then in any folder."""
    for start in range(len(parts)):
      found = index.whole.get("/".join(parts[start:]))
      if found and _ends(self._above, parts[:start]):
        return found
    found = index.tails.get("/".join(parts))
    if not found and 0 < self._common < len(parts):
      # The set has been moved, or its folder has been renamed.
      found = index.tails.get("/".join(parts[self._common :]))
    return found or []


class _Index:
  """Files by their paths and by the ends of their paths, at most two each."""

  def __init__(self):
    self.whole = {}
    self.tails = {}

  def add(self, path, file) -> None:
    _append(self.whole, path, file)
    tail = path
    while tail:
      _append(self.tails, tail, file)
      tail = tail.partition("/")[2]


def _append(index, key, file):
  files = index.setdefault(key, [])
  # Two suffice to show that a name is ambiguous.
  if len(files) < 2:
    files.append(file)


def _parts(name):
  parts = re.split(r"[/\\]", name)
  return [part for part in parts if part not in ("", ".")]


def _ends(folders, tail):
  return not tail or list(folders[-len(tail) :]) == tail
