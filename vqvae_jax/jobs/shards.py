"""The shards of a job, and the records of those that are whole.

    out/job.json              what the job is, before its first image
    out/records/00003.json    shard 3 is whole: its count, checksums, labels
    out/manifest.json         the job and all its shards, once all are whole

Files are written under another name and renamed, so each is whole or absent,
and a shard counts from its record on, which is written last.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from etils import epath
from jaxtyping import Int, UInt8

from vqvae_jax import files
from vqvae_jax.errors import RunError
from vqvae_jax.files import pretty_json, read_json, replace, replace_shared
from vqvae_jax.jobs.tree import links

JOB = "job.json"
MANIFEST = "manifest.json"
RECORDS = "records"
# Of `job.json`: says what the job comes from, and does not change its images.
ABOUT = "about"
FORMATS = ("png", "npz", "tfds")
# Of a job: all are held in memory, and each has its record.
MAX_SHARDS = 1_000_000


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
    """The checksum of all that was added."""
    return self._sum.hexdigest()


class Job:
  """The folder of a job: what it is, and which of its shards are whole."""

  def __init__(self, out: epath.PathLike):
    self.out = epath.Path(out)
    self._digest = None
    self._classes = None

  def check_place(self):
    """Checks that the folder is new, empty or a job's.

    Raises:
      RunError: if the folder holds something else, or links: what is written
        must stay in it.
    """
    if not self.out.exists():
      return
    if not self.out.is_dir():
      raise RunError(f"{self.out} is a file, not a folder; name another --out")
    # Listed before the job is looked for: another worker may begin it now, and
    # writes its file before all others.
    present = [p.name for p in self.out.iterdir()]
    if not (self.out / JOB).exists():
      foreign = [name for name in present if not name.startswith(JOB)]
      if foreign:
        raise RunError(
          f"{self.out} is not empty, and no job that could be resumed: it "
          f"holds {foreign[0][:80]!r}; name another --out"
        )
    for link in links(self.out):
      raise RunError(
        f"{link} is a link, which a job neither follows nor replaces; move it "
        "away"
      )

  def open(
    self,
    settings: dict[str, Any],
    about: dict[str, Any],
    *,
    resume: bool,
    worker: bool,
  ):
    """Takes the folder for a job, or goes on with it.

    Args:
      settings: all that the images depend on, and how they are kept.
      about: what they come from; of a job that goes on, the first one stays.
      resume: accept a folder of the same job.
      worker: accept one that other workers of the same job have begun.

    Raises:
      RunError: if the folder holds something else.
    """
    self.check_place()
    if (self.out / JOB).exists():
      _check_same(self.out, self.settings(), settings)
      if not resume and not worker:
        raise RunError(
          f"{self.out} is not empty: it holds this job already; finish it "
          "with --resume, or name another --out"
        )
    else:
      self.out.mkdir(parents=True, exist_ok=True)
      # Before anything else, so that an interrupted job is known as one.
      replace_shared(self.out / JOB, pretty_json({**settings, ABOUT: about}))
    (self.out / RECORDS).mkdir(exist_ok=True)
    # Not that of the file: another job may begin in this folder right now.
    self._expect(settings)

  def lock(
    self, what: Shard | str, waiting: Callable[[], None] | None = None
  ) -> AbstractContextManager[bool]:
    """Holds a shard, or another piece of work, for this process.

    Remote folders (`gs://...`) have no locks: there, workers must not overlap.

    Args:
      what: a shard, or the name of the work.
      waiting: called every few seconds while another process holds it; None
        to give up at once.

    Returns:
      A context whose value says whether the work is held now.
    """
    name = what if isinstance(what, str) else f"{what.number:05d}"
    return files.lock(self.out / RECORDS / f".{name}.lock", waiting)

  def settings(self) -> dict[str, Any]:
    """What the job is.

    Raises:
      RunError: if the folder holds no job, or its file is broken.
    """
    path = self.out / JOB
    if not path.exists():
      raise RunError(
        f"{self.out} is not the folder of a job: {JOB} is not there"
      )
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
      and all(type(n) is int and 0 < n < 2**31 for n in counts + shape)
      and counts[0] <= counts[1] * MAX_SHARDS
      and isinstance(names, list)
      and all(isinstance(name, str) for name in names)
      and isinstance(settings.get(ABOUT, {}), dict)
      and settings["format"] in FORMATS
    ):
      raise RunError(f"{path} cannot be read: it is broken")
    return settings

  def has(self, shard: Shard) -> bool:
    """Whether a shard is on record as whole."""
    return self.record(shard).exists()

  def read(self, shard: Shard) -> dict[str, Any]:
    """The record of a shard.

    Raises:
      RunError: if it is broken, or not the record of this shard.
    """
    path = self.record(shard)
    record = _read(path, ("job", "sha256", "files", "label_counts", "labels"))
    wrong = self._mistake(shard, record)
    if wrong:
      raise RunError(f"the record of shard {shard.number} {wrong} ({path})")
    return record

  def _mistake(self, shard, record):
    if self._digest is None:
      self._expect(self.settings())
    if record["job"] != self._digest:
      return "is of another job"
    expected = dataclasses.asdict(shard)
    if {key: record.get(key) for key in expected} != expected:
      return "is of another shard"
    labels = record["labels"]
    if not isinstance(labels, list) or any(type(n) is not int for n in labels):
      return "cannot be read: it is broken"
    if not all(0 <= n < self._classes for n in labels):
      return "has labels of no class"
    if len(labels) != shard.count:
      return f"has {len(labels)} labels of {shard.count}"
    if record["label_counts"] != _counts(labels):
      return "counts its labels wrongly"
    sources = record.get("sources", [])
    if not isinstance(sources, list) or len(sources) not in (0, shard.count):
      return "does not name the sources of its images"
    return None

  def _expect(self, settings):
    self._digest = _digest(settings)
    self._classes = max(1, len(settings["class_names"]))

  def write(
    self,
    shard: Shard,
    labels: Int[np.ndarray, " n"],
    checksum: str,
    files: str,
    sources: list[list[dict[str, Any]]] | None = None,
  ):
    """Puts a shard on record as whole.

    Args:
      shard: the shard.
      labels: of its images.
      checksum: of its labels and pixels.
      files: digest of its files.
      sources: for each image, which images it was made from.
    """
    record = {
      **dataclasses.asdict(shard),
      "job": self._digest,
      "sha256": checksum,
      "files": files,
      "label_counts": _counts(labels),
      "labels": np.asarray(labels).tolist(),
    }
    if sources is not None:
      record["sources"] = sources
    replace(self.record(shard), json.dumps(record).encode())

  def labels(self, shards: Sequence[Shard]) -> Int[np.ndarray, " n"]:
    """Labels of all images."""
    parts = [np.asarray(self.read(shard)["labels"]) for shard in shards]
    return np.concatenate(parts).astype(np.int32)

  def record(self, shard: Shard) -> epath.Path:
    """The file that says that a shard is whole."""
    return self.out / RECORDS / f"{shard.number:05d}.json"


def _counts(labels):
  values, counts = np.unique(np.asarray(labels), return_counts=True)
  return dict(zip(map(str, values.tolist()), counts.tolist(), strict=True))


def _digest(settings):
  kept = {key: value for key, value in settings.items() if key != ABOUT}
  text = json.dumps(kept, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()


def _check_same(out, old, new):
  # The mode comes first: what follows may belong to one mode only.
  name = next((k for k in new if old.get(k) != new[k]), None)
  if name == "weights":
    raise RunError(
      f"{out} was begun with another checkpoint; its images would not be of "
      "one kind; name another --out, or that checkpoint with --from-step"
    )
  if name:
    raise RunError(
      f"{out} belongs to another job: {name} was {_shown(old.get(name))}, now "
      f"{_shown(new[name])}"
    )


def _shown(value):
  text = str(value)
  return text if len(text) <= 80 else f"{text[:80]}..."


def _read(path, keys):
  values = read_json(path)
  missing = [key for key in keys if key not in values]
  if missing:
    raise RunError(f"{path} cannot be read: {missing[0]} is not in it")
  return values
