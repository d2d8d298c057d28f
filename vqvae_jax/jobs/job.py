"""The batch job of `sample.py`.

Shards are made one after the other. The images of a block are encoded and
written while the device makes the next block.
"""

import concurrent.futures
import dataclasses
import hashlib
import re
import time
from collections.abc import Iterator

import jax
import numpy as np
from etils import epath
from rich.console import Console

import vqvae_jax
from vqvae_jax.config import SampleConfig
from vqvae_jax.errors import RunError
from vqvae_jax.files import expand
from vqvae_jax.generators import load
from vqvae_jax.generators.labels import explained
from vqvae_jax.generators.plan import Plan
from vqvae_jax.jobs import check, finish, limits
from vqvae_jax.jobs.blocks import Blocks
from vqvae_jax.jobs.folder import MANIFEST, RECORDS, JobFolder
from vqvae_jax.jobs.formats import FORMATS, Format, open_format
from vqvae_jax.jobs.shards import Checksum, Shard, plan
from vqvae_jax.jobs.summary import advise_next, summarise
from vqvae_jax.progress import Meter, say
from vqvae_jax.sharding import local_mesh, start_processes

# Seconds that a process of a cluster waits for the others at its end: a month.
# After that, JAX ends those that are still at work.
PATIENCE = 30 * 24 * 3600


@dataclasses.dataclass(frozen=True)
class Job:
  """A job that may begin.

  Attributes:
    config: settings of the job.
    folder: folder of the job.
    planned: labels of the images, and the function that makes them.
    store: files of the shards.
    shards: all shards of the job.
    console: where messages go.
  """

  config: SampleConfig
  folder: JobFolder
  planned: Plan
  store: Format
  shards: list[Shard]
  console: Console


def generate(
  config: SampleConfig,
  console: Console | None = None,
  *,
  advise: bool = False,
) -> None:
  """Writes the images that the settings ask for; see `folder` for where.

  Image n belongs to block n // B of a compiled per-device batch of B images.
  Its bytes depend on the checkpoint, the seed, n and B, and not on the number
  of images, the number of workers, or where an earlier one stopped.

  Args:
    config: settings of the job.
    console: where messages go, by default the standard output.
    advise: whether to say at the end what can be done with the images.

  Raises:
    UserError: in one line, what is wrong with the settings or a folder.
  """
  console = console or Console()
  config = _with_paths(config)
  try:
    if config.verify:
      check.verify(config.out, console)
    else:
      _generate(config, console, advise)
  except OSError as error:
    where = error.filename or config.out
    raise RunError(
      f"{where}: {error.strerror or error}; {_whole_so_far(config)}"
    ) from error
  except (MemoryError, jax.errors.JaxRuntimeError) as error:
    if isinstance(error, jax.errors.JaxRuntimeError) and not re.search(
      "RESOURCE_EXHAUSTED|[Oo]ut of memory", str(error)
    ):
      raise
    raise RunError(
      f"--batch-size {config.batch_size:,} needs more memory than there is; "
      f"try {max(1, config.batch_size // 4):,} with another --out"
    ) from error


def _with_paths(config):
  """Returns the settings with `~` replaced in its paths."""
  paths = {"out": str(expand(config.out))}
  if config.workdir is not None:
    paths["workdir"] = str(expand(config.workdir))
  return dataclasses.replace(config, **paths)


def _whole_so_far(config):
  """Says what is left after an error of the disk."""
  if config.verify:
    return "nothing was changed"
  try:
    folder = epath.Path(config.out) / RECORDS
    whole = sum(path.suffix == ".json" for path in folder.iterdir())
  except OSError:
    whole = 0
  if not whole:
    return "no image is whole"
  shards = -(-config.num_images // config.shard_size)
  return (
    f"{whole:,} of {shards:,} shards are whole and stay; --resume makes the "
    "rest"
  )


def _generate(config, console, advise):
  index, workers = _share(config)
  started = time.monotonic()
  folder = JobFolder(config.out)
  folder.check_place()
  model = load(config.workdir, local_mesh(), config.from_step)
  if config.dataset is not None:
    # This is where the images are now; they are compared by their digest.
    model.config = dataclasses.replace(model.config, dataset=config.dataset)
  limits.check(config, model.spec, model.mesh, folder)
  FORMATS[config.format].check_classes(model.spec.class_names)
  line = explained(config.labels, model.spec)
  if line:
    say(console, line)
  planned = model.plan(config)
  settings, about = _settings(config, model, planned)
  folder.open(settings, about, resume=config.resume, worker=workers > 1)
  shards = plan(len(planned.labels), config.shard_size)
  # A worker makes consecutive shards, which may share a block of the device.
  borders = [n * len(shards) // workers for n in (index, index + 1)]
  mine = shards[slice(*borders)]
  done = folder.recorded(mine)
  if done and not config.resume:
    raise RunError(
      f"{config.out} holds shards of worker {index}/{workers} already; "
      "continue with --resume"
    )
  with concurrent.futures.ThreadPoolExecutor(check.THREADS) as pool:
    store = open_format(folder.out, settings, pool)
    job = Job(config, folder, planned, store, shards, console)
    whole = _check_done(job, done)
    todo = [shard for shard in mine if shard not in whole]
    speed = _write(job, todo, config.batch_size * model.mesh.size)
    left = len(shards) - len(folder.recorded(shards))
    if left:
      say(
        console,
        f"the shards of this worker are whole ({len(mine):,} of "
        f"{len(shards):,}); those of other workers are not all ({left:,} "
        "missing)",
      )
      return
    _complete(job)
    seconds = time.monotonic() - started
    summarise(folder, store, shards, seconds, speed, console)
  if advise:
    advise_next(folder, model.config, console)


def _share(config):
  """Returns the index of this worker and the number of workers."""
  if not config.multihost:
    return config.worker_share()
  start_processes(
    config.coordinator,
    config.num_processes,
    config.process_index,
    wait_at_exit=PATIENCE,
  )
  return jax.process_index(), jax.process_count()


def _settings(config, model, planned):
  """Returns what the images depend on, and what they come from."""
  settings = {
    "mode": config.mode,
    **planned.settings,
    "image_shape": list(planned.shape),
    "batch_size": config.batch_size,
    "device": model.mesh.devices.flat[0].device_kind,
    "jax": jax.__version__,
    "class_names": list(model.spec.class_names),
    "num_images": len(planned.labels),
    "format": config.format,
    "shard_size": config.shard_size,
    "labels": hashlib.sha256(planned.labels.tobytes()).hexdigest(),
  }
  if planned.origins:
    settings["source_split"] = planned.origins.name
  # In a set that is shared, a path would say where somebody keeps the data.
  kind, colon, path = model.spec.name.partition(":")
  about = {
    "generator": f"vqvae_jax {vqvae_jax.__version__}",
    "data": kind + colon + epath.Path(path).name if colon else kind,
    "data_digest": model.spec.digest,
    "run": epath.Path(config.workdir).resolve().name,
    "model": model.config.model,
  }
  return settings, about


def _check_done(job, done):
  """Checks shards that exist, and returns the set of those that are whole.

  Raises:
    RunError: if one is broken, unless with --repair.
  """
  wrong = check.wrong_shards(job.folder, job.store, done, job.console)
  for shard, text in wrong.items():
    if not job.config.repair:
      raise RunError(text)
    text = text.removesuffix(f"; {finish.REPAIR}")
    say(job.console, f"{text}; making it again")
    job.folder.discard(shard)
  return set(done) - wrong.keys()


def _write(job: Job, todo: list[Shard], block: int) -> float:
  """Makes shards; last those that another process makes now, if it fails.

  Returns:
    The speed at the end, in images per second.
  """
  if not todo:
    return 0.0
  say(job.console, "compiling")
  blocks = Blocks(job.planned, todo, block)
  total = sum(shard.count for shard in todo)
  with Meter(job.console, "images", total) as meter:
    taken = [
      shard for shard in todo if not _make(job, shard, blocks, meter, None)
    ]
    for shard in taken:
      _make(job, shard, blocks, meter, lambda n=shard.number: _wait(job, n))
    return meter.speed


def _make(job, shard, blocks, meter, waiting):
  """Makes a shard; returns False if another process holds it."""
  with job.folder.lock(shard, waiting) as free:
    if not free:
      return False
    # Another process may have made it since the folder was listed.
    if job.folder.has(shard):
      meter.advance(shard.count)
    else:
      _write_shard(job, shard, blocks, meter)
    return True


def _wait(job, number):
  say(job.console, f"waiting for another process (shard {number})")


def _write_shard(job, shard, blocks, meter):
  numbers = np.arange(shard.first, shard.first + shard.count)
  labels = job.planned.labels[numbers]
  checksum = Checksum(labels)

  def images() -> Iterator[np.ndarray]:
    for part in blocks.of(shard):
      yield part
      checksum.update(part)
      meter.advance(len(part))

  job.store.write(shard, labels, images())
  origins, sources = job.planned.origins, None
  if origins:
    places = origins.rows(numbers, labels).tolist()
    sources = [_named(origins, rows) for rows in places]
  digest = job.store.digest(shard, labels)
  job.folder.write(shard, labels, checksum.hexdigest(), digest, sources)


def _named(origins, rows):
  """Returns the index, and the file if there is one, of each origin."""
  files = origins.files(rows)
  if files is None:
    return [{"index": row} for row in rows]
  return [
    {"index": row, "file": file} for row, file in zip(rows, files, strict=True)
  ]


def _complete(job):
  """Writes or checks the files that describe the set, in one process."""

  def waiting():
    say(job.console, "waiting for another process, which completes the set")

  folder, store, shards = job.folder, job.store, job.shards
  with folder.lock(finish.COMPLETING, waiting):
    if (folder.out / MANIFEST).exists():
      wrong = finish.mistake(folder, store, shards)
      if wrong is None:
        return
      if not job.config.repair:
        raise RunError(wrong)
      say(job.console, wrong.removesuffix(f"; {finish.REPAIR}"))
    finish.complete(folder, store, shards, job.planned)
