"""The generators of the study.

They are trained and sampled as `train.py` and `sample.py` do it, in folders of
the same kind.
"""

import concurrent.futures
import re
import time

import numpy as np
from etils import epath
from rich.console import Console

from vqvae_jax.config import SampleConfig, StudyConfig
from vqvae_jax.data import DataSpec
from vqvae_jax.errors import RunError
from vqvae_jax.jobs import generate
from vqvae_jax.jobs.formats import open_format
from vqvae_jax.jobs.shards import JOB, Checksum, Job, plan
from vqvae_jax.runs import train
from vqvae_jax.study import records
from vqvae_jax.study.arms import GeneratorSpec
from vqvae_jax.study.images import Images
from vqvae_jax.training.workdir import stages

# The guidance of priors. Guidance makes images more like their class, and a set
# of them less like the data, so that a classifier learns less from it.
GUIDANCE = 0.0
# The modes of VQ-VAEs that draw from the prior.
_GUIDED = {"prior", "inpaint"}


def train_generator(
  study: StudyConfig,
  model: str,
  seed: int,
  folder: epath.Path,
  console: Console,
):
  """Trains a model on the real images of a seed if it is not trained yet.

  The seconds that it took are recorded beside it. They include those before an
  interruption, but not those before a kill.

  Args:
    study: settings of the study.
    model: name of the model.
    seed: number of the seed.
    folder: folder of the seed.
    console: console for messages.

  Raises:
    RunError: if the weights changed since the model was trained.
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
  generator: GeneratorSpec,
  count: int,
  seed: int,
  folder: epath.Path,
  spec: DataSpec,
  console: Console,
) -> Images:
  """Draws images of a generator if they are not drawn yet.

  They are written as shards to `sets/`. Their classes have the proportions of
  the real images: with others, arms would differ in more than the generated
  images.

  Args:
    generator: generator, whose model is trained.
    count: number of images.
    seed: number of the seed.
    folder: folder of the seed.
    spec: description of the real images.
    console: console for messages.

  Raises:
    RunError: if the images changed since they were drawn.
  """
  run = folder / generator.model
  out = folder / "sets" / f"{generator.name}-{count}"
  guided = generator.model == "vqvae" and generator.mode in _GUIDED
  config = SampleConfig(
    workdir=str(run),
    out=str(out),
    num_images=count,
    format="npz",
    labels="balanced" if len(set(spec.class_counts)) == 1 else "as-data",
    mode=generator.mode,
    guidance=GUIDANCE if guided else None,
    seed=seed,
    resume=True,
  )
  _timed(
    _beside(out),
    out,
    lambda: generate(config, console),
    lambda: {
      "generator": generator.name,
      "seed": seed,
      "weights": _weights(run, generator.model),
      "set": set_digest(out),
    },
  )
  return read_set(out)


def training_seconds(model: str, folder: epath.Path) -> float:
  """Returns the time that the training of a model took."""
  return records.read(folder / f"{model}.json")["seconds"]


def drawing_seconds(
  generator: GeneratorSpec, count: int, folder: epath.Path
) -> float:
  """Returns the time that drawing `count` images of a generator takes."""
  drawn = {
    int(path.name.removeprefix(f"{generator.name}-")): path
    for path in (folder / "sets").iterdir()
    if re.fullmatch(rf"{generator.name}-\d+", path.name)
  }
  # It is a share of the time of the smallest set that has them.
  least = min(n for n in drawn if n >= count)
  return records.read(_beside(drawn[least]))["seconds"] * count / least


def set_digest(out: epath.PathLike) -> str | None:
  """Returns a digest of the records of a job; None if it is not complete."""
  job = Job(out)
  if not (job.out / JOB).exists():
    return None
  shards = _shards(job)
  if not all(job.has(shard) for shard in shards):
    return None
  checksums = [job.read(shard)["sha256"] for shard in shards]
  return records.digest({"job": job.settings(), "shards": checksums})


def read_set(out: epath.PathLike) -> Images:
  """Reads the images of a complete job of `sample.py --format=npz`.

  Raises:
    RunError: if a shard differs from its record.
  """
  job = Job(out)
  settings = job.settings()
  shards = _shards(job)
  with concurrent.futures.ThreadPoolExecutor(1) as pool:
    format_ = open_format(
      settings["format"],
      out,
      settings["class_names"],
      tuple(settings["image_shape"]),
      len(shards),
      pool,
    )
    try:
      read = [_read_shard(job, format_, shard) for shard in shards]
    except RunError as error:
      again = _again(out, _beside(job.out))
      raise RunError(f"{error}; {again}") from None
  images, labels = zip(*read, strict=True)
  return Images(np.concatenate(images), np.concatenate(labels))


def _read_shard(job, format_, shard):
  """Returns the images and labels of a shard."""
  record = job.read(shard)
  labels = np.asarray(record["labels"])
  checksum = Checksum(labels)
  blocks = []
  try:
    for block in format_.read(shard, labels):
      checksum.update(block)
      blocks.append(block)
  except Exception as error:
    # Decoders raise errors of any kind on broken files.
    line = " ".join(str(error).split())[:200]
    raise RunError(
      f"shard {shard.number} of {job.out} cannot be read ({line})"
    ) from error
  if checksum.hexdigest() != record["sha256"]:
    raise RunError(f"shard {shard.number} of {job.out} is not what was written")
  return np.concatenate(blocks), labels


def _shards(job):
  settings = job.settings()
  return plan(settings["num_images"], settings["shard_size"])


def _weights(run, model):
  return records.folder_digest([run / stage for stage in stages(model)])


def _beside(out):
  return out.with_name(f"{out.name}.json")


def _again(folder, record):
  return f"move {folder} and {record.name} away, and both are made again"


def _timed(path: epath.Path, folder: epath.Path, work, made_from):
  """Does work that is not recorded as done, and adds up its seconds.

  Args:
    path: path of the record.
    folder: folder that the work makes.
    work: function that does the work.
    made_from: function that describes what the folder holds; see
      `records.write`.

  Raises:
    RunError: if the folder changed since the work was done.
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
