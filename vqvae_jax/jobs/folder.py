"""The folder of a job, and the records of its whole shards.

    out/job.json              what the job is, written before its first image
    out/records/00003.json    shard 3 is whole: its count, checksums, labels
    out/manifest.json         the job and all its shards, once all are whole

Files are written under another name and renamed, so each is whole or absent.
The record of a shard is written last; without it the shard does not count.
"""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from etils import epath
from jaxtyping import Int

from vqvae_jax import files
from vqvae_jax.errors import RunError
from vqvae_jax.files import pretty_json, read_json, replace, replace_shared
from vqvae_jax.jobs.entries import links
from vqvae_jax.jobs.formats import FORMATS
from vqvae_jax.jobs.shards import Shard

JOB = "job.json"
MANIFEST = "manifest.json"
RECORDS = "records"
# The field of `job.json` that says what the images come from. They do not
# depend on it.
ABOUT = "about"
# All shards are held in memory, and each one has a record.
MAX_SHARDS = 1_000_000


@dataclasses.dataclass(frozen=True)
class Record:
  """The record of a whole shard.

  Attributes:
    shard: the shard.
    sha256: checksum of its labels and pixels.
    files: digest of its files.
    labels: labels of its images.
    label_counts: number of images by label.
    digest: SHA-256 of the record itself.
  """

  shard: Shard
  sha256: str
  files: str
  labels: Int[np.ndarray, " n"]
  label_counts: Mapping[str, int]
  digest: str


class JobFolder:
  """The folder of a job.

  Attributes:
    out: path of the folder.
  """

  def __init__(self, out: epath.PathLike):
    self.out = epath.Path(out)
    # Records are parsed and checked once, and needed several times.
    self.read = functools.cache(self._read)

  def check_place(self) -> None:
    """Checks that the folder is new, empty, or that of a job.

    Raises:
      RunError: if the folder holds something else, or links, through which
        files would be written elsewhere.
    """
    if not self.out.exists():
      return
    if not self.out.is_dir():
      raise RunError(f"{self.out} is a file, not a folder; name another --out")
    # The folder is listed before the job is looked for: another worker may
    # begin it now, and writes the file of the job before all others.
    present = [path.name for path in self.out.iterdir()]
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
    settings: Mapping[str, Any],
    about: Mapping[str, Any],
    *,
    resume: bool,
    worker: bool,
  ) -> None:
    """Begins a job in the folder, or continues the one in it.

    Args:
      settings: settings that the images depend on, and how they are stored.
      about: what the images come from; a job that is continued keeps the first.
      resume: whether a folder of the same job is accepted.
      worker: whether one that other workers of the same job began is accepted.

    Raises:
      RunError: if the folder holds something else.
    """
    self.check_place()
    if (self.out / JOB).exists():
      _check_same(self.out, self.settings, settings)
      if not resume and not worker:
        raise RunError(
          f"{self.out} is not empty: it holds this job already; finish it "
          "with --resume, or name another --out"
        )
    else:
      self.out.mkdir(parents=True, exist_ok=True)
      # This comes first, so that an interrupted job is recognised as one.
      replace_shared(self.out / JOB, pretty_json({**settings, ABOUT: about}))
    (self.out / RECORDS).mkdir(exist_ok=True)
    # The file is not read for this: another job may begin here right now.
    self._digest = _digest(settings)

  def lock(
    self, what: Shard | str, waiting: Callable[[], None] | None = None
  ) -> AbstractContextManager[bool]:
    """Locks a shard, or other work, for this process.

    Remote folders (`gs://...`) have no locks: there, workers must not overlap.

    Args:
      what: a shard, or the name of the work.
      waiting: called every few seconds while another process holds the lock;
        None to give up at once.

    Returns:
      A context whose value says whether the lock is held.
    """
    name = what if isinstance(what, str) else f"{what.number:05d}"
    return files.lock(self.out / RECORDS / f".{name}.lock", waiting)

  @functools.cached_property
  def settings(self) -> dict[str, Any]:
    """The settings of the job, as `job.json` holds them.

    Raises:
      RunError: if the folder holds no job, or if its file is broken.
    """
    path = self.out / JOB
    if not path.exists():
      raise RunError(
        f"{self.out} is not the folder of a job: {JOB} is not there"
      )
    fields = "mode", "format", "num_images", "shard_size", "image_shape"
    settings = _read_fields(path, (*fields, "class_names"))
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

  @functools.cached_property
  def _digest(self):
    return _digest(self.settings)

  def has(self, shard: Shard) -> bool:
    """Returns whether a shard has a record."""
    return self.record(shard).exists()

  def recorded(self, shards: Sequence[Shard]) -> list[Shard]:
    """Returns those of the shards that have a record; lists the folder once."""
    folder = self.out / RECORDS
    names = {p.name for p in folder.iterdir()} if folder.exists() else set()
    return [shard for shard in shards if self.record(shard).name in names]

  def _read(self, shard: Shard) -> Record:
    """Returns the record of a shard.

    Raises:
      RunError: if it is broken, or not the record of this shard.
    """
    path = self.record(shard)
    fields = "job", "sha256", "files", "label_counts", "labels"
    values = _read_fields(path, fields)
    wrong = self._mistake(shard, values)
    if wrong:
      raise RunError(f"the record of shard {shard.number} {wrong} ({path})")
    return Record(
      shard,
      values["sha256"],
      values["files"],
      np.asarray(values["labels"], np.int32),
      values["label_counts"],
      hashlib.sha256(path.read_bytes()).hexdigest(),
    )

  def _mistake(self, shard, values):
    """Says what is wrong with a record, if anything."""
    if values["job"] != self._digest:
      return "is of another job"
    expected = dataclasses.asdict(shard)
    if {key: values.get(key) for key in expected} != expected:
      return "is of another shard"
    labels = values["labels"]
    if not isinstance(labels, list) or any(type(n) is not int for n in labels):
      return "cannot be read: it is broken"
    if not all(isinstance(values[name], str) for name in ("sha256", "files")):
      return "cannot be read: it is broken"
    classes = max(1, len(self.settings["class_names"]))
    if not all(0 <= n < classes for n in labels):
      return "has labels of no class"
    if len(labels) != shard.count:
      return f"has {len(labels)} labels of {shard.count}"
    if values["label_counts"] != _counts(labels):
      return "counts its labels wrongly"
    sources = values.get("sources", [])
    if not isinstance(sources, list) or len(sources) not in (0, shard.count):
      return "does not name the sources of its images"
    return None

  def write(
    self,
    shard: Shard,
    labels: Int[np.ndarray, " n"],
    checksum: str,
    digest: str,
    sources: list[list[dict[str, Any]]] | None = None,
  ) -> None:
    """Records that a shard is whole.

    Args:
      shard: the shard.
      labels: labels of its images.
      checksum: checksum of its labels and pixels.
      digest: digest of its files.
      sources: for each image, the images that it was made from.
    """
    values = {
      **dataclasses.asdict(shard),
      "job": self._digest,
      "sha256": checksum,
      "files": digest,
      "label_counts": _counts(labels),
      "labels": np.asarray(labels).tolist(),
    }
    if sources is not None:
      values["sources"] = sources
    replace(self.record(shard), json.dumps(values).encode())

  def sources(self, shard: Shard) -> list[list[dict[str, Any]]]:
    """Returns, for each image of a shard, the images that it was made from."""
    return read_json(self.record(shard))["sources"]

  def discard(self, shard: Shard) -> None:
    """Removes the record of a shard, so that it is made again."""
    self.record(shard).unlink(missing_ok=True)
    self.read.cache_clear()

  def labels(self, shards: Sequence[Shard]) -> Int[np.ndarray, " n"]:
    """Returns the labels of all images."""
    return np.concatenate([self.read(shard).labels for shard in shards])

  def record(self, shard: Shard) -> epath.Path:
    """Returns the path of the record of a shard."""
    return self.out / RECORDS / f"{shard.number:05d}.json"


def _counts(labels):
  values, counts = np.unique(np.asarray(labels), return_counts=True)
  return dict(zip(map(str, values.tolist()), counts.tolist(), strict=True))


def _digest(settings):
  values = {key: value for key, value in settings.items() if key != ABOUT}
  text = json.dumps(values, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()


def _check_same(out, old, new):
  # The mode comes first: settings after it may belong to one mode only.
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


def _read_fields(path, names):
  values = read_json(path)
  missing = [name for name in names if name not in values]
  if missing:
    raise RunError(f"{path} cannot be read: {missing[0]} is not in it")
  return values
