"""What is written when all shards are whole, and how it is checked."""

import hashlib
import json
from collections.abc import Sequence
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
from vqvae_jax.jobs.folders import class_folders, folder_rule
from vqvae_jax.jobs.format_base import Format, file_digest
from vqvae_jax.jobs.overview import overview
from vqvae_jax.jobs.shards import JOB, MANIFEST, RECORDS, Job, Shard
from vqvae_jax.pictures import png

CARD = "README.md"
GRID = "grid.png"
SOURCES = "sources.jsonl"
REPAIR = "run the same command with --resume --repair"


def complete(job: Job, kept: Format, shards: Sequence[Shard], planned: Plan):
  """Writes all that goes with the shards, the manifest last."""
  settings = job.settings()
  replace_shared(job.out / JOB, pretty_json(settings))
  names = settings["class_names"]
  pixels = overview(kept, shards, planned, names, settings["mode"])
  replace_shared(job.out / GRID, png(pixels))
  if planned.origins:
    _write_sources(job, shards)
  kept.complete([shard.count for shard in shards])
  classes = counted_classes(job, shards, settings)
  text = card(settings, classes)
  replace_shared(job.out / CARD, text.encode("utf-8", "backslashreplace"))
  replace_shared(job.out / MANIFEST, _manifest(job, kept, shards, settings))
  _sweep(job)


def mistake(job: Job, kept: Format, shards: Sequence[Shard]) -> str | None:
  """What is wrong with the files that `complete` wrote; None for nothing."""
  settings = job.settings()
  path = job.out / MANIFEST
  names = _extras(kept, settings)
  for name in (MANIFEST, *names):
    if not (job.out / name).exists():
      return f"{job.out / name} is missing; {REPAIR}"
  if path.read_bytes() == _manifest(job, kept, shards, settings):
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


def owned(kept: Format, settings: dict[str, Any]) -> set[str]:
  """Names of the files beside the shards."""
  return {MANIFEST, *_extras(kept, settings)}


def counted_classes(
  job: Job, shards: Sequence[Shard], settings: dict[str, Any]
) -> list[dict[str, Any]]:
  """Label, name, folder and count of each class."""
  names = settings["class_names"]
  counts = {}
  for shard in shards:
    for label, count in job.read(shard)["label_counts"].items():
      counts[label] = counts.get(label, 0) + count
  pairs = zip(names or ["unlabelled"], class_folders(names), strict=True)
  return [
    {
      "label": label,
      "name": name,
      "folder": folder,
      "count": counts.get(str(label), 0),
    }
    for label, (name, folder) in enumerate(pairs)
  ]


def absent_line(settings: dict[str, Any], classes: list[dict[str, Any]]):
  """A line on classes without images, which shift the numbers of the others."""
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


def _extras(kept, settings):
  sources = (SOURCES,) if settings["mode"] != "prior" else ()
  return (JOB, CARD, GRID, *sources, *kept.extras)


def _manifest(job, kept, shards, settings):
  def entry(shard):
    record = job.read(shard)
    shown = {k: record[k] for k in ("number", "first", "count", "sha256")}
    content = job.record(shard).read_bytes()
    return shown | {"record": hashlib.sha256(content).hexdigest()}

  return pretty_json(
    {
      **settings,
      "synthetic": True,
      "class_folders": folder_rule(settings["class_names"]),
      "classes": counted_classes(job, shards, settings),
      "files": {
        name: file_digest(job.out / name) for name in _extras(kept, settings)
      },
      "shards": [entry(shard) for shard in shards],
    }
  )


def _write_sources(job, shards):
  """Merges what the records say of each image's origins, line by line."""
  lines = [
    json.dumps({"number": number, "sources": sources})
    for shard in shards
    for number, sources in enumerate(job.read(shard)["sources"], shard.first)
  ]
  replace_shared(job.out / SOURCES, "\n".join([*lines, ""]).encode())


def _sweep(job):
  """Removes what killed processes left: locks, and files half written."""
  for path in (job.out / RECORDS).iterdir():
    lock = path.name.startswith(".") and path.name.endswith(".lock")
    if lock and path.name != f".{COMPLETING}.lock":
      path.unlink(missing_ok=True)
  for path in job.out.iterdir():
    if left_behind(path):
      path.unlink(missing_ok=True)


# The lock of the process that completes a set.
COMPLETING = "complete"
