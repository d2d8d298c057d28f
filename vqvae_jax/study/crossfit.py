"""Judges of real images that each saw only some of them.

So that generated images can be read by judges of the same real images that
the generator learnt from, and these too, each by a judge that did not see it.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, PyTree, UInt8

from vqvae_jax.errors import ConfigError
from vqvae_jax.study.gates import label_agreement
from vqvae_jax.study.judges import Judge, predict, train_judge
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
  labels: Int[np.ndarray, " n"], k: int = 2, seed: int = 0
) -> Int[np.ndarray, " n"]:
  """Deals images into k folds, each class evenly, at random.

  Raises:
    ConfigError: if a class has fewer than k images.
  """
  rng = np.random.default_rng(seed)
  fold = np.empty(len(labels), np.int64)
  dealt = 0
  for c in np.unique(labels):
    rows = rng.permutation(np.flatnonzero(labels == c))
    if len(rows) < k:
      raise ConfigError(
        f"class {c} has {len(rows)} real images, fewer than the {k} folds of "
        "cross-fitted judges"
      )
    # Goes on where the last class ended, so that folds differ by one at most.
    fold[rows] = (dealt + np.arange(len(rows))) % k
    dealt += len(rows)
  return fold


def cross_fit(
  judge: Judge,
  images: UInt8[np.ndarray, "n h w c"],
  labels: Int[np.ndarray, " n"],
  num_classes: int,
  seed: int,
  k: int = 2,
  augment: str | None = None,
  steps: int | None = None,
  on_progress: Callable[[int, int, float], None] | None = None,
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
  """
  fold = folds(labels, k, seed)
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


def unseen_logits(
  judge: Judge, fitted: CrossFitted, images: UInt8[np.ndarray, "n h w c"]
) -> Float[np.ndarray, "n classes"]:
  """What the judge that did not see it reads in each real image.

  Args:
    judge: as trained.
    fitted: on these images.
    images: the same, in the same order.
  """
  if len(images) != len(fitted.fold):
    raise ValueError(f"{len(images)} images for {len(fitted.fold)} folds")
  by_judge = cross_fitted_logits(judge, fitted, images)
  return by_judge[fitted.fold, np.arange(len(images))]


def cross_fitted_agreement(
  judge: Judge,
  fitted: CrossFitted,
  images: UInt8[np.ndarray, "n h w c"],
  labels: Int[np.ndarray, " n"],
) -> Float[np.ndarray, " n"]:
  """Share of the judges that read a generated image as its label says."""
  return label_agreement(cross_fitted_logits(judge, fitted, images), labels)
