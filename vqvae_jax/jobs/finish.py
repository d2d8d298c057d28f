"""The files that describe a set: written once all shards are whole."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from vqvae_jax.errors import RunError
from vqvae_jax.files import (
  left_behind,
  pretty_json,
  read_json,
  replace_shared,
)
from vqvae_jax.generators.plan import Plan
from vqvae_jax.jobs.card import card
from vqvae_jax.jobs.class_folders import class_folders, folder_rule
from vqvae_jax.jobs.folder import JOB, MANIFEST, RECORDS, JobFolder
from vqvae_jax.jobs.formats import Format
from vqvae_jax.jobs.formats.base import file_digest
from vqvae_jax.jobs.overview import overview
from vqvae_jax.jobs.shards import Shard
from vqvae_jax.pictures import png

CARD = "README.md"
GRID = "grid.png"
SOURCES = "sources.jsonl"
REPAIR = "run the same command with --resume --repair"
# The lock of the process that completes a set.
COMPLETING = "complete"


def complete(
  job: JobFolder, store: Format, shards: Sequence[Shard], planned: Plan
) -> None:
  """Writes all files that describe the set, the manifest last."""
  settings = job.settings
  replace_shared(job.out / JOB, pretty_json(settings))
  pixels = overview(
    store, shards, planned, settings["class_names"], settings["mode"]
  )
  replace_shared(job.out / GRID, png(pixels))
  if planned.origins:
    _write_sources(job, shards)
  store.complete([shard.count for shard in shards])
  text = card(settings, counted_classes(job, shards))
  replace_shared(job.out / CARD, text.encode("utf-8", "backslashreplace"))
  replace_shared(job.out / MANIFEST, _manifest(job, store, shards))
  _sweep(job)


def mistake(
  job: JobFolder, store: Format, shards: Sequence[Shard]
) -> str | None:
  """Says what is wrong with the files that `complete` wrote, if anything."""
  path = job.out / MANIFEST
  names = _described_by(store, job.settings)
  for name in (MANIFEST, *names):
    if not (job.out / name).exists():
      return f"{job.out / name} is missing; {REPAIR}"
  if path.read_bytes() == _manifest(job, store, shards):
    return None
  try:
    recorded = read_json(path).get("files")
  except RunError as error:
    return f"{error}; {REPAIR}"
  recorded = recorded if isinstance(recorded, dict) else {}
  for name in names:
    if name in recorded and recorded[name] != file_digest(job.out / name):
      return f"{job.out / name} is not what was written; {REPAIR}"
  return f"{path} is not what the records say; {REPAIR}"


def owned(store: Format, settings: Mapping[str, Any]) -> set[str]:
  """Returns the names of the files beside the shards."""
  return {MANIFEST, *_described_by(store, settings)}


def counted_classes(
  job: JobFolder, shards: Sequence[Shard]
) -> list[dict[str, Any]]:
  """Returns label, name, folder and count of each class."""
  names = job.settings["class_names"]
  counts = Counter()
  for shard in shards:
    counts.update(job.read(shard).label_counts)
  pairs = zip(names or ["unlabelled"], class_folders(names), strict=True)
  return [
    {
      "label": label,
      "name": name,
      "folder": folder,
      "count": counts[str(label)],
    }
    for label, (name, folder) in enumerate(pairs)
  ]


def absent_line(
  settings: Mapping[str, Any], classes: list[dict[str, Any]]
) -> str | None:
  """Names classes without images, which shift the numbers of the others."""
  absent = [entry["name"] for entry in classes if not entry["count"]]
  if not absent or settings["format"] != "png":
    return None
  named = ", ".join(name[:40] for name in absent[:10])
  more = ", ..." if len(absent) > 10 else ""
  have = "class has" if len(absent) == 1 else "classes have"
  left = len(classes) - len(absent)
  others = f"the others 0 to {left - 1}" if left > 1 else "the other one 0"
  return (
    f"{len(absent)} {have} no image ({named}{more}), so ImageFolder would "
    f"number {others}; {CARD} says how to keep the labels"
  )


def _described_by(store, settings):
  """Names of the files that describe the set, without the manifest."""
  sources = () if settings["mode"] == "prior" else (SOURCES,)
  return (JOB, CARD, GRID, *sources, *store.extras)


def _manifest(job, store, shards):
  settings = job.settings
  names = _described_by(store, settings)
  records = [job.read(shard) for shard in shards]
  return pretty_json(
    {
      **settings,
      "synthetic": True,
      "class_folders": folder_rule(settings["class_names"]),
      "classes": counted_classes(job, shards),
      "files": {name: file_digest(job.out / name) for name in names},
      "shards": [
        {
          "number": record.shard.number,
          "first": record.shard.first,
          "count": record.shard.count,
          "sha256": record.sha256,
          "record": record.digest,
        }
        for record in records
      ],
    }
  )


def _write_sources(job, shards):
  """Writes which images each image was made from, a line for each."""
  lines = [
    json.dumps({"number": number, "sources": sources})
    for shard in shards
    for number, sources in enumerate(job.sources(shard), shard.first)
  ]
  replace_shared(job.out / SOURCES, "\n".join([*lines, ""]).encode())


def _sweep(job):
  """Removes locks and partial files of processes that were killed."""
  for path in (job.out / RECORDS).iterdir():
    is_lock = path.name.startswith(".") and path.name.endswith(".lock")
    if is_lock and path.name != f".{COMPLETING}.lock":
      path.unlink(missing_ok=True)
  for path in job.out.iterdir():
    if left_behind(path):
      path.unlink(missing_ok=True)
