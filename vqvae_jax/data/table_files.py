"""Which file a table means: by its name, and the folders written with it."""

import collections
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from vqvae_jax.data.file_kinds import CONVERTED_SUFFIXES


class Files:
  """The image files of a folder, found by what tables call them.

  A table may write a file with or without its extension, its folders, or the
  folder of the whole set; and with the extension that the file had before it
  was converted.
  """

  def __init__(self, root: Path, files: Sequence[str]):
    """Takes the files.

    Args:
      root: path of the folder.
      files: paths relative to it, with slashes.
    """
    self._above = root.resolve().parts
    self._by_name = collections.defaultdict(list)
    self._by_stem = collections.defaultdict(list)
    self._common = 0
    for file in files:
      name = file.rpartition("/")[2]
      self._by_name[name].append(file)
      self._by_stem[os.path.splitext(name)[0]].append(file)

  def learn(self, names: Iterable[str]):
    """Looks for folders that all names begin with: where the set once lay."""
    folders = {tuple(_parts(name)[:-1]) for name in names}
    self._common = len(os.path.commonprefix(list(folders)))

  def find(self, name: str) -> list[str]:
    """The files that a name can mean: one, if it is clear."""
    parts = _parts(name)
    if not parts:
      return []
    stem, suffix = os.path.splitext(parts[-1])
    found = self._fitting(self._by_name.get(parts[-1], ()), parts)
    found = found or self._fitting(self._by_stem.get(parts[-1], ()), parts)
    if not found and suffix.lower() in CONVERTED_SUFFIXES:
      found = self._fitting(self._by_stem.get(stem, ()), parts)
    return found

  def _fitting(self, files, parts):
    folders = parts[:-1]
    exact = [file for file in files if file.split("/")[:-1] == folders]
    return exact or [file for file in files if self._fits(file, folders)]

  def _fits(self, file, folders):
    """Whether the folders can be those that the file lies in."""
    above = [*self._above, *file.split("/")[:-1]]
    if _ends(above, folders):
      return True
    # The set was moved, or its folder has another name here.
    rest = folders[self._common :]
    return bool(self._common) and _ends(file.split("/")[:-1], rest)


def _parts(name):
  parts = re.split(r"[/\\]", name)
  return [part for part in parts if part not in ("", ".")]


def _ends(folders, tail):
  return not tail or folders[-len(tail) :] == tail
