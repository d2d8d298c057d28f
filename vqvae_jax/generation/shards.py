"""The shards of a job, and the records of those that are whole.

    out/job.json              what the job is, before its first image
    out/records/00003.json    shard 3 is whole: its count, checksum, labels
    out/manifest.json         the job and all its shards, once all are whole

Files are written under another name and renamed, so each is whole or absent,
and a shard counts from its record on, which is written last.
"""

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

import filelock
import numpy as np
from etils import epath
from jaxtyping import Int, UInt8

from vqvae_jax.errors import RunError
from vqvae_jax.files import replace, replace_shared

JOB = "job.json"
MANIFEST = "manifest.json"
RECORDS = "records"
FORMATS = ("png", "npz", "tfds")


@dataclasses.dataclass(frozen=True)
class Shard:
  """The images `first` to `first + count - 1`, by their numbers."""

  number: int
  first: int
  count: int


def plan(num_images: int, shard_size: int) -> list[Shard]:
  """All shards of a job; the last one may be smaller."""
  return [
    Shard(number, first, min(shard_size, num_images - first))
    for number, first in enumerate(range(0, num_images, shard_size))
  ]


class Checksum:
  """SHA-256 of labels and pixels, whatever file format they go to."""

  def __init__(self, labels: Int[np.ndarray, " n"]):
    self._sum = hashlib.sha256(np.asarray(labels, "<i4").tobytes())

  def update(self, images: UInt8[np.ndarray, "*n h w c"]):
    """Adds images, in their order."""
    self._sum.update(np.ascontiguousarray(images).tobytes())

  def hexdigest(self) -> str:
    return self._sum.hexdigest()


class Job:
  """The folder of a job: what it is, and which of its shards are whole."""

  def __init__(self, out: epath.PathLike):
    self.out = epath.Path(out)
    self._digest = None

  def open(self, settings: dict[str, Any], *, resume: bool, worker: bool):
    """Takes the folder for a job, or goes on with it.

    Args:
      settings: all that the images depend on, and how they are kept.
      resume: accept a folder of the same job.
      worker: accept one that other workers of the same job have begun.

    Raises:
      RunError: if the folder holds something else.
    """
    # Listed before the job is looked for: another worker may begin it now, and
    # writes its file before all others.
    present = [p.name for p in self.out.iterdir()] if self.out.exists() else []
    if (self.out / JOB).exists():
      _check_same(self.out, self.settings(), settings)
      if not resume and not worker:
        raise RunError(
          f"{self.out} is not empty: it holds this job already; finish it "
          "with --resume, or name another --out"
        )
    elif any(not name.startswith(JOB) for name in present):
      raise RunError(
        f"{self.out} is not empty, and no job that could be resumed; name "
        "another --out"
      )
    self.out.mkdir(parents=True, exist_ok=True)
    # Before anything else, so that an interrupted job is known as one.
    replace_shared(self.out / JOB, _pretty(settings))
    # Not that of the file: another job may begin in this folder right now.
    self._digest = _digest(settings)
    (self.out / RECORDS).mkdir(exist_ok=True)

  def settings(self) -> dict[str, Any]:
    """What the job is.

    Raises:
      RunError: if the folder holds no job, or its file is broken.
    """
    path = self.out / JOB
    settings = _read(
      path,
      (
        "mode",
        "format",
        "num_images",
        "shard_size",
        "image_shape",
        "class_names",
      ),
    )
    shape, names = settings["image_shape"], settings["class_names"]
    counts = [settings["num_images"], settings["shard_size"]]
    if not (
      isinstance(shape, list)
      and len(shape) == 3
      and all(type(n) is int and n > 0 for n in counts + shape)
      and isinstance(names, list)
      and all(isinstance(name, str) for name in names)
      and settings["format"] in FORMATS
    ):
      raise RunError(f"{path} cannot be read: it is broken")
    return settings

  def has(self, shard: Shard) -> bool:
    """Whether a shard is on record as whole."""
    return self._record(shard).exists()

  def read(self, shard: Shard) -> dict[str, Any]:
    """The record of a shard."""
    path = self._record(shard)
    record = _read(path, ("job", "sha256", "label_counts", "labels"))
    labels = record["labels"]
    if not isinstance(labels, list) or any(type(n) is not int for n in labels):
      raise RunError(f"{path} cannot be read: it is broken")
    return record

  def mistake(self, shard: Shard, record: dict[str, Any]) -> str | None:
    """What is wrong with a record, None for nothing; pixels are not read."""
    if self._digest is None:
      self._digest = _digest(self.settings())
    if record["job"] != self._digest:
      return "is of another job"
    expected = dataclasses.asdict(shard)
    if {key: record.get(key) for key in expected} != expected:
      return "is of another shard"
    if len(record["labels"]) != shard.count:
      return f"has {len(record['labels'])} labels of {shard.count}"
    if record["label_counts"] != _counts(record["labels"]):
      return "counts its labels wrongly"
    return None

  def write(self, shard: Shard, labels: Int[np.ndarray, " n"], checksum: str):
    """Puts a shard on record as whole."""
    record = {
      **dataclasses.asdict(shard),
      "job": self._digest,
      "sha256": checksum,
      "label_counts": _counts(labels),
      "labels": np.asarray(labels).tolist(),
    }
    replace(self._record(shard), json.dumps(record).encode())

  def complete(self, shards: Sequence[Shard], classes: list[dict[str, Any]]):
    """Merges the records into the manifest.

    Raises:
      RunError: if a record is not of this job.
    """
    content = self._manifest(shards, classes)
    replace_shared(self.out / MANIFEST, content)

  def check_manifest(
    self, shards: Sequence[Shard], classes: list[dict[str, Any]]
  ):
    """Raises `RunError` if the manifest is not what `complete` writes."""
    path = self.out / MANIFEST
    if path.read_bytes() != self._manifest(shards, classes):
      raise RunError(
        f"{path} is not what the records say; move it away, and --verify "
        "writes it anew"
      )

  def _manifest(self, shards, classes):
    records = [self.read(shard) for shard in shards]
    for shard, record in zip(shards, records, strict=True):
      wrong = self.mistake(shard, record)
      if wrong:
        raise RunError(f"{self._record(shard)} {wrong}")
    manifest = {
      **self.settings(),
      "classes": [
        entry
        | {
          "count": sum(
            record["label_counts"].get(str(entry["label"]), 0)
            for record in records
          )
        }
        for entry in classes
      ],
      "shards": [
        {key: record[key] for key in ("number", "first", "count", "sha256")}
        for record in records
      ],
    }
    return _pretty(manifest)

  @contextlib.contextmanager
  def lock(self, shard: Shard) -> Iterator[bool]:
    """Holds a shard for this process, if no other does.

    Remote folders (`gs://...`) have no locks: there, workers must not overlap.
    """
    if "://" in str(self.out):
      yield True
      return
    path = self.out / RECORDS / f".{shard.number:05d}.lock"
    held = filelock.FileLock(str(path))
    try:
      held.acquire(timeout=0)
    except filelock.Timeout:
      yield False
      return
    try:
      yield True
    finally:
      path.unlink(missing_ok=True)
      held.release()

  def _record(self, shard):
    return self.out / RECORDS / f"{shard.number:05d}.json"


def _counts(labels):
  values, counts = np.unique(np.asarray(labels), return_counts=True)
  return dict(zip(map(str, values.tolist()), counts.tolist(), strict=True))


def _digest(settings):
  text = json.dumps(settings, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()


def _check_same(out, old, new):
  # The mode comes first: what follows may belong to one mode only.
  name = next((k for k in new if old.get(k) != new[k]), None)
  if name == "weights":
    raise RunError(
      f"{out} was begun with another checkpoint; its images would not be of "
      "one kind. Name another --out"
    )
  if name:
    raise RunError(
      f"{out} belongs to another job: {name} was {old.get(name)}, now "
      f"{new[name]}"
    )


def _read(path, keys):
  try:
    values = json.loads(path.read_text())
    missing = [key for key in keys if key not in values]
  except FileNotFoundError:
    raise RunError(f"{path} is not there") from None
  except (TypeError, ValueError):
    raise RunError(f"{path} cannot be read: it is broken") from None
  if missing:
    raise RunError(f"{path} cannot be read: {missing[0]} is not in it")
  return values


def _pretty(values):
  return (json.dumps(values, indent=2) + "\n").encode()
