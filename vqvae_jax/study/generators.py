"""The generators of the study: trained and asked as `train.py` and `sample.py`
do it, in the same folders.
"""

import concurrent.futures
import re
import time

import numpy as np
from etils import epath
from rich.console import Console

from vqvae_jax.config import SampleConfig, StudyConfig
from vqvae_jax.config.generators import stages_of
from vqvae_jax.data import DataSpec
from vqvae_jax.errors import RunError
from vqvae_jax.jobs import generate
from vqvae_jax.jobs.folder import JOB, JobFolder
from vqvae_jax.jobs.formats import open_format
from vqvae_jax.jobs.shards import Checksum, plan
from vqvae_jax.runs import train
from vqvae_jax.study import records
from vqvae_jax.study.arms import Images

# With which priors draw. Any makes the set less varied than the data.
GUIDANCE = 0.0


def split_name(generator: str) -> tuple[str, str]:
  """The model and the mode of a generator: "vqvae-mix" is vqvae, mix."""
  model, _, mode = generator.partition("-")
  return model, mode or "prior"


def train_generator(
  study: StudyConfig,
  model: str,
  seed: int,
  folder: epath.Path,
  console: Console,
):
  """Trains a model on the real images of a seed, where it is not trained yet.

  Its seconds go on record beside it; those before an interruption count, those
  before a kill do not.

  Raises:
    RunError: if it was trained, and its weights are not those of then.
  """
  run = folder / model
  config = study.run_config(seed, str(run), model)
  _timed(
    folder / f"{model}.json",
    run,
    lambda: train(config, console, brief=True),
    lambda: {"model": model, "seed": seed, "weights": _weights(run, model)},
  )


def draw(
  generator: str,
  count: int,
  seed: int,
  folder: epath.Path,
  spec: DataSpec,
  console: Console,
) -> Images:
  """Draws `count` images of a generator, its classes as often as real ones.

  With other proportions an arm would differ from those without generated
  images in more than these. They are kept as shards in `sets/`, and made once.
  A prior draws without guidance: it makes images more like their class, and a
  set of them less like the data, from which a classifier learns less.

  Raises:
    RunError: if they were drawn, and are not those of then.
  """
  model, mode = split_name(generator)
  out = folder / "sets" / f"{generator}-{count}"
  config = SampleConfig(
    workdir=str(folder / model),
    out=str(out),
    num_images=count,
    format="npz",
    labels="balanced" if len(set(spec.class_counts)) == 1 else "as-data",
    mode=mode,
    guidance=GUIDANCE if generator in ("vqvae", "vqvae-inpaint") else None,
    seed=seed,
    resume=True,
  )
  _timed(
    _beside(out),
    out,
    lambda: generate(config, console),
    lambda: {
      "generator": generator,
      "seed": seed,
      "weights": _weights(folder / model, model),
      "set": set_digest(out),
    },
  )
  return read_set(out)


def training_seconds(model: str, folder: epath.Path) -> float:
  """What it took to train a model."""
  return records.read(folder / f"{model}.json")["seconds"]


def drawing_seconds(generator: str, count: int, folder: epath.Path) -> float:
  """What it takes to draw `count` images of a generator."""
  drawn = {
    int(path.name.removeprefix(f"{generator}-")): path
    for path in (folder / "sets").iterdir()
    if re.fullmatch(rf"{generator}-\d+", path.name)
  }
  # A share of the least set that holds them.
  least = min(n for n in drawn if n >= count)
  return records.read(_beside(drawn[least]))["seconds"] * count / least


def set_digest(out: epath.PathLike) -> str | None:
  """Digest of what a job's records say of its shards; None without a job."""
  job = JobFolder(out)
  if not (job.out / JOB).exists():
    return None
  shards = _shards(job)
  if not all(job.has(shard) for shard in shards):
    return None
  checksums = [job.read(shard)["sha256"] for shard in shards]
  return records.digest({"job": job.settings(), "shards": checksums})


def read_set(out: epath.PathLike) -> Images:
  """The images of a job that `sample.py --format=npz` has ended.

  Raises:
    RunError: if a shard is not what its record says.
  """
  job = JobFolder(out)
  settings = job.settings()
  again = _again(out, _beside(job.out))
  shards = _shards(job)
  labels, images = [], []
  with concurrent.futures.ThreadPoolExecutor(1) as pool:
    kept = open_format(
      settings["format"],
      out,
      settings["class_names"],
      tuple(settings["image_shape"]),
      len(shards),
      pool,
    )
    for shard in shards:
      try:
        record = job.read(shard)
      except RunError as error:
        raise RunError(f"{error}; {again}") from None
      of_shard = np.asarray(record["labels"])
      checksum = Checksum(of_shard)
      try:
        for block in kept.read(shard, of_shard):
          checksum.update(block)
          images.append(block)
      except Exception as error:
        # Decoders raise what they like on broken files.
        line = " ".join(str(error).split())[:200]
        raise RunError(
          f"shard {shard.number} of {out} cannot be read ({line}); {again}"
        ) from error
      if checksum.hexdigest() != record["sha256"]:
        raise RunError(
          f"shard {shard.number} of {out} is not what was written; {again}"
        )
      labels.append(of_shard)
  return Images(np.concatenate(images), np.concatenate(labels))


def _shards(job):
  settings = job.settings()
  return plan(settings["num_images"], settings["shard_size"])


def _weights(run, model):
  return records.folder_digest([run / stage for stage in stages_of(model)])


def _beside(out):
  return out.with_name(f"{out.name}.json")


def _again(folder, record):
  return f"move {folder} and {record.name} away, and both are made again"


def _timed(path: epath.Path, folder: epath.Path, work, made_from):
  """Does work that is not on record as done, and adds up its seconds.

  Args:
    path: path of the record.
    folder: what the work makes.
    work: does it.
    made_from: tells what the folder holds; see `records.write`.

  Raises:
    RunError: if the folder is not what it was when the work was done.
  """
  mend = _again(folder, path)
  record = records.read(path, mend=mend)
  record = record or {"seconds": 0.0, "done": False}
  if record["done"]:
    try:
      found = made_from()
    except RunError as error:
      raise RunError(f"{error}; {mend}") from None
    records.read(path, found, mend)
    return
  start = time.monotonic()
  try:
    work()
    record["done"] = True
  finally:
    record["seconds"] += time.monotonic() - start
    records.write(path, record, made_from() if record["done"] else None)
