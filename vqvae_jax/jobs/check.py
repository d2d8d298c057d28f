"""Checks that the files of a job's folder are what was written. Only reads."""

import concurrent.futures
from collections.abc import Sequence

import numpy as np
from etils import epath
from jaxtyping import Int
from rich.console import Console

from vqvae_jax.errors import RunError
from vqvae_jax.jobs import finish
from vqvae_jax.jobs.entries import entries
from vqvae_jax.jobs.folder import RECORDS, JobFolder
from vqvae_jax.jobs.formats import Format, open_format
from vqvae_jax.jobs.shards import Checksum, Shard, plan
from vqvae_jax.progress import Meter, say

THREADS = 4


def verify(out: epath.PathLike, console: Console) -> None:
  """Checks a whole set and changes nothing.

  Every file is compared with the checksums that were written with it: images,
  labels, records, and the files that describe the set. Other files in the
  folder are an error, too.

  Raises:
    RunError: naming the first file that is missing, changed or unknown.
  """
  job = JobFolder(out)
  settings = job.settings
  shards = plan(settings["num_images"], settings["shard_size"])
  present = set(job.recorded(shards))
  missing = [shard for shard in shards if shard not in present]
  if missing:
    number = len(missing)
    raise RunError(
      f"{job.out}: {number} of {len(shards)} shards {_are(number)} missing, "
      f"the first is {missing[0].number}; run the same command with --resume"
    )
  with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
    store = open_format(job.out, settings, pool)
    unknown = strays(job, store, shards, job.labels(shards))
    if unknown:
      # Shards are not read yet, because a link or pipe may lead anywhere.
      raise RunError(
        f"{unknown[0]}{_more(unknown)}; then repeat --verify, which has not "
        "compared the images yet"
      )
    wrong = wrong_shards(job, store, shards, console)
    if wrong:
      raise RunError(next(iter(wrong.values())) + _more(wrong))
    text = finish.mistake(job, store, shards)
    if text:
      raise RunError(text)
  count = settings["num_images"]
  say(
    console,
    f"{count:,} {'image' if count == 1 else 'images'} in {job.out} are as "
    "their records say",
  )


def wrong_shards(
  job: JobFolder, store: Format, shards: Sequence[Shard], console: Console
) -> dict[Shard, str]:
  """Returns what is wrong with recorded shards, by shard."""
  wrong = {}
  if not shards:
    return wrong
  with Meter(console, "shards checked", len(shards)) as meter:
    for shard in shards:
      text = _wrong(job, store, shard)
      if text:
        wrong[shard] = f"{text}; {finish.REPAIR}"
      meter.advance(1)
  return wrong


def strays(
  job: JobFolder,
  store: Format,
  shards: Sequence[Shard],
  labels: Int[np.ndarray, " n"],
) -> list[str]:
  """Returns a line for each file in the folder that is not part of the set.

  Args:
    job: folder of the job.
    store: files of the shards.
    shards: all shards.
    labels: labels of all images.
  """
  owned = finish.owned(store, job.settings)
  records = {job.record(shard).name for shard in shards}
  lines = []
  for names, kind in entries(job.out):
    where = job.out.joinpath(*names)
    if kind in ("link", "device"):
      lines.append(f"{where} is a {kind}, not what was written; move it away")
      continue
    if kind == "folder":
      ours = names == (RECORDS,)
    else:
      ours = (
        names[0] in owned
        if len(names) == 1
        else (names[0] == RECORDS and len(names) == 2 and names[1] in records)
      )
    if not ours and not store.owns(names, labels, folder=kind == "folder"):
      lines.append(f"{where} is not part of this set; move it away")
  return lines


def _wrong(job, store, shard):
  """Says what is wrong with a shard, if anything."""
  name = f"shard {shard.number}"
  try:
    record = job.read(shard)
  except RunError as error:
    return str(error)
  missing = store.missing(shard, record.labels)
  if missing:
    number = len(missing)
    unit = store.unit if number == 1 else f"{store.unit}s"
    return f"{number} {unit} of {name} {_are(number)} missing ({missing[0]})"
  changed = f"{name} is not what was written: its checksum differs"
  try:
    if store.digest(shard, record.labels) != record.files:
      return changed
    checksum = Checksum(record.labels)
    for images in store.read(shard, record.labels):
      checksum.update(images)
  except OSError as error:
    return f"{name} cannot be read ({error.strerror or error})"
  except Exception as error:
    # Decoders do not document what they raise for broken files.
    return f"{name} is broken ({' '.join(str(error).split())[:200]})"
  return changed if checksum.hexdigest() != record.sha256 else None


def _are(number):
  return "is" if number == 1 else "are"


def _more(found):
  return f" ({len(found) - 1:,} more)" if len(found) > 1 else ""
