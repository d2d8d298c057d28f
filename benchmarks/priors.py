"""The three priors on the ids of one tokenizer, at equal training time.

Trains the tokenizer of MNIST, then each prior for about --seconds of steps
(compiling and evaluating aside), and draws from each. A CNN that was trained on
all of MNIST's training images then says how many digits are of the class that
was asked for. Runs that are there already are not trained again.

  python benchmarks/priors.py --data-dir=DIR

DIR holds TFDS's mnist; if it does not, it is prepared there, which needs a
network.
"""

import dataclasses
import json
import pathlib
import shutil
import sys
import time

import numpy as np
import tyro

# This package is the one in this checkout, installed or not.
sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from vqvae_jax.config import Config, PriorConfig
from vqvae_jax.data import load_data
from vqvae_jax.files import expand
from vqvae_jax.generators import load
from vqvae_jax.runs import train
from vqvae_jax.study.judges import SIMPLE, Part, predict, train_judge

KINDS = ("transformer", "pixelcnn", "maskgit")
BLOCK = 250


@dataclasses.dataclass(frozen=True)
class Options:
  # Where TFDS's mnist is prepared.
  data_dir: str | None = None
  # Folder of the runs.
  workdir: str = "runs/priors"
  # Seconds of steps for each prior.
  seconds: float = 240.0
  # Steps by which a prior's speed is measured.
  trial: int = 100
  # Digits drawn from each.
  images: int = 2000
  # Steps of the CNN.
  judge_steps: int = 3000
  # Seed of everything.
  seed: int = 0


def run(options, kind, folder, steps):
  """Trains a prior in a folder of its own; gives its validation metrics."""
  tokenizer = expand(options.workdir) / "tokenizer-run"
  if not folder.exists():
    folder.mkdir(parents=True)
    shutil.copy(tokenizer / "config.json", folder)
    shutil.copytree(tokenizer / "tokenizer", folder / "tokenizer")
  config = Config(
    dataset="mnist",
    data_dir=options.data_dir,
    seed=options.seed,
    workdir=str(folder),
    stage="prior",
    prior=PriorConfig(kind=kind, steps=steps, patience=0),
  )
  train(config)
  lines = (folder / "metrics.jsonl").read_text().splitlines()
  return [json.loads(line) for line in lines]


def speed(lines):
  """Median steps a second, of a batch of 64."""
  rates = [e["images_per_second"] for e in lines if "images_per_second" in e]
  return float(np.median(rates)) / 64


def drawn(model, count):
  """Images, their labels, and images a second, without compiling."""
  draw = model.sampler()
  labels = np.arange(BLOCK) % model.spec.num_classes
  np.asarray(draw(1, 0, labels))
  start = time.perf_counter()
  images = [np.asarray(draw(0, n, labels)) for n in range(0, count, BLOCK)]
  rate = count / (time.perf_counter() - start)
  return np.concatenate(images), np.tile(labels, len(images)), rate


def main():
  options = tyro.cli(Options, description=__doc__)
  root = expand(options.workdir)
  mnist = Config(
    dataset="mnist",
    data_dir=options.data_dir,
    seed=options.seed,
    workdir=str(root / "tokenizer-run"),
    stage="tokenizer",
  )
  train(mnist)
  models, rows = {}, {}
  for kind in KINDS:
    rate = speed(run(options, kind, root / f"{kind}-trial", options.trial))
    steps = round(options.seconds * rate)
    lines = run(options, kind, root / kind, steps)
    nats = [
      entry["validation_nats_per_image"]
      for entry in lines
      if "validation_nats_per_image" in entry
    ]
    best = f"{min(nats):.1f}" if nats else "no likelihood"
    rows[kind] = f"steps={steps} at {rate:.1f} a second, nats={best}"
    models[kind] = load(root / kind)
  data = load_data(mnist, ("train", "validation", "test"))
  parts = [data[name] for name in ("train", "validation")]
  print("training the CNN that reads the digits", flush=True)
  judge = train_judge(
    SIMPLE,
    [
      Part(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.labels for part in parts]),
      )
    ],
    10,
    options.seed,
    options.judge_steps,
  )

  def read(images, labels):
    return (predict(SIMPLE, judge, images).argmax(axis=1) == labels).mean()

  test = data["test"]
  print(f"it reads {read(test.images, test.labels):.4f} of the test digits")
  for kind, model in models.items():
    images, labels, rate = drawn(model, options.images)
    print(
      f"{kind}: {rows[kind]}, read as asked={read(images, labels):.4f}, "
      f"{rate:.0f} images/s",
      flush=True,
    )


if __name__ == "__main__":
  main()
