"""The manifest of a data set that sample.py wrote: its classes in their order.

Folder names do not suffice: the folder of a class may begin with a number, and
a class without images has no folder.
"""

from pathlib import Path
from typing import Any, NamedTuple

from vqvae_jax.data.folder_scan import Scan
from vqvae_jax.data.notes import amount, examples, is_safe, note, shown
from vqvae_jax.errors import DataError
from vqvae_jax.files import read_json

_IMAGES = "images"
_MANIFEST = "manifest.json"
# The file that begins a job, and the folder of records of its shards.
_JOB = ("job.json", "records")


class Entry(NamedTuple):
  """One class: its name, its folder below images/, its number of images."""

  name: str
  folder: str
  count: int


class Manifest(NamedTuple):
  """The description of a data set by the job that wrote it.

  Attributes:
    images: folder that holds the class folders.
    classes: the classes in the order of their labels.
    is_labelled: whether images have labels; if not, `classes` has one entry.
  """

  images: Path
  classes: tuple[Entry, ...]
  is_labelled: bool


def find_manifest(root: Path) -> Manifest | None:
  """Returns the manifest of the job whose folder, or its images/, is `root`.

  Returns:
    The manifest, or None if the folder does not belong to a job.

  Raises:
    DataError: if the job is not finished, wrote no PNG files, or its manifest
      is broken.
  """
  real = root.resolve()
  out, images = real, root / _IMAGES
  # The folder of a job or of a class may also be called images.
  if real.name == _IMAGES and not (real / _MANIFEST).exists():
    out, images = real.parent, root
  path = out / _MANIFEST
  if not path.exists():
    if _is_job(out):
      raise DataError(
        f"{shown(out)} holds a job that is not finished: it has no {_MANIFEST};"
        " finish it with sample.py --resume"
      )
    return None
  if not images.is_dir() and not _is_job(out):
    return None
  values = read_json(path, DataError)
  if "classes" not in values or "shards" not in values:
    return None  # Another program wrote it.
  _check_format(path, values, out)
  entries = _entries(path, values["classes"])
  names = values.get("class_names")
  if names != [] and names != [entry.name for entry in entries]:
    raise _broken(path, "its class_names are not the names of its classes")
  if not names and len(entries) != 1:
    raise _broken(path, "it has several classes, but no class_names")
  if not images.is_dir():
    raise DataError(f"{shown(out)} has a {_MANIFEST}, but no {_IMAGES} folder")
  return Manifest(images, entries, bool(names))


def present_classes(
  manifest: Manifest, scan: Scan, name: str
) -> list[tuple[str, list[str]]]:
  """Returns names and files of the classes that have images, in order.

  Args:
    manifest: the manifest.
    scan: scan of its folder of images.
    name: name of the data set.

  Raises:
    DataError: if there is a folder or an image that the manifest does not
      know, or a class has lost all its images.
  """
  _check_folders(manifest, scan)
  base, classes, missing = shown(scan.root), [], []
  for entry in manifest.classes:
    present = entry.folder in scan.look("").folders
    files = scan.walk(entry.folder) if present else []
    if files:
      classes.append((shown(entry.name), files))
    elif entry.count:
      raise DataError(
        f"the class '{shown(entry.name)}' has "
        f"{amount(entry.count, 'image')} by {_MANIFEST}, but none in "
        f"{base}/{shown(entry.folder)}"
      )
    else:
      missing.append(entry.name)
  unsafe = [e.name for e in manifest.classes if not is_safe(e.name)]
  if unsafe:
    note(
      f"{name}: control characters in names of classes are written out: "
      f"{examples(unsafe)}"
    )
  if missing:
    verb = (
      "has no image and is" if len(missing) == 1 else "have no image and are"
    )
    note(
      f"{name}: {amount(len(missing), 'class', 'classes')} of "
      f"{len(manifest.classes)} {verb} left out: {examples(missing, 10)}"
    )
  total = sum(len(files) for _, files in classes)
  written = sum(entry.count for entry in manifest.classes)
  if total != written:
    note(
      f"{name}: it has {amount(total, 'image')}, though {_MANIFEST} counts "
      f"{written:,}"
    )
  return classes


def _check_folders(manifest, scan):
  """Refuses images beside the class folders, and folders of unknown classes."""
  level, base = scan.look(""), shown(scan.root)
  if level.images:
    raise DataError(
      f"{base}/{shown(level.images[0].name)} lies beside the class folders of "
      f"{base}; move it into one of them"
    )
  unknown = sorted(set(level.folders) - {e.folder for e in manifest.classes})
  if unknown:
    raise DataError(
      f"{base}/{shown(unknown[0])} is a class that {_MANIFEST} does not have; "
      f"move it away, or move {_MANIFEST} away to read all folders as classes"
    )


def _is_job(folder):
  return all((folder / name).exists() for name in _JOB)


def _check_format(path, values, out):
  kind = values.get("format")
  if kind == "tfds":
    raise DataError(
      f"{shown(out)} holds a TFDS set; use --dataset=tfds-dir:{shown(out)}"
    )
  if kind == "npz":
    raise DataError(
      f"{shown(out)} holds npz files; use --dataset=npz: and one of them"
    )
  if kind != "png":
    raise _broken(path, f"its format is {kind!r}")


def _entries(path, classes: Any):
  if not isinstance(classes, list) or not classes:
    raise _broken(path, "its classes are not a list")
  entries = []
  for label, values in enumerate(classes):
    if not isinstance(values, dict) or values.get("label") != label:
      raise _broken(path, f"its class {label} is not labelled {label}")
    entry = Entry(values.get("name"), values.get("folder"), values.get("count"))
    if not isinstance(entry.name, str) or not _is_plain(entry.folder):
      raise _broken(
        path, f"its class {label} has no name, or no plain folder name"
      )
    if type(entry.count) is not int or entry.count < 0:
      raise _broken(path, f"its class {label} has the count {entry.count!r}")
    entries.append(entry)
  folders = [entry.folder for entry in entries]
  if len(set(folders)) < len(folders):
    raise _broken(path, "two of its classes have one folder")
  return tuple(entries)


def _is_plain(folder):
  return (
    isinstance(folder, str)
    and folder not in ("", ".", "..")
    and not set(folder) & set("/\\\0")
  )


def _broken(path, why):
  return DataError(f"{shown(path)} is not as sample.py wrote it: {why}")
