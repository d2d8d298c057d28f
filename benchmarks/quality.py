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
import pathlib
import sys

import numpy as np
import tyro

# This package is the one in this checkout, installed or not.
sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from vqvae_jax.config import Config
from vqvae_jax.data import load_data
from vqvae_jax.study.fitting import SIMPLE, predict, train_classifier
from vqvae_jax.study.generators import read_set
from vqvae_jax.study.parts import Part
from vqvae_jax.study.quality import nearest

# Unseen real digits whose nearest training image is looked for.
UNSEEN = 500


@dataclasses.dataclass(frozen=True)
class Options:
  # Output folders of sample.py.
  images: tuple[str, ...] = ("out",)
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


def train(images, labels, steps, seed):
  """A classifier of digits: uint8 images to labels."""
  spec = dataclasses.replace(SIMPLE, steps=steps)
  params = train_classifier(spec, [Part(images, labels)], 10, seed)
  return lambda images: predict(SIMPLE, params, images).argmax(axis=1)


def main():
  options = tyro.cli(Options, description=__doc__)
  mnist = load_data(
    Config(dataset="mnist", data_dir=options.data_dir),
    ("train", "validation", "test"),
  )
  learnt = load_data(
    Config(dataset=options.trained_on, data_dir=options.data_dir),
    ("train", "test"),
  )
  every = ("train", "validation")
  real = np.concatenate([mnist[s].images for s in every])
  real_labels = np.concatenate([mnist[s].labels for s in every])
  test = mnist["test"]

  print(f"judge: {options.judge_steps} steps on {len(real)} digits", flush=True)
  judge = train(real, real_labels, options.judge_steps, options.seed)
  accuracy = (judge(test.images) == test.labels).mean()
  print(f"judge_accuracy={accuracy:.4f} on {len(test)} test digits", flush=True)
  for folder in options.images:
    print(folder, flush=True)
    report(folder, options, judge, learnt, test)


def report(folder, options, judge, learnt, test):
  """Prints the figures of one folder."""
  made = read_set(folder)
  images, labels = made.images, made.labels
  agree = judge(images) == labels
  by_class = [f"{agree[labels == c].mean():.2f}" for c in range(10)]
  print(f"agreement={agree.mean():.4f} by class: {' '.join(by_class)}")
  distinct = len({image.tobytes() for image in images}) / len(images)
  print(f"distinct={distinct:.4f} of {len(images)} images")
  training = learnt["train"].images
  ours = nearest(images, training).distance
  unseen = nearest(learnt["test"].images[:UNSEEN], training).distance
  print(
    f"nearest_training_image: median distance {np.median(ours):.2f}, of "
    f"unseen real digits {np.median(unseen):.2f}; 1st percentile "
    f"{np.percentile(ours, 1):.2f} and {np.percentile(unseen, 1):.2f}",
    flush=True,
  )
  pupil = train(images, labels, options.steps, options.seed)
  accuracy = (pupil(test.images) == test.labels).mean()
  print(
    f"taught_accuracy={accuracy:.4f}: a CNN trained on the {len(images)} "
    f"generated digits alone, on {len(test)} real test digits"
  )


if __name__ == "__main__":
  main()
