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
from vqvae_jax.data import DataSpec
from vqvae_jax.generation import generate
from vqvae_jax.generation.formats import open_format
from vqvae_jax.generation.shards import Job, plan
from vqvae_jax.study import records
from vqvae_jax.study.arms import Images
from vqvae_jax.training import train

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
  """
  config = study.run_config(seed, str(folder / model), model)
  _timed(folder / f"{model}.json", lambda: train(config, console, brief=True))


def draw(
  generator: str,
  count: int,
  seed: int,
  folder: epath.Path,
  spec: DataSpec,
  console: Console,
) -> Images:
  """So many images of a generator, its classes as often as real ones.

  With other proportions an arm would differ from those without generated
  images in more than these. They are kept as shards in `sets/`, and made once.
  A prior draws without guidance: it makes images more like their class, and a
  set of them less like the data, from which a classifier learns less.
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
  _timed(_beside(out), lambda: generate(config, console))
  return read_set(out)


def seconds(generator: str, count: int, folder: epath.Path) -> float:
  """What it takes to train a generator and to draw so many images."""
  model, _ = split_name(generator)
  drawn = {
    int(path.name.removeprefix(f"{generator}-")): path
    for path in (folder / "sets").iterdir()
    if re.fullmatch(rf"{generator}-\d+", path.name)
  }
  # A share of the least set that holds them.
  least = min(n for n in drawn if n >= count)
  drawing = records.read(_beside(drawn[least]))["seconds"] * count / least
  return records.read(folder / f"{model}.json")["seconds"] + drawing


def read_set(out: epath.PathLike) -> Images:
  """The images of a job that `sample.py --format=npz` has ended."""
  job = Job(out)
  settings = job.settings()
  shards = plan(settings["num_images"], settings["shard_size"])
  labels = [np.asarray(job.read(shard)["labels"]) for shard in shards]
  with concurrent.futures.ThreadPoolExecutor(1) as pool:
    kept = open_format(
      settings["format"],
      out,
      settings["class_names"],
      tuple(settings["image_shape"]),
      len(shards),
      pool,
    )
    images = [
      block
      for shard, of_shard in zip(shards, labels, strict=True)
      for block in kept.read(shard, of_shard)
    ]
  return Images(np.concatenate(images), np.concatenate(labels))


def _beside(out):
  return out.with_name(f"{out.name}.json")


def _timed(path: epath.Path, work):
  """Does work that is not on record as done, and adds up its seconds."""
  record = records.read(path) or {"seconds": 0.0, "done": False}
  if record["done"]:
    return
  start = time.monotonic()
  try:
    work()
    record["done"] = True
  finally:
    record["seconds"] += time.monotonic() - start
    records.write(path, record)
