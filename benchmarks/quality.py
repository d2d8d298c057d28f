"""Can the generated digits be read, do they differ, do they teach?

Trains a small CNN on all of MNIST's training images and asks whether it reads
each generated digit as the class that was asked for; counts equal images;
compares each with its nearest training image, beside real digits that the
generator has not seen; and trains the same CNN on the generated digits alone
and reads MNIST's test images with it.

  python sample.py --workdir=runs/mnist5k --num-images=1000 --out=out
  python benchmarks/quality.py --images=out --data-dir=DIR

DIR holds TFDS's mnist; with network it is prepared there if need be.
"""

import dataclasses
import json
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro
from PIL import Image

# This package is the one in this checkout, installed or not.
sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from vqvae_jax.config import Config
from vqvae_jax.data import load_data
from vqvae_jax.models import Classifier

BATCH = 100


@dataclasses.dataclass(frozen=True)
class Options:
  # Output folder of sample.py.
  images: str = "out"
  # Where TFDS's mnist is prepared.
  data_dir: str | None = None
  # The data set that the generator learnt from, for nearest images.
  trained_on: str = "mnist5k"
  # Steps for the judge that reads the generated digits.
  judge_steps: int = 3000
  # Steps for the CNN that learns from the generated digits alone.
  steps: int = 1500
  # Seed of both.
  seed: int = 0


def train_classifier(images, labels, steps, seed):
  """Trains with Adam 1e-3, cosine decay, on uint8 images, plain."""
  model = Classifier(10)
  tx = optax.adam(optax.cosine_decay_schedule(1e-3, steps))
  key = jax.random.key(seed)
  params = model.init(key, jnp.zeros((1, *images.shape[1:])))

  @jax.jit
  def step(params, opt_state, images, labels, key):
    def loss(params):
      logits = model.apply(
        params, images / 255.0, train=True, rngs={"dropout": key}
      )
      return optax.softmax_cross_entropy_with_integer_labels(
        logits, labels
      ).mean()

    updates, opt_state = tx.update(jax.grad(loss)(params), opt_state)
    return optax.apply_updates(params, updates), opt_state

  opt_state = tx.init(params)
  rng = np.random.default_rng(seed)
  for n in range(steps):
    rows = rng.integers(len(images), size=64)
    params, opt_state = step(
      params, opt_state, images[rows], labels[rows], jax.random.fold_in(key, n)
    )
  predict = jax.jit(
    lambda images: model.apply(params, images / 255.0).argmax(-1)
  )
  return lambda images: np.concatenate(
    [np.asarray(predict(chunk)) for chunk in _chunks(images)]
  )


def nearest_distances(images, others):
  """Euclidean distance of each image to the nearest of the others, [0, 1]."""
  images = images.reshape(len(images), -1) / 255.0
  others = others.reshape(len(others), -1) / 255.0
  squared = (
    (images**2).sum(1)[:, None]
    + (others**2).sum(1)[None]
    - 2 * images @ others.T
  )
  return np.sqrt(np.maximum(squared.min(axis=1), 0))


def read_generated(folder):
  """Images and labels of a job's output folder."""
  root = pathlib.Path(folder)
  manifest = json.loads((root / "manifest.json").read_text())
  folders = {c["label"]: c["folder"] for c in manifest["classes"]}
  labels = np.array(manifest["labels"])
  images = [
    np.asarray(Image.open(root / "images" / folders[label] / f"{n:08d}.png"))
    for n, label in enumerate(labels)
  ]
  return np.stack(images)[..., None], labels


def _chunks(images):
  """Pieces of one size, so that nothing compiles twice; the last may differ."""
  return [images[i : i + BATCH] for i in range(0, len(images), BATCH)]


def main():
  options = tyro.cli(Options, description=__doc__)
  images, labels = read_generated(options.images)
  mnist = load_data(
    Config(dataset="mnist", data_dir=options.data_dir),
    ("train", "validation", "test"),
  )
  learnt = load_data(Config(dataset=options.trained_on), ("train", "test"))
  every = ("train", "validation")
  real = np.concatenate([mnist[s].images for s in every])
  real_labels = np.concatenate([mnist[s].labels for s in every])
  test = mnist["test"]

  print(f"judge: {options.judge_steps} steps on {len(real)} digits", flush=True)
  judge = train_classifier(real, real_labels, options.judge_steps, options.seed)
  accuracy = (judge(test.images) == test.labels).mean()
  print(f"judge_accuracy={accuracy:.4f} on {len(test)} test digits", flush=True)
  agree = judge(images) == labels
  by_class = [f"{agree[labels == c].mean():.2f}" for c in range(10)]
  print(f"agreement={agree.mean():.4f} by class: {' '.join(by_class)}")
  distinct = len({image.tobytes() for image in images}) / len(images)
  print(f"distinct={distinct:.4f} of {len(images)} images")
  ours = nearest_distances(images, learnt["train"].images)
  unseen = nearest_distances(learnt["test"].images, learnt["train"].images)
  print(
    f"nearest_training_image: median distance {np.median(ours):.2f}, of "
    f"unseen real digits {np.median(unseen):.2f}; 1st percentile "
    f"{np.percentile(ours, 1):.2f} and {np.percentile(unseen, 1):.2f}",
    flush=True,
  )
  pupil = train_classifier(images, labels, options.steps, options.seed)
  accuracy = (pupil(test.images) == test.labels).mean()
  print(
    f"taught_accuracy={accuracy:.4f}: a CNN trained on the {len(images)} "
    f"generated digits alone, on {len(test)} real test digits"
  )


if __name__ == "__main__":
  main()
