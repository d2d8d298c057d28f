"""Training sets of several parts, each with its share of every batch."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int, UInt8

from vqvae_jax.draws import permutation
from vqvae_jax.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class Part:
  """One part of a training set.

  Attributes:
    images: pixels.
    labels: class of each image.
    share: share of every batch, relative to the shares of the other parts.
    augment: strength of the classical augmentation, a name of `STRENGTHS`.
  """

  images: UInt8[np.ndarray, "n h w c"]
  labels: Int[np.ndarray, " n"]
  share: float = 1.0
  augment: str = "none"


def batch_counts(parts: Sequence[Part], batch_size: int) -> list[int]:
  """Returns the number of images of each part in a batch.

  Raises:
    ConfigError: if a part gets no image.
  """
  shares = np.array([part.share for part in parts], np.float64)
  if not (np.isfinite(shares).all() and (shares > 0).all()):
    raise ConfigError(f"shares {shares.tolist()} are not all above 0")
  exact = batch_size * shares / shares.sum()
  counts = np.floor(exact).astype(int)
  # The largest remainders, the first of equal ones, get the images that are
  # left. They are rounded to 9 digits, because equal shares may differ in the
  # last bits.
  order = np.argsort(-np.round(exact - counts, 9), kind="stable")
  counts[order[: batch_size - counts.sum()]] += 1
  if counts.min() < 1:
    raise ConfigError(
      f"shares {shares.tolist()} give a part no image in a batch of "
      f"{batch_size}"
    )
  return counts.tolist()


def batches(
  parts: Sequence[Part],
  counts: Sequence[int],
  steps: int,
  chunk: int,
  seed: int,
) -> Iterator[tuple[UInt8[np.ndarray, "s b h w c"], Int[np.ndarray, "s b"]]]:
  """Yields the images and labels of `steps` batches, `chunk` batches at a time.

  Each part is read in shuffled order. No image is repeated before all others
  of its part were read.

  Args:
    parts: parts of the training set.
    counts: number of images of each part in a batch.
    steps: number of batches.
    chunk: number of batches in each piece; the last piece may have fewer.
    seed: seed of the orders.
  """
  orders = [
    _Order(len(part.labels), seed, number) for number, part in enumerate(parts)
  ]
  for start in range(0, steps, chunk):
    length = min(chunk, steps - start)
    drawn = [
      (part, order.take(length * n).reshape(length, n))
      for part, order, n in zip(parts, orders, counts, strict=True)
    ]
    images = np.concatenate([p.images[index] for p, index in drawn], axis=1)
    labels = np.concatenate([p.labels[index] for p, index in drawn], axis=1)
    yield images, labels.astype(np.int32)


class _Order:
  """Indices in shuffled order, in another order in each epoch."""

  def __init__(self, size: int, *seeds: int):
    self._size, self._seeds = size, seeds
    self._epoch = 0
    self._left = np.empty(0, np.int64)

  def take(self, count: int) -> np.ndarray:
    while len(self._left) < count:
      epoch = permutation(self._size, *self._seeds, self._epoch)
      self._epoch += 1
      self._left = np.concatenate([self._left, epoch])
    taken, self._left = self._left[:count], self._left[count:]
    return taken
