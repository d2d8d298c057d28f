"""The records of a study: what is recorded as done is not done again.

out/study.json            settings
out/seed-0/vqvae/         run folder of a generator
out/seed-0/sets/          generated images, one folder for each generator
out/seed-0/classifiers/   scores on validation images, weights of classifiers
out/seed-0/quality/       quality checks of the generated images
out/choices.json          choices made on validation images
out/test.json             when test images were read, and the scores on them
out/report.html, ...      report, see `report`

Every record has a digest of its values and of what they were made from, and
both are compared whenever it is read. This protects against accidents, such as
a damaged disk, a careless edit or mixed-up files of two studies. It does not
protect against forgers, who can compute digests, too.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from etils import epath

from vqvae_jax.errors import RunError
from vqvae_jax.files import PARTIAL, pretty_json, read_json, replace

AGAIN = "move it away, and it is made again"
STUDY = "study.json"
# Files that a folder may have before it is a study: its lock, and a first
# record that is incomplete because the machine went down.
_HARMLESS = {".lock", STUDY + PARTIAL}


def digest(values: Any) -> str:
  """Returns the SHA-256 of values as JSON."""
  text = json.dumps(_plain(values), sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: epath.PathLike) -> str | None:
  """Returns the SHA-256 of a file; None if it does not exist."""
  path = epath.Path(path)
  if not path.exists():
    return None
  return hashlib.sha256(path.read_bytes()).hexdigest()


def folder_digest(folders: list[epath.Path]) -> str:
  """Returns the SHA-256 of all files in some folders, with their names."""
  found = hashlib.sha256()
  for folder in folders:
    for path in _files(folder):
      found.update(f"{path.relative_to(folder)} ".encode())
      found.update(hashlib.sha256(path.read_bytes()).digest())
  return found.hexdigest()


def _files(folder):
  for path in sorted(folder.iterdir()) if folder.exists() else ():
    yield from _files(path) if path.is_dir() else [path]


def write(
  path: epath.PathLike,
  values: Mapping[str, Any],
  made_from: Mapping[str, Any] | None = None,
) -> None:
  """Writes a record, whole or not at all.

  Args:
    path: path of the file, whose folder is made if needed.
    values: values of the record, as JSON can hold them.
    made_from: settings and digests of files that the values depend on.
  """
  path = epath.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  record = {**values, "made_from": dict(made_from or {})}
  replace(path, pretty_json({**record, "digest": digest(record)}))


def read(
  path: epath.PathLike,
  made_from: Mapping[str, Any] | None = None,
  mend: str = AGAIN,
) -> dict[str, Any] | None:
  """Reads a record that `write` wrote.

  Args:
    path: path of the file.
    made_from: what the values have to depend on; None accepts anything.
    mend: how to mend a record that cannot be used, for messages.

  Returns:
    The values; None if there is no such file.

  Raises:
    RunError: if the record is broken, was changed after it was written, or was
      made from something else.
  """
  path = epath.Path(path)
  if not path.exists():
    return None
  try:
    record = read_json(path)
  except RunError as error:
    raise RunError(f"{error}; {mend}") from None
  written = record.pop("digest", None)
  try:
    same = written == digest(record)
  except RecursionError:
    same = False
  if not same:
    raise RunError(
      f"{path} was changed after it was written: its digest differs; {mend}"
    )
  found = record.pop("made_from")
  other = _first_difference(found, made_from or found)
  if other:
    raise RunError(
      f"{path} no longer fits: {other} changed since it was made; {mend}"
    )
  return record


def once(
  path: epath.PathLike,
  make: Callable[[], dict[str, Any]],
  made_from: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
  """Returns the record at `path`; makes and writes it if it is missing."""
  values = read(path, made_from)
  if values is None:
    values = make()
    write(path, values, made_from)
  return values


def check_study(out: epath.PathLike, settings: Mapping[str, Any]) -> None:
  """Checks that a folder can be that of a study; nothing is written.

  Args:
    out: path of the folder, which need not exist.
    settings: settings that the results of the study depend on.

  Raises:
    RunError: if the folder holds something else, or another study.
  """
  out = epath.Path(out)
  if not out.exists():
    return
  if not out.is_dir():
    raise RunError(f"{out} is not a folder; name another one with --out")
  old = read(
    out / STUDY, mend="put back the one that was there, or use another --out"
  )
  if old is None:
    foreign = [p.name for p in out.iterdir() if p.name not in _HARMLESS]
    if foreign:
      raise RunError(
        f"{out} holds {foreign[0]!r} but no {STUDY}, so it is not a study; "
        "name a new or an empty folder with --out"
      )
    return
  changed = _change(old, _plain(settings))
  if changed:
    raise RunError(
      f"{out} is a study with other settings: {changed}; use those, or "
      "another --out"
    )


def _plain(values):
  # JSON has lists for tuples.
  return json.loads(json.dumps(values))


def _change(old, new, prefix=""):
  """Returns the first setting that differs, in words; None if none does."""
  for name, value in new.items():
    before = old.get(name)
    if isinstance(before, dict) and isinstance(value, dict):
      found = _change(before, value, f"{prefix}{name}.")
      if found:
        return found
    elif before != value:
      return f"{prefix}{name} was {before}, now {value}"
  return None


def _first_difference(old, new):
  new = _plain(new)
  names = [*new, *(name for name in old if name not in new)]
  return next((name for name in names if old.get(name) != new.get(name)), None)
