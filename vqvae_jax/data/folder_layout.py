"""Which folders are splits and which are classes.

Only the names of the folders and the folders above them show this. If they can
be read in two ways, the set is refused: otherwise every image might get a wrong
label, or test images might be trained on, and nothing would show it later.
"""

import os
import re
import shlex
import unicodedata
from collections.abc import Sequence

from vqvae_jax.data.folder_scan import Scan
from vqvae_jax.data.notes import examples, is_safe, note, shown
from vqvae_jax.errors import DataError

_SPLIT_WORDS = {
  "train": ("train", "training"),
  "validation": ("val", "valid", "validation", "validate", "dev"),
  "test": ("test", "testing"),
  # These words may mean either of the two splits above.
  "eval": ("eval", "evaluation", "holdout", "heldout"),
}
_SPLIT_OF = {
  word: split for split, words in _SPLIT_WORDS.items() for word in words
}
# The end of names such as training_set, test-images, val2017.
_ENDING = r"[ _-]?(set|data|images|imgs|split)?[ _-]?((19|20)\d\d)?"
_SPLIT = re.compile(f"({'|'.join(_SPLIT_OF)}){_ENDING}")
_UNLABELLED = re.compile(
  f"((un|not?[ _-]?)label+(ed)?|unsup(ervised)?){_ENDING}"
)
_PICTURES = frozenset(("images", "imgs", "image", "img", "jpegimages"))
_ANNOTATIONS = frozenset(
  ("masks", "mask", "labels", "annotations", "segmentations", "segmentation")
  + ("ground_truth", "groundtruth", "gt", "bboxes", "segmentationclass")
)


def find_splits(scan: Scan) -> dict[str, str]:
  """Returns the folder of each split: "" if the set has no split folders.

  Args:
    scan: scan of the whole set.

  Returns:
    Folders by split: always `train`, and any of `validation` and `test`.

  Raises:
    DataError: if some folders are splits and others are not, `train` is
      missing, or two folders are the same split.
  """
  root, top = shown(scan.root), scan.look("")
  splits = {name: _split_of(name) for name in top.folders}
  named = [name for name in top.folders if splits[name]]
  others = [name for name in top.folders if not splits[name]]
  if not named:
    return {"train": ""}
  if others:
    _check_beside(scan, named, others, splits)
    return {"train": ""}
  parts = {}
  for name in named:
    split = splits[name]
    if split == "eval":
      raise DataError(
        f"{root}/{shown(name)} is a split, but it is not clear which one; "
        "rename it to validation or test"
      )
    if split in parts:
      raise DataError(
        f"{root} has two folders for the {split} split, {parts[split]} and "
        f"{name}; keep one"
      )
    parts[split] = name
  if "train" not in parts:
    raise DataError(
      f"{root} has the split {_folders(named)}, but no train folder; add one, "
      f"or use one alone: --dataset={_command(scan.root / named[0])}"
    )
  if top.images:
    raise DataError(
      f"{root}/{shown(top.images[0].name)} lies beside the split folders of "
      f"{root}; move it into one of them"
    )
  return parts


def is_unlabelled(folders: Sequence[str]) -> bool:
  """Returns whether there is only one folder, and it is called unlabelled."""
  return len(folders) == 1 and _is_unlabelled_name(folders[0])


def check_names(names: Sequence[str], where: str) -> None:
  """Checks that class names can be written and distinguished.

  Args:
    names: the names.
    where: the folder or table that has them, for messages.

  Raises:
    DataError: if a name is not UTF-8, has a control character, or looks the
      same as another.
  """
  by_look, by_case = {}, {}
  for name in names:
    if not is_safe(name):
      raise DataError(
        f"{where} has the class '{shown(name)}', whose name is not UTF-8 or "
        "has a control character; rename it"
      )
    look = unicodedata.normalize("NFC", name)
    if by_look.setdefault(look, name) != name:
      raise DataError(
        f"{where} has two classes that look the same, {name!r}: one is written "
        "with combining characters; put their images into one"
      )
    other = by_case.setdefault(_folded(name), name)
    if other != name:
      note(
        f"{where}: {other!r} and {name!r} are two classes, though they differ "
        "in case or spaces only"
      )


def closest(name: str, names: Sequence[str]) -> str | None:
  """Returns the name that differs in case, spaces or encoding only, or None."""
  return next((n for n in names if _folded(n) == _folded(name)), None)


def check_classes(scan: Scan, base: str, names: Sequence[str]) -> None:
  """Checks that the folders of a split look like classes.

  Args:
    scan: scan of the whole set.
    base: folder of the split, relative to the root.
    names: names of the folders in it.

  Raises:
    DataError: if the classes may lie one level deeper, or splits below the
      classes, or a folder seems to hold masks or unlabelled images.
  """
  where = scan.root / base
  check_names(names, shown(where))
  for name in names:
    if _is_unlabelled_name(name):
      raise DataError(
        f"{shown(where / name)} lies beside the class folders of "
        f"{shown(where)}; move {shown(name)} away, or rename it if it is a "
        "class"
      )
  _check_masks(where, names)
  levels = {name: scan.look(os.path.join(base, name)) for name in names}
  deep = {name: set(levels[name].folders) for name in names}
  only = [name for name in names if levels[name].only_folders]
  if len(names) == 1 and only:
    _refuse_wrapper(scan, base, names[0])
  for name in names:
    _check_below(where, name, deep[name], names)
  _check_tokens(where, names, only)
  _check_same_below(where, only, deep)


def _split_of(name):
  match = _SPLIT.fullmatch(name.casefold())
  return match and _SPLIT_OF[match.group(1)]


def _is_unlabelled_name(name):
  return bool(_UNLABELLED.fullmatch(name.casefold()))


def _folded(name):
  text = unicodedata.normalize("NFC", name)
  return " ".join(text.casefold().split())


def _folders(names):
  return f"folder{'s' * (len(names) > 1)} {examples(names)}"


def _command(path):
  return shown(shlex.quote(f"folder:{path}"))


def _check_beside(scan, named, others, splits):
  """Refuses split folders beside others, though a class may be called train."""
  several = len({splits[name] for name in named}) > 1
  holding = [n for n in named if scan.look(n).only_folders]
  unlabelled = [name for name in others if _is_unlabelled_name(name)]
  if several or holding or unlabelled:
    away = shown((unlabelled or others)[0])
    rename = shown((holding or named)[0])
    raise DataError(
      f"{shown(scan.root)} has the split {_folders(named)}, and beside "
      f"{'them' if len(named) > 1 else 'it'} the {_folders(others)}; move "
      f"{away} away, or rename {rename} if it is a class"
    )


def _check_masks(where, names):
  folded = {name.casefold(): name for name in names}
  pictures = sorted(_PICTURES & folded.keys())
  annotations = sorted(_ANNOTATIONS & folded.keys())
  if pictures and annotations:
    name, other = folded[pictures[0]], folded[annotations[0]]
    raise DataError(
      f"{shown(where)} has the folders {name} and {other}, which are not "
      f"classes; use the images alone: --dataset={_command(where / name)}"
    )


def _refuse_wrapper(scan, base, name):
  """Refuses a folder that holds one folder, which holds folders only."""
  deep = os.path.join(base, name)
  level = scan.look(deep)
  for _ in range(8):  # Links may lead round in a circle.
    below = os.path.join(deep, level.folders[0])
    if len(level.folders) > 1 or not scan.look(below).only_folders:
      break
    deep, level = below, scan.look(below)
  inner = scan.root / deep
  todo = f"use --dataset={_command(inner)}"
  if base:
    todo = f"move the folders of {shown(inner)} up into it"
  raise DataError(
    f"{shown(scan.root / base)} holds one folder, {shown(name)}, which holds "
    f"folders only, so {shown(name)} would be the one class; if the classes "
    f"lie below, {todo}; if it is the class, move its images up into it"
  )


def _check_below(where, name, below, names):
  """Refuses a class folder that holds splits or other classes."""
  found = sorted(folder for folder in below if _split_of(folder))
  several = len({_split_of(folder) for folder in found}) > 1
  if several or (found and len(found) == len(below)):
    raise DataError(
      f"{shown(where / name)} holds the split {_folders(found)}; splits must "
      f"lie above the classes: {shown(where)}/{shown(found[0])}/{shown(name)}"
    )
  others = sorted(
    folder for folder in below & set(names) - {name} if not folder.isdecimal()
  )
  if others:
    raise DataError(
      f"{shown(where / name / others[0])} has the name of the class folder "
      f"{shown(where / others[0])}, so the class of its images is not clear; "
      "move them there, or rename their folder"
    )


def _check_tokens(where, names, only):
  """Refuses folders such as seg_train and seg_test."""
  seen = {}
  for name in names:
    for token in re.split(r"[^a-z]+", name.casefold()):
      split = _SPLIT_OF.get(token)
      if split is None:
        continue
      rest = name.casefold().replace(token, "", 1)
      for other, (other_split, other_rest) in seen.items():
        deep = name in only and other in only
        if split != other_split and (deep or rest == other_rest):
          raise DataError(
            f"{shown(where)} has the folders {shown(other)} and {shown(name)}, "
            f"which look like splits; rename them to {other_split} and {split}"
          )
      seen[name] = split, rest


def _check_same_below(where, only, deep):
  """Refuses folders that hold the same folders, which may be the classes."""
  first = {}
  for name in only:
    below = frozenset(deep[name])
    other = first.setdefault(below, name)
    if other == name or len(below) < 2:
      continue
    inner = sorted(below)
    # Folders of patients, cameras and the like have numbers.
    if any(char.isdigit() for folder in below for char in folder):
      note(
        f"{shown(where)}: the classes are {examples(only)}; the folders "
        f"{examples(inner)} in each of them are not distinguished"
      )
      return
    raise DataError(
      f"{shown(where / other)} and {shown(where / name)} hold the same folders "
      f"({examples(inner)}); if those are the classes, put them together "
      f"directly in {shown(where)}; if not, move their images up into the "
      "class folders"
    )
