"""The batch job of `sample.py`: shard after shard, encoded and written while
the device makes the next block.
"""

import concurrent.futures
import hashlib

import jax
import numpy as np
from etils import epath
from rich.console import Console

from vqvae_jax.config import SampleConfig
from vqvae_jax.errors import RunError
from vqvae_jax.files import replace_shared
from vqvae_jax.generation import modes
from vqvae_jax.generation.blocks import Blocks
from vqvae_jax.generation.formats import Format, class_folders, open_format
from vqvae_jax.generation.load import load
from vqvae_jax.generation.shards import (
  MANIFEST,
  Checksum,
  Job,
  Shard,
  plan,
)
from vqvae_jax.progress import Meter
from vqvae_jax.sharding import local_mesh, start_processes
from vqvae_jax.training.pictures import grid, png

GRID_ROWS = 10
# Columns of the grid: one for each class, unless there are more than these.
MAX_COLUMNS = 16
THREADS = 4
# Seconds that a process of a cluster waits for the others when it has ended,
# a month: JAX ends those that are still at work after that.
PATIENCE = 30 * 24 * 3600


def generate(config: SampleConfig, console: Console | None = None):
  """Writes the images that the settings ask for; see `shards` for where.

  Image n sits in block n // B of a compiled per-device batch of B images, so
  its bytes depend on the checkpoint, the seed, n and B, and not on how many are
  asked for, on how many workers there are or where an earlier one stopped.

  Args:
    config: of the job.
    console: where messages go, by default the standard output.

  Raises:
    UserError: in one line, what is wrong with the settings or a folder.
  """
  console = console or Console()
  try:
    if config.verify:
      verify(config.out, console)
    else:
      _generate(config, console)
  except OSError as error:
    where = error.filename or config.out
    raise RunError(
      f"{where}: {error.strerror or error}; what is whole stays, and --resume "
      "goes on from there"
    ) from error


def verify(out: epath.PathLike, console: Console):
  """Checks all shards of a job; merges the records where that was not done.

  Raises:
    RunError: if a shard is missing or is not what its record says, if there
      are images of no shard, or if the manifest is not that of the records.
  """
  job = Job(out)
  settings = job.settings()
  shards = plan(settings["num_images"], settings["shard_size"])
  with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
    kept = _format(job, settings, len(shards), pool)
    missing = [shard for shard in shards if not job.has(shard)]
    present = [shard for shard in shards if job.has(shard)]
    _check_all(job, kept, present, console)
    if missing:
      raise RunError(
        f"{job.out}: {len(missing)} of {len(shards)} shards are missing, the "
        f"first is {missing[0].number}; --resume makes them"
      )
    strays = kept.strays(shards, [job.read(s)["labels"] for s in shards])
    if strays:
      raise RunError(
        f"{job.out}: {len(strays)} images are none of this job, the first is "
        f"{strays[0]}; move them away"
      )
    if not (job.out / MANIFEST).exists():
      _complete(job, kept, shards, settings, console)
      return
    job.check_manifest(shards, _classes(settings))
    console.print(
      f"{settings['num_images']} images in {job.out} are as their records say",
      highlight=False,
      soft_wrap=True,
    )


def _generate(config, console):
  index, workers = config.worker_share()
  if config.multihost:
    start_processes(
      config.coordinator,
      config.num_processes,
      config.process_index,
      wait_at_exit=PATIENCE,
    )
    index, workers = jax.process_index(), jax.process_count()
  model = load(config.workdir, local_mesh(), config.from_step)
  planned = modes.make_plan(config, model)
  settings = {
    "mode": config.mode,
    **planned.settings,
    "data": model.spec.name,
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
  job = Job(config.out)
  job.open(settings, resume=config.resume, worker=workers > 1)
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
  with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
    kept = _format(job, settings, len(shards), pool)
    _check_all(job, kept, done, console)
    block = config.batch_size * model.mesh.size
    todo = [shard for shard in mine if not job.has(shard)]
    taken = _write(job, kept, planned, todo, block, console)
    if taken:
      raise RunError(
        f"{len(taken)} shards, the first is {taken[0].number}, are being made "
        "by another process"
      )
    if all(job.has(shard) for shard in shards):
      _complete(job, kept, shards, settings, console)
    else:
      left = sum(not job.has(shard) for shard in shards)
      console.print(
        f"{len(mine)} shards are whole; {left} of other workers are not yet",
        highlight=False,
      )


def _write(
  job: Job,
  kept: Format,
  planned: modes.Plan,
  todo: list[Shard],
  block: int,
  console: Console,
) -> list[Shard]:
  """Makes shards; gives those that another process is making."""
  if not todo:
    return []
  console.print("compiling", highlight=False)
  taken = []
  total = sum(shard.count for shard in todo)
  blocks = Blocks(planned, todo, block)
  with Meter(console, "images", total) as meter:
    for shard in todo:
      labels = planned.labels[shard.first : shard.first + shard.count]
      with job.lock(shard) as free:
        if not free:
          taken.append(shard)
          continue
        if job.has(shard):
          # Another process made it since this one looked.
          continue
        checksum = Checksum(labels)
        with kept.write(shard, labels) as put:
          for images in blocks.of(shard):
            put(images)
            checksum.update(images)
            meter.advance(len(images))
        job.write(shard, labels, checksum.hexdigest())
  return taken


def _check_all(job, kept, shards, console):
  with Meter(console, "shards checked", len(shards)) as meter:
    for shard in shards:
      _check(job, kept, shard)
      meter.advance(1)


def _check(job, kept, shard):
  """Compares a shard with its record, and that with the job.

  Raises:
    RunError: if they differ.
  """
  mend = (
    f"move it and {job.out}/records/{shard.number:05d}.json away, and --resume "
    "makes it again"
  )
  record = job.read(shard)
  wrong = job.mistake(shard, record)
  if wrong:
    raise RunError(f"the record of shard {shard.number} {wrong}; {mend}")
  labels = np.asarray(record["labels"])
  checksum = Checksum(labels)
  try:
    for images in kept.read(shard, labels):
      checksum.update(images)
  except FileNotFoundError as error:
    raise RunError(
      f"shard {shard.number}: {error.filename or error} is missing; {mend}"
    ) from None
  except Exception as error:
    # Decoders raise what they like on broken files.
    raise RunError(
      f"shard {shard.number} is broken ({' '.join(str(error).split())[:200]}); "
      f"{mend}"
    ) from error
  if checksum.hexdigest() != record["sha256"]:
    raise RunError(
      f"shard {shard.number} is not what was written: its checksum differs; "
      f"{mend}"
    )


def _complete(job, kept, shards, settings, console):
  """Merges the records, and draws the first images."""
  classes = _classes(settings)
  columns = len(classes) if 1 < len(classes) <= MAX_COLUMNS else GRID_ROWS
  wanted, shown = GRID_ROWS * columns, []
  for shard in shards:
    for images in kept.read(shard, np.asarray(job.read(shard)["labels"])):
      shown.extend(images[: wanted - len(shown)])
      if len(shown) == wanted:
        break
    if len(shown) == wanted:
      break
  replace_shared(job.out / "grid.png", png(grid(np.stack(shown), columns)))
  kept.complete([shard.count for shard in shards])
  job.complete(shards, classes)
  console.print(
    f"{settings['num_images']} images in {job.out}; the first of them: "
    f"{job.out / 'grid.png'}, what they are: {job.out / MANIFEST}",
    highlight=False,
    soft_wrap=True,
  )


def _classes(settings):
  class_names = settings["class_names"]
  names = class_names or ["unlabelled"]
  return [
    {"label": label, "name": name, "folder": folder}
    for label, (name, folder) in enumerate(
      zip(names, class_folders(class_names), strict=True)
    )
  ]


def _format(job, settings, shards, pool):
  return open_format(
    settings["format"],
    job.out,
    settings["class_names"],
    settings["image_shape"],
    shards,
    pool,
  )
