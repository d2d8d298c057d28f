"""The files of an image folder: what is read, passed over, or refused.

Nothing is passed over in silence: what is skipped is counted, and a file that
may be an image in a format that is not read ends the reading.
"""

import collections
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from vqvae_jax.data.folder_file_types import (
  IMAGE_SUFFIXES,
  NO_IMAGES,
  is_companion,
  is_system,
  mistake,
)
from vqvae_jax.data.notes import amount, examples, note, shown
from vqvae_jax.errors import DataError


def home_path(path: str) -> Path:
  """A local path as the user means it.

  Raises:
    DataError: if it begins with `~` and a user who is not there.
  """
  try:
    return Path(path).expanduser()
  except RuntimeError as error:
    raise DataError(f"{shown(path)}: {error}") from None


class Image(NamedTuple):
  """An image file of one folder, as the folder lists it."""

  name: str
  inode: int
  is_link: bool


class Level(NamedTuple):
  """What one folder holds itself, sorted by name."""

  folders: tuple[str, ...]
  images: tuple[Image, ...]

  @property
  def only_folders(self) -> bool:
    """Whether it holds folders and no image."""
    return bool(self.folders) and not self.images


class Scan:
  """One reading of a folder and of what lies below.

  Paths are relative to the root, with the system's separator.
  """

  def __init__(self, root: Path, known: Iterable[Path] = ()):
    """Begins to read a folder.

    Args:
      root: path of the folder.
      known: paths of files that are read for other reasons, so not skipped.
    """
    self.root = root
    self._known = {os.path.realpath(path) for path in known}
    self._levels = {}
    self._walked = {}
    self._by_path = {}
    self._by_inode = {}
    # Why something is skipped, with the files and the folders.
    self._skipped = collections.defaultdict(list)
    self._counts = collections.Counter()

  def look(self, folder: str) -> Level:
    """What a folder holds; each is listed once only.

    Raises:
      DataError: if it cannot be listed, or holds a file that is neither an
        image nor one of the usual companions.
    """
    if folder not in self._levels:
      self._levels[folder] = self._list(folder)
    return self._levels[folder]

  def walk(self, folder: str) -> list[str]:
    """All images of a folder and below, in a fixed order.

    Raises:
      DataError: as `look`, and if a folder or a file is met a second time,
        by links.
    """
    found, ahead = [], [folder]
    while ahead:
      here = ahead.pop()
      real = self._enter(here)
      level = self.look(here)
      for image in level.images:
        path = os.path.join(here, image.name)
        self._check_new(path, real, image)
        found.append(path)
      # The last is the next.
      ahead += [os.path.join(here, name) for name in reversed(level.folders)]
    return found

  def skipped_below(self, folder: str) -> str:
    """What is skipped in a folder, for a message that it has no image."""
    prefix = os.path.join(folder, "")
    names = [
      path
      for paths in self._skipped.values()
      for path in paths
      if path.startswith(prefix)
    ]
    return f" (skipped: {examples(names)})" if names else ""

  def tables(self) -> list[str]:
    """The CSV files among what is skipped."""
    return [
      path
      for path in self._skipped[NO_IMAGES]
      if path.lower().endswith((".csv", ".tsv"))
    ]

  def report(self, name: str):
    """Says in one line what was skipped, if anything.

    Args:
      name: the name of the data set.
    """
    if not self._counts:
      return
    total = " and ".join(
      amount(self._counts[kind], kind)
      for kind in ("file", "folder")
      if self._counts[kind]
    )
    verb = "is" if sum(self._counts.values()) == 1 else "are"
    reasons = ", ".join(
      f"{len(paths):,} {reason} ({examples(paths)})"
      for reason, paths in self._skipped.items()
      if paths
    )
    note(f"{name}: {total} {verb} skipped: {reasons}")

  def _list(self, folder):
    try:
      with os.scandir(self.root / folder) as entries:
        entries = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
      raise DataError(
        f"{shown(self.root / folder)} cannot be read: {error.strerror}"
      ) from None
    folders, images = [], []
    for entry in entries:
      is_folder = _is_folder(entry)
      reason = None
      if entry.name.startswith("."):
        reason = "hidden"
      elif is_system(entry.name):
        reason = "of the system"
      elif not is_folder and is_companion(entry.name):
        reason = NO_IMAGES
      if reason is not None:
        self._skip(folder, entry, is_folder, reason)
      elif is_folder:
        folders.append(entry.name)
      else:
        images.append(self._image(entry))
    return Level(tuple(folders), tuple(images))

  def _skip(self, folder, entry, is_folder, reason):
    if os.path.realpath(entry.path) in self._known:
      return
    self._skipped[reason].append(os.path.join(folder, entry.name))
    self._counts["folder" if is_folder else "file"] += 1

  def _image(self, entry):
    suffix = os.path.splitext(entry.name)[1].lower()
    if suffix in IMAGE_SUFFIXES and entry.is_file():
      return Image(entry.name, entry.inode(), entry.is_symlink())
    raise DataError(mistake(entry.path, self.root))

  def _enter(self, folder):
    """The real path of a folder that is met for the first time."""
    real = os.path.realpath(self.root / folder)
    first = self._walked.setdefault(real, folder)
    if first != folder:
      here, there = shown(self.root / folder), shown(self.root / first)
      if Path(first) in Path(folder).parents:
        raise DataError(f"{here} is a link to a folder that it lies in")
      raise DataError(
        f"{here} and {there} are one folder, by a link; remove one of them"
      )
    return real

  def _check_new(self, path, real_folder, image):
    """Refuses an image that was met under another name.

    It would have two labels, or lie on both sides of a split.
    """
    full = os.path.join(real_folder, image.name)
    key = os.path.realpath(full) if image.is_link else full
    first = self._by_path.setdefault(key, path)
    if first == path and image.inode and not image.is_link:
      # Equal numbers on two disks are no proof.
      other = self._by_inode.setdefault(image.inode, path)
      if other != path and _same_file(self.root / path, self.root / other):
        first = other
    if first != path:
      raise DataError(
        f"{shown(self.root / first)} and {shown(self.root / path)} are one "
        "file, by a link; remove one of them"
      )


def _is_folder(entry):
  try:
    return entry.is_dir()
  except OSError as error:  # A link to itself.
    raise DataError(
      f"{shown(entry.path)} cannot be followed: {error.strerror}"
    ) from None


def _same_file(path, other):
  try:
    return os.path.samefile(path, other)
  except OSError:  # It is gone, which is met when it is read.
    return False
