"""The files of an image folder: which are read, skipped, or refused.

Files that are skipped are counted, and the user sees how many they are. A file
that may be an image in another format ends the reading.
"""

import collections
import difflib
import os
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from vqvae_jax.data.folder_file_types import (
  COMPANION,
  IMAGE_SUFFIXES,
  is_companion,
  is_system,
  mistake,
)
from vqvae_jax.data.notes import amount, examples, is_safe, note, shown
from vqvae_jax.errors import DataError


def home_path(path: str) -> Path:
  """Returns a local path, in which `~` is the home folder.

  Raises:
    DataError: if it begins with `~` and the name of an unknown user.
  """
  try:
    return Path(path).expanduser()
  except RuntimeError as error:
    raise DataError(f"{shown(path)}: {error}") from None


def find_root(path: str) -> Path:
  """Returns the folder that `folder:DIR` names.

  Raises:
    DataError: if it is not a folder.
  """
  if not path:
    raise DataError("folder: does not name a folder; write folder:DIR")
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
  raise DataError(f"folder:{path} does not exist{_suggestion(root)}")


def _suggestion(root):
  try:
    siblings = [p.name for p in root.parent.iterdir() if p.is_dir()]
  except OSError:
    return ""
  by_case = {name.casefold(): name for name in sorted(siblings)}
  near = difflib.get_close_matches(root.name.casefold(), by_case, 1)
  if not near:
    return ""
  command = shlex.quote(f"folder:{root.parent / by_case[near[0]]}")
  return f"; did you mean {shown(command)}?"


class ImageFile(NamedTuple):
  """An image file as its folder lists it."""

  name: str
  inode: int
  is_link: bool


class Level(NamedTuple):
  """The folders and images directly in a folder, sorted by name."""

  folders: tuple[str, ...]
  images: tuple[ImageFile, ...]

  @property
  def only_folders(self) -> bool:
    """Whether there are folders and no image."""
    return bool(self.folders) and not self.images


class Scan:
  """One reading of a folder and of all folders below it.

  Paths are relative to the root, with the system's separator.
  """

  def __init__(self, root: Path, known: Iterable[Path] = ()):
    """Begins to read a folder.

    Args:
      root: path of the folder.
      known: paths of files that are not images, but are read otherwise.
    """
    self.root = root
    self._known = {os.path.realpath(path) for path in known}
    self._levels = {}
    self._walked = {}
    self._by_path = {}
    self._by_inode = {}
    # Paths of skipped files and folders by the reason.
    self._skipped = collections.defaultdict(list)
    self._counts = collections.Counter()

  def look(self, folder: str) -> Level:
    """Returns what a folder holds; each folder is listed only once.

    Raises:
      DataError: if it cannot be listed, or holds a file that is neither an
        image nor one of the usual companions.
    """
    if folder not in self._levels:
      self._levels[folder] = self._list(folder)
    return self._levels[folder]

  def walk(self, folder: str) -> list[str]:
    """Returns all images in a folder and below, in a fixed order.

    Raises:
      DataError: as `look` does, and if links lead to a folder or file for the
        second time.
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
      # The last folder is the next to be read.
      ahead += [os.path.join(here, name) for name in reversed(level.folders)]
    return found

  def skipped_below(self, folder: str) -> str:
    """Returns what is skipped in a folder, for a message."""
    prefix = os.path.join(folder, "")
    names = [
      path
      for paths in self._skipped.values()
      for path in paths
      if path.startswith(prefix)
    ]
    return f" (skipped: {examples(names)})" if names else ""

  def tables(self) -> list[str]:
    """Returns the CSV files among the skipped files."""
    return [
      path
      for path in self._skipped[COMPANION]
      if path.lower().endswith((".csv", ".tsv"))
    ]

  def report(self, name: str) -> None:
    """Prints in one line what was skipped, if anything was.

    Args:
      name: name of the data set.
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
        reason = COMPANION
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
      return ImageFile(entry.name, entry.inode(), entry.is_symlink())
    raise DataError(mistake(entry.path, self.root))

  def _enter(self, folder):
    """Returns the real path of a folder, unless links lead to it again."""
    real = os.path.realpath(self.root / folder)
    first = self._walked.setdefault(real, folder)
    if first != folder:
      here, there = shown(self.root / folder), shown(self.root / first)
      if Path(first) in Path(folder).parents:
        raise DataError(f"{here} is a link to a folder that contains it")
      raise DataError(
        f"{here} and {there} are one folder, by a link; remove one of them"
      )
    return real

  def _check_new(self, path, real_folder, image):
    """Refuses an image that was found before under another name.

    It would have two labels, or be in two splits.
    """
    full = os.path.join(real_folder, image.name)
    key = os.path.realpath(full) if image.is_link else full
    first = self._by_path.setdefault(key, path)
    if first == path and image.inode and not image.is_link:
      # Two disks may have equal numbers.
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
  except OSError as error:  # Such as a link to itself.
    raise DataError(
      f"{shown(entry.path)} cannot be followed: {error.strerror}"
    ) from None


def _same_file(path, other):
  try:
    return os.path.samefile(path, other)
  except OSError:  # The file is gone, which is reported when it is read.
    return False
