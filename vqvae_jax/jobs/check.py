"""Checks of a job's folder: are its files what was written? Only reads."""

import concurrent.futures
from collections.abc import Sequence
from typing import Any

import numpy as np
from etils import epath
from jaxtyping import Int
from rich.console import Console

from vqvae_jax.errors import RunError
from vqvae_jax.jobs import finish
from vqvae_jax.jobs.format_base import Format
from vqvae_jax.jobs.formats import open_format
from vqvae_jax.jobs.shards import RECORDS, Checksum, Job, Shard, plan
from vqvae_jax.jobs.tree import entries
from vqvae_jax.progress import Meter, say

THREADS = 4


def verify(out: epath.PathLike, console: Console):
  """Checks a whole set, and changes nothing.

  Every file is compared with the checksums that were written with it: images,
  labels, records, and what describes the set. So is what lies beside them.

  Raises:
    RunError: naming the first thing that is missing, changed or too many.
  """
  job = Job(out)
  settings = job.settings()
  shards = plan(settings["num_images"], settings["shard_size"])
  missing = [shard for shard in shards if not job.has(shard)]
  if missing:
    number = len(missing)
    raise RunError(
      f"{job.out}: {number} of {len(shards)} shards {_are(number)} missing, "
      f"the first is {missing[0].number}; run the same command with --resume"
    )
  with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
    kept = open_kept(job, settings, pool)
    labels = job.labels(shards)
    found = strays(job, kept, settings, labels)
    if found:
      # The shards are not read yet: behind a link or pipe may be anything.
      raise RunError(
        f"{found[0]}{_more(found)}; then repeat --verify, which has not "
        "compared the images yet"
      )
    wrong = wrong_shards(job, kept, shards, console)
    if wrong:
      raise RunError(next(iter(wrong.values())) + _more(wrong))
    text = finish.mistake(job, kept, shards)
    if text:
      raise RunError(text)
  say(
    console,
    f"{settings['num_images']:,} {_images(settings['num_images'])} in "
    f"{job.out} are as their records say",
  )


def open_kept(
  job: Job,
  settings: dict[str, Any],
  pool: concurrent.futures.Executor,
) -> Format:
  """The files of a job's shards."""
  return open_format(
    settings["format"],
    job.out,
    settings["class_names"],
    settings["image_shape"],
    len(plan(settings["num_images"], settings["shard_size"])),
    pool,
  )


def wrong_shards(
  job: Job, kept: Format, shards: Sequence[Shard], console: Console
) -> dict[Shard, str]:
  """What is wrong with shards on record, by shard."""
  found = {}
  if not shards:
    return found
  with Meter(console, "shards checked", len(shards)) as meter:
    for shard in shards:
      wrong = _wrong(job, kept, shard)
      if wrong:
        found[shard] = f"{wrong}; {finish.REPAIR}"
      meter.advance(1)
  return found


def strays(
  job: Job,
  kept: Format,
  settings: dict[str, Any],
  labels: Int[np.ndarray, " n"],
) -> list[str]:
  """What lies in the folder and is no part of the set, a line for each."""
  known = finish.owned(kept, settings)
  shards = plan(settings["num_images"], settings["shard_size"])
  records = {job.record(shard).name for shard in shards}
  found = []
  for names, kind in entries(job.out):
    where = job.out.joinpath(*names)
    if kind in ("link", "device"):
      found.append(f"{where} is a {kind}, not what was written; move it away")
      continue
    folder = kind == "folder"
    ours = (
      kept.owns(names, labels, folder=folder)
      or (not folder and len(names) == 1 and names[0] in known)
      or (folder and names == (RECORDS,))
      or (
        not folder
        and len(names) == 2
        and names[0] == RECORDS
        and names[1] in records
      )
    )
    if not ours:
      found.append(f"{where} is not part of this set; move it away")
  return found


def _wrong(job, kept, shard):
  """What is wrong with a shard; None for nothing."""
  try:
    record = job.read(shard)
  except RunError as error:
    return str(error)
  labels = np.asarray(record["labels"])
  name = f"shard {shard.number}"
  missing = kept.missing(shard, labels)
  if missing:
    number = len(missing)
    return (
      f"{number} {_files(job, number)} of {name} {_are(number)} missing "
      f"({missing[0]})"
    )
  try:
    if kept.digest(shard, labels) != record["files"]:
      return f"{name} is not what was written: its checksum differs"
    checksum = Checksum(labels)
    for images in kept.read(shard, labels):
      checksum.update(images)
  except OSError as error:
    return f"{name} cannot be read ({error.strerror or error})"
  except Exception as error:
    # Decoders raise what they like on broken files.
    return f"{name} is broken ({' '.join(str(error).split())[:200]})"
  if checksum.hexdigest() != record["sha256"]:
    return f"{name} is not what was written: its checksum differs"
  return None


def _files(job, number):
  if job.settings()["format"] == "png":
    return _images(number)
  return "file" if number == 1 else "files"


def _images(number):
  return "image" if number == 1 else "images"


def _are(number):
  return "is" if number == 1 else "are"


def _more(found):
  return f" ({len(found) - 1:,} more)" if len(found) > 1 else ""
