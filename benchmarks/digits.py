"""A classifier of MNIST digits, by which benchmarks measure other digits."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from vqvae_jax.config import Config
from vqvae_jax.data import Data, load_data
from vqvae_jax.study import fitting
from vqvae_jax.study.parts import Part

Classifier = Callable[[np.ndarray], np.ndarray]


def load_mnist(data_dir: str | None) -> Data:
  """Returns all splits of MNIST."""
  splits = ("train", "validation", "test")
  return load_data(Config(dataset="mnist", data_dir=data_dir), splits)


def train_classifier(parts: Sequence, steps: int, seed: int) -> Classifier:
  """Trains a small CNN.

  Args:
    parts: splits or sets of labelled images, which are joined.
    steps: number of steps.
    seed: seed of the training.

  Returns:
    A function from uint8 images to their predicted classes.
  """
  images = np.concatenate([part.images for part in parts])
  labels = np.concatenate([part.labels for part in parts])
  spec = dataclasses.replace(fitting.SIMPLE, steps=steps)
  params = fitting.train_classifier(spec, [Part(images, labels)], 10, seed)
  return lambda images: fitting.predict(spec, params, images).argmax(axis=1)


def mnist_classifier(mnist: Data, steps: int, seed: int) -> Classifier:
  """Trains a classifier on all training images and prints its accuracy."""
  classify = train_classifier(
    [mnist["train"], mnist["validation"]], steps, seed
  )
  test = mnist["test"]
  accuracy = (classify(test.images) == test.labels).mean()
  print(f"classifier_accuracy={accuracy:.4f} on {len(test)} test digits")
  return classify
