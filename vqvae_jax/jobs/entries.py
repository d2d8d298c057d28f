"""The entries of a folder and its folders; links are not followed."""

import os
from collections.abc import Iterator

from etils import epath

from vqvae_jax.files import is_remote

# File managers and repositories leave these; readers of images skip them.
_LITTER = frozenset((".DS_Store", "Thumbs.db", "desktop.ini"))
_BESIDE = frozenset((".git", ".gitattributes", ".gitignore", "LICENSE"))


def entries(
  root: epath.Path, above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], str]]:
  """Yields everything in a folder and below it.

  Args:
    root: path of the folder.
    above: names to put before those in the folder.

  Yields:
    names: names from the folder down to an entry.
    kind: "file", "folder", "link", or "device" for anything else.
  """
  for name, kind in sorted(_listed(root)):
    if name in _LITTER or (not above and name in _BESIDE):
      continue
    yield (*above, name), kind
    if kind == "folder":
      yield from entries(root / name, (*above, name))


def links(root: epath.Path) -> Iterator[epath.Path]:
  """Yields the links in a folder and below it."""
  for names, kind in entries(root):
    if kind == "link":
      yield root.joinpath(*names)


def _listed(root):
  if is_remote(root):
    # Buckets have no links.
    return [
      (p.name, "folder" if p.is_dir() else "file") for p in root.iterdir()
    ]
  with os.scandir(root) as found:
    return [(entry.name, _kind(entry)) for entry in found]


def _kind(entry):
  if entry.is_symlink():
    return "link"
  if entry.is_dir(follow_symlinks=False):
    return "folder"
  return "file" if entry.is_file(follow_symlinks=False) else "device"
