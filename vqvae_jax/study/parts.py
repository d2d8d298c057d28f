"""Training sets of several sources, each with its share of every batch."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int, UInt8

from vqvae_jax.draws import permutation
from vqvae_jax.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class Part:
  """One source of training images.

  Attributes:
    images: pixels.
    labels: a class each.
    share: of every batch, relative to the other parts' shares.
    augment: a name of `STRENGTHS`.
  """

  images: UInt8[np.ndarray, "n h w c"]
  labels: Int[np.ndarray, " n"]
  share: float = 1.0
  augment: str = "none"


def batch_rows(parts: Sequence[Part], batch_size: int) -> list[int]:
  """How many images of a batch come from each part; always the whole batch.

  Raises:
    ConfigError: if a part gets none.
  """
  shares = np.array([part.share for part in parts], np.float64)
  if not (np.isfinite(shares).all() and (shares > 0).all()):
    raise ConfigError(f"shares {shares.tolist()} are not all above 0")
  exact = batch_size * shares / shares.sum()
  rows = np.floor(exact).astype(int)
  # The largest remainders, the first of equal ones, get what is left. To 9
  # digits, because equal shares may differ in the last bits.
  order = np.argsort(-np.round(exact - rows, 9), kind="stable")
  rows[order[: batch_size - rows.sum()]] += 1
  if rows.min() < 1:
    raise ConfigError(
      f"shares {shares.tolist()} give a part no row in a batch of {batch_size}"
    )
  return rows.tolist()


def batches(
  parts: Sequence[Part], rows: Sequence[int], steps: int, chunk: int, seed: int
) -> Iterator[tuple[UInt8[np.ndarray, "s b h w c"], Int[np.ndarray, "s b"]]]:
  """Images and labels of so many batches, `chunk` of them at a time.

  Each part is read in shuffled order, all of it before any image comes again.

  Args:
    parts: the training set.
    rows: of a batch, by part.
    steps: batches in all.
    chunk: batches in each piece but perhaps the last.
    seed: of the orders.
  """
  orders = [
    _Order(len(part.labels), seed, number) for number, part in enumerate(parts)
  ]
  for start in range(0, steps, chunk):
    count = min(chunk, steps - start)
    drawn = [
      (part, order.take(count * n).reshape(count, n))
      for part, order, n in zip(parts, orders, rows, strict=True)
    ]
    images = np.concatenate([p.images[index] for p, index in drawn], axis=1)
    labels = np.concatenate([p.labels[index] for p, index in drawn], axis=1)
    yield images, labels.astype(np.int32)


def check(parts: Sequence[Part], num_classes: int):
  """Raises `ConfigError` for parts that no judge can learn from together."""
  if not parts:
    raise ConfigError("a judge needs at least one part to learn from")
  shapes = {part.images.shape[1:] for part in parts}
  if len(shapes) > 1:
    raise ConfigError(f"images of shapes {sorted(shapes)} in one training set")
  for part in parts:
    images, labels = part.images, part.labels
    if images.ndim != 4 or images.dtype != np.uint8:
      raise ConfigError(
        f"images {images.dtype}{list(images.shape)} are not uint8 [n, h, w, c]"
      )
    if labels.shape != images.shape[:1] or not len(labels):
      raise ConfigError(
        f"{len(images)} images but labels of shape {list(labels.shape)}"
      )
    if labels.min() < 0 or labels.max() >= num_classes:
      raise ConfigError(
        f"labels from {labels.min()} to {labels.max()} are not all in "
        f"[0, {num_classes})"
      )


class _Order:
  """Row numbers in shuffled order, in another one in each epoch."""

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
