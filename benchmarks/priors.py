"""Compares the three priors on the ids of one tokenizer, at equal time.

Trains the tokenizer on MNIST, then each prior for about --seconds of steps
(without compilation and evaluation), draws digits from each, and counts how
many of them a CNN, trained on all training images of MNIST, assigns to the
class that was asked for. Finished runs are not trained again.

  python benchmarks/priors.py --data-dir=DIR

DIR contains the mnist of TFDS; with a network connection it is prepared there
if it is missing.
"""

import dataclasses
import json
import shutil
import time

import numpy as np
import tyro
from digits import load_mnist, mnist_classifier

from vqvae_jax.config import Config, PriorConfig
from vqvae_jax.files import expand
from vqvae_jax.generators import load
from vqvae_jax.runs import train

KINDS = ("transformer", "pixelcnn", "maskgit")
BLOCK = 250


@dataclasses.dataclass(frozen=True)
class Options:
  # Folder in which the mnist of TFDS is prepared.
  data_dir: str | None = None
  # Folder of the runs.
  workdir: str = "runs/priors"
  # Seconds of steps for each prior.
  seconds: float = 240.0
  # Steps that measure the speed of a prior.
  trial: int = 100
  # Digits drawn from each prior.
  images: int = 2000
  # Steps of the CNN.
  classifier_steps: int = 3000
  # Seed of everything.
  seed: int = 0


def run(options, kind, folder, steps):
  """Trains a prior in a folder of its own and returns its metrics."""
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
  """Returns the median steps per second, with a batch size of 64."""
  rates = [e["images_per_second"] for e in lines if "images_per_second" in e]
  return float(np.median(rates)) / 64


def drawn(model, count):
  """Returns images, labels, and images per second without compilation."""
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
  classify = mnist_classifier(
    load_mnist(options.data_dir), options.classifier_steps, options.seed
  )
  for kind, model in models.items():
    images, labels, rate = drawn(model, options.images)
    agreement = (classify(images) == labels).mean()
    print(
      f"{kind}: {rows[kind]}, agreement={agreement:.4f}, {rate:.0f} images/s",
      flush=True,
    )


if __name__ == "__main__":
  main()
