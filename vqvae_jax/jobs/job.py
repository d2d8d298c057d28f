"""The batch job of `sample.py`: shard after shard, encoded and written while
the device makes the next block.
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
from vqvae_jax.generators.labels import explained
from vqvae_jax.generators.load import load
from vqvae_jax.generators.plan import Plan
from vqvae_jax.generators.vqvae import modes
from vqvae_jax.jobs import check, finish, limits
from vqvae_jax.jobs.blocks import Blocks
from vqvae_jax.jobs.format_base import Format
from vqvae_jax.jobs.formats import check_format
from vqvae_jax.jobs.shards import MANIFEST, RECORDS, Checksum, Job, Shard, plan
from vqvae_jax.jobs.summary import advise_next, summarise
from vqvae_jax.progress import Meter, say
from vqvae_jax.sharding import local_mesh, start_processes

# Seconds that a process of a cluster waits for the others when it has ended,
# a month: JAX ends those that are still at work after that.
PATIENCE = 30 * 24 * 3600


def generate(
  config: SampleConfig,
  console: Console | None = None,
  *,
  advise: bool = False,
):
  """Writes the images that the settings ask for; see `shards` for where.

  Image n sits in block n // B of a compiled per-device batch of B images, so
  its bytes depend on the checkpoint, the seed, n and B, and not on how many are
  asked for, on how many workers there are or where an earlier one stopped.

  Args:
    config: of the job.
    console: where messages go, by default the standard output.
    advise: say at the end what can be done with the images.

  Raises:
    UserError: in one line, what is wrong with the settings or a folder.
  """
  console = console or Console()
  places = {"out": str(expand(config.out))}
  if config.workdir is not None:
    places["workdir"] = str(expand(config.workdir))
  config = dataclasses.replace(config, **places)
  try:
    if config.verify:
      check.verify(config.out, console)
    else:
      _generate(config, console, advise)
  except OSError as error:
    where = error.filename or config.out
    raise RunError(
      f"{where}: {error.strerror or error}; {_kept(config)}"
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


def _kept(config):
  """What an error of the disk leaves, in words."""
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
  job = Job(config.out)
  job.check_place()
  model = load(config.workdir, local_mesh(), config.from_step)
  if config.dataset is not None:
    # Where the images are now; that they are the same is checked.
    model.config = dataclasses.replace(model.config, dataset=config.dataset)
  limits.check(config, model.spec, model.mesh, job)
  check_format(config.format, model.spec.class_names)
  line = explained(config.labels, model.spec)
  if line:
    say(console, line)
  planned = modes.make_plan(config, model)
  settings, about = _settings(config, model, planned)
  job.open(settings, about, resume=config.resume, worker=workers > 1)
  shards = plan(len(planned.labels), config.shard_size)
  # Neighbours: two shards may share a block of the device's.
  borders = [n * len(shards) // workers for n in (index, index + 1)]
  mine = shards[slice(*borders)]
  done = [shard for shard in mine if job.has(shard)]
  if done and not config.resume:
    raise RunError(
      f"{config.out} holds shards of worker {index}/{workers} already; go on "
      "with --resume"
    )
  with concurrent.futures.ThreadPoolExecutor(check.THREADS) as pool:
    kept = check.open_kept(job, settings, pool)
    _mend(config, job, kept, done, console)
    block = config.batch_size * model.mesh.size
    todo = [shard for shard in mine if not job.has(shard)]
    speed = _write(job, kept, planned, todo, block, console)
    left = sum(not job.has(shard) for shard in shards)
    if left:
      say(
        console,
        f"the shards of this worker are whole ({len(mine):,} of "
        f"{len(shards):,}); those of other workers are not all ({left:,} "
        "missing)",
      )
      return
    _complete(config, job, kept, shards, planned, console)
    seconds = time.monotonic() - started
    summarise(job, kept, shards, seconds, speed, console)
  if advise:
    advise_next(job, model.config, console)


def _share(config):
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
  """What the images depend on, and what they come from."""
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
  # A path would say where somebody keeps the data, in a set made to be shared.
  kind, colon, path = model.spec.name.partition(":")
  about = {
    "generator": f"vqvae_jax {getattr(vqvae_jax, '__version__', '0.1.0')}",
    "data": kind + colon + epath.Path(path).name if colon else kind,
    "data_digest": model.spec.digest,
    "run": epath.Path(config.workdir).resolve().name,
    "model": model.config.model,
  }
  return settings, about


def _mend(config, job, kept, done, console):
  """Checks shards that are there; takes broken ones off record to be made.

  Raises:
    RunError: if one is broken, unless with --repair.
  """
  wrong = check.wrong_shards(job, kept, done, console)
  for shard, text in wrong.items():
    if not config.repair:
      raise RunError(text)
    say(console, f"{text.removesuffix(f'; {finish.REPAIR}')}; making it again")
    job.record(shard).unlink(missing_ok=True)


def _write(
  job: Job,
  kept: Format,
  planned: Plan,
  todo: list[Shard],
  block: int,
  console: Console,
) -> float:
  """Makes shards, those last that another process is making, if it fails.

  Returns:
    speed: images in a second, at the end.
  """
  if not todo:
    return 0.0
  say(console, "compiling")
  taken = []
  total = sum(shard.count for shard in todo)
  blocks = Blocks(planned, todo, block)
  with Meter(console, "images", total) as meter:

    def make(shard, waiting=None):
      with job.lock(shard, waiting) as free:
        if not free:
          taken.append(shard)
        # Another process may have made it since this one looked.
        elif job.has(shard):
          meter.advance(shard.count)
        else:
          _write_shard(job, kept, planned, shard, blocks, meter)

    for shard in todo:
      make(shard)
    for shard in list(taken):
      make(shard, lambda number=shard.number: _wait(console, number))
    return meter.speed


def _wait(console, what):
  say(console, f"waiting for another process (shard {what})")


def _write_shard(job, kept, planned, shard, blocks, meter):
  numbers = np.arange(shard.first, shard.first + shard.count)
  labels = planned.labels[numbers]
  checksum = Checksum(labels)

  def images() -> Iterator[np.ndarray]:
    for part in blocks.of(shard):
      yield part
      checksum.update(part)
      meter.advance(len(part))

  kept.write(shard, labels, images())
  sources = None
  if planned.origins:
    sources = [
      _named(planned.origins, rows) for rows in _rows(planned, numbers)
    ]
  digest = kept.digest(shard, labels)
  job.write(shard, labels, checksum.hexdigest(), digest, sources)


def _rows(planned, numbers):
  return planned.origins.rows(numbers, planned.labels[numbers]).tolist()


def _named(origins, rows):
  """Index, and file where there is one, of each origin of an image."""
  files = origins.files(rows)
  if files is None:
    return [{"index": row} for row in rows]
  return [
    {"index": row, "file": file} for row, file in zip(rows, files, strict=True)
  ]


def _complete(config, job, kept, shards, planned, console):
  """Writes what goes with the set, or checks it, one process at a time."""

  def waiting():
    say(console, "waiting for another process, which completes the set")

  with job.lock(finish.COMPLETING, waiting):
    if (job.out / MANIFEST).exists():
      wrong = finish.mistake(job, kept, shards)
      if wrong is None:
        return
      if not config.repair:
        raise RunError(wrong)
      say(console, wrong.removesuffix(f"; {finish.REPAIR}"))
    finish.complete(job, kept, shards, planned)
