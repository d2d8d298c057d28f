"""Judges of real images that each saw only some of them.

So that generated images can be read by judges of the same real images that
the generator learnt from, and these too, each by a judge that did not see it.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, PyTree, UInt8

from vqvae_jax.draws import permutation
from vqvae_jax.errors import ConfigError
from vqvae_jax.study.fitting import Judge, predict, train_judge
from vqvae_jax.study.parts import Part


class CrossFitted(NamedTuple):
  """Judges, one for each fold.

  Attributes:
    fold: of each real image.
    params: of each judge; judge j learnt from all folds but fold j.
  """

  fold: Int[np.ndarray, " n"]
  params: list[PyTree]


def folds(
  labels: Int[np.ndarray, " n"],
  k: int = 2,
  seed: int = 0,
  groups: Sequence[str] | None = None,
) -> Int[np.ndarray, " n"]:
  """Deals images into k folds, each class evenly, at random.

  Args:
    labels: of the images.
    k: folds.
    seed: of the order.
    groups: for each image the one that no fold may cut; then classes are even
      as far as that allows.

  Raises:
    ConfigError: if a class has too few images, or groups, for k folds.
  """
  if groups is not None:
    return _grouped_folds(labels, groups, k, seed)
  fold = np.empty(len(labels), np.int64)
  dealt = 0
  for c in np.unique(labels):
    rows = np.flatnonzero(labels == c)
    rows = rows[permutation(len(rows), seed, c)]
    if len(rows) < k:
      raise ConfigError(
        f"class {c} has {len(rows)} real images, fewer than the {k} folds of "
        "cross-fitted judges"
      )
    # Goes on where the last class ended, so that folds differ by one at most.
    fold[rows] = (dealt + np.arange(len(rows))) % k
    dealt += len(rows)
  return fold


def _grouped_folds(labels, groups, k, seed):
  _, group = np.unique(np.asarray(groups), return_inverse=True)
  classes, label = np.unique(labels, return_inverse=True)
  table = np.zeros((group.max() + 1, len(classes)), np.int64)
  np.add.at(table, (group, label), 1)
  # So that a rare class weighs as much as a frequent one.
  weights = table / table.sum(axis=0)
  order = permutation(len(table), seed)
  # The largest first: small ones then even out what is left.
  order = order[np.argsort(-table[order].sum(axis=1), kind="stable")]
  held = np.zeros((k, len(classes)))
  dealt = np.empty(len(table), np.int64)
  for row in order:
    # Where there are fewest images of its classes.
    dealt[row] = (held @ weights[row]).argmin()
    held[dealt[row]] += weights[row]
  if not held.all():
    c = classes[np.flatnonzero((held == 0).any(axis=0))[0]]
    raise ConfigError(
      f"class {c} has real images of too few groups for the {k} folds of "
      "cross-fitted judges"
    )
  return dealt[group]


def cross_fit(
  judge: Judge,
  images: UInt8[np.ndarray, "n h w c"],
  labels: Int[np.ndarray, " n"],
  num_classes: int,
  seed: int,
  k: int = 2,
  augment: str = "none",
  steps: int | None = None,
  on_progress: Callable[[int, int, float], None] | None = None,
  groups: Sequence[str] | None = None,
) -> CrossFitted:
  """Trains a judge without each fold; see `train_judge`.

  Args:
    judge: what to train.
    images: the real images of the training split.
    labels: theirs.
    num_classes: of the labels.
    seed: of the folds and the judges.
    k: folds.
    augment: see `Part`.
    steps: of each judge, instead of its own.
    on_progress: is told the fold, the steps done and the loss.
    groups: see `folds`.
  """
  fold = folds(labels, k, seed, groups)
  params = []
  for j in range(k):
    seen = fold != j

    def tell(step, loss, j=j):
      if on_progress:
        on_progress(j, step, loss)

    part = Part(images[seen], labels[seen], augment=augment)
    params.append(train_judge(judge, [part], num_classes, seed, steps, tell))
  return CrossFitted(fold, params)


def cross_fitted_logits(
  judge: Judge, fitted: CrossFitted, images: UInt8[np.ndarray, "n h w c"]
) -> Float[np.ndarray, "k n classes"]:
  """What each judge reads in images that none of them saw."""
  return np.stack([predict(judge, p, images) for p in fitted.params])
