"""Names of class folders, whose sorted order is the order of the labels.

The readers of class folders in torchvision, Keras and Hugging Face's `datasets`
number the classes by `sorted(folder names)`. One of two rules holds for all
folders of a set:

1. A folder has the name of its class, if the sorted class names are in the
   order of the labels, all of them are legal as folder names on Linux, macOS
   and Windows, and no reader would skip them or take them for splits.
2. Otherwise the name of every folder is its label, with leading zeros, and its
   class: `03_Dress`. Characters that are not legal become underscores.

`manifest.json` says which rule holds, and gives the folder of each class.
"""

import re
import unicodedata
from collections.abc import Sequence

UNLABELLED = "unlabelled"

_FORBIDDEN = frozenset('<>:"/\\|?*')
# These change the direction in which the rest of a line is shown.
_BIDI = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067")
_BIDI |= frozenset("\u2068\u2069\ufeff")
# Control characters, halves of surrogate pairs, separators of lines.
_CATEGORIES = frozenset(("Cc", "Cs", "Zl", "Zp"))
# Devices of Windows, also with a suffix: "con.txt".
_DEVICES = frozenset(("con", "prn", "aux", "nul", "conin$", "conout$"))
_DEVICES |= {f"com{n}" for n in "0123456789\u00b9\u00b2\u00b3"}
_DEVICES |= {f"lpt{n}" for n in "0123456789\u00b9\u00b2\u00b3"}
# Readers of image folders skip these, or take them for a split.
_SKIPPED = frozenset(
  ("__macosx", "__pycache__", "@eadir", "@recycle", "#recycle", "#snapshot")
  + ("$recycle.bin", "system volume information", "lost+found", "thumbs.db")
  + (
    "desktop.ini",
    "ehthumbs.db",
    "picasa.ini",
    "@__thumb",
    "holdout",
    "train",
    "training",
    "val",
    "valid",
    "validation",
    "dev",
  )
  + ("test", "testing", "eval", "evaluation", "unlabeled", "unlabelled")
)
_MAX_BYTES = 255
# Length of the name after the number.
_MAX_CUT = 100


def class_folders(class_names: Sequence[str]) -> list[str]:
  """Returns a folder name for each class, or "unlabelled" without classes."""
  if not class_names:
    return [UNLABELLED]
  if _may_stay(class_names):
    return list(class_names)
  width = len(str(len(class_names) - 1))
  return [
    f"{label:0{width}d}_{_mended(name)}".rstrip("_ .")
    for label, name in enumerate(class_names)
  ]


def folder_rule(class_names: Sequence[str]) -> str:
  """Returns the rule for names of folders, in words for `manifest.json`."""
  if not class_names:
    return "the images have no labels"
  if _may_stay(class_names):
    return "class name"
  return "label with leading zeros, underscore, class name"


def file_names(names: Sequence[str]) -> list[str]:
  """Returns distinct file names that are safe in links, too."""
  mended = [
    re.sub("[^A-Za-z0-9._-]", "_", name[:_MAX_CUT]).lstrip(".")
    for name in names
  ]
  folded = [_fold(name) for name in mended]
  return [
    name if name and folded.count(fold) == 1 else f"{name}_{number}"
    for number, (name, fold) in enumerate(zip(mended, folded, strict=True))
  ]


def _may_stay(names):
  return (
    list(names) == sorted(names)
    and all(map(_is_legal, names))
    and len(set(map(_fold, names))) == len(names)
  )


def _is_legal(name):
  return (
    bool(name)
    and not any(map(_is_bad, name))
    and name == name.strip()
    and name[0] != "."
    and name[-1] != "."
    and len(name.encode()) <= _MAX_BYTES
    and name.split(".")[0].strip().casefold() not in _DEVICES
    and name.casefold() not in _SKIPPED
  )


def _is_bad(char):
  return (
    char in _FORBIDDEN
    or char in _BIDI
    or unicodedata.category(char) in _CATEGORIES
  )


def _mended(name):
  """Replaces the forbidden characters of a name, and shortens it."""
  name = "".join("_" if _is_bad(char) else char for char in name[:_MAX_CUT])
  cut = name.encode()[:_MAX_CUT].decode(errors="ignore")
  return cut.strip().strip(".").strip()


def _fold(name):
  """Returns equal texts for names that some file systems take for one."""
  decomposed = unicodedata.normalize("NFD", name).casefold()
  return unicodedata.normalize("NFC", decomposed)
