"""Classifiers of real images that each saw only some of these images.

They assign generated images to classes, and no image is among those that all
of them were trained on.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, PyTree, UInt8

from vqvae_jax.draws import permutation
from vqvae_jax.errors import ConfigError
from vqvae_jax.study.fitting import ClassifierSpec, predict, train_classifier
from vqvae_jax.study.images import Images
from vqvae_jax.study.parts import Part


class CrossFitted(NamedTuple):
  """Classifiers, one for each fold.

  Attributes:
    spec: how they were trained.
    fold: fold of each real image.
    params: parameters of each; classifier j was trained without fold j.
  """

  spec: ClassifierSpec
  fold: Int[np.ndarray, " n"]
  params: list[PyTree]

  def logits(
    self, images: UInt8[np.ndarray, "m h w c"]
  ) -> Float[np.ndarray, "k m classes"]:
    """Returns the logits of each classifier."""
    return np.stack([predict(self.spec, p, images) for p in self.params])


def folds(
  labels: Int[np.ndarray, " n"],
  k: int = 2,
  seed: int = 0,
  groups: Sequence[str] | np.ndarray | None = None,
) -> Int[np.ndarray, " n"]:
  """Returns the fold of each image, at random and even in each class.

  Args:
    labels: class of each image.
    k: number of folds.
    seed: seed of the choice.
    groups: group of each image. A group stays in one fold, and classes are as
      even as that allows.

  Raises:
    ConfigError: if a class has too few images, or groups, for k folds.
  """
  if groups is not None:
    return _grouped_folds(labels, groups, k, seed)
  fold = np.empty(len(labels), np.int64)
  dealt = 0
  for c in np.unique(labels).tolist():
    of_class = np.flatnonzero(labels == c)
    of_class = of_class[permutation(len(of_class), seed, c)]
    if len(of_class) < k:
      raise ConfigError(
        f"class {c} has {len(of_class)} real images, fewer than the {k} folds "
        "of cross-fitted classifiers"
      )
    # It continues where the last class ended, so that the sizes of the folds
    # differ by one at most.
    fold[of_class] = (dealt + np.arange(len(of_class))) % k
    dealt += len(of_class)
  return fold


def _grouped_folds(labels, groups, k, seed):
  _, group = np.unique(np.asarray(groups), return_inverse=True)
  classes, label = np.unique(labels, return_inverse=True)
  table = np.zeros((group.max() + 1, len(classes)), np.int64)
  np.add.at(table, (group, label), 1)
  # With these, a rare class weighs as much as a frequent one.
  weights = table / table.sum(axis=0)
  order = permutation(len(table), seed)
  # The largest groups come first, because small ones can then even out the
  # differences.
  order = order[np.argsort(-table[order].sum(axis=1), kind="stable")]
  held = np.zeros((k, len(classes)))
  dealt = np.empty(len(table), np.int64)
  for row in order:
    # Each goes to the fold with the fewest images of its classes.
    dealt[row] = (held @ weights[row]).argmin()
    held[dealt[row]] += weights[row]
  if not held.all():
    c = classes[np.flatnonzero((held == 0).any(axis=0))[0]]
    raise ConfigError(
      f"class {c} has real images of too few groups for the {k} folds of "
      "cross-fitted classifiers"
    )
  return dealt[group]


def cross_fit(
  spec: ClassifierSpec,
  real: Images,
  fold: Int[np.ndarray, " n"],
  num_classes: int,
  seed: int,
  augment: str = "none",
  on_progress: Callable[[int, int, float], None] | None = None,
) -> CrossFitted:
  """Trains one classifier without each fold.

  Args:
    spec: how the classifiers are trained.
    real: training images.
    fold: fold of each image; see `folds`.
    num_classes: number of classes.
    seed: seed of the classifiers.
    augment: strength of the classical augmentation.
    on_progress: function that is called with the fold, the number of steps done
      and their mean loss.
  """
  params = []
  for j in range(fold.max() + 1):

    def tell(step, loss, j=j):
      if on_progress:
        on_progress(j, step, loss)

    seen = real.take(fold != j)
    part = Part(seen.images, seen.labels, augment=augment)
    params.append(
      train_classifier(spec, [part], num_classes, seed, on_progress=tell)
    )
  return CrossFitted(spec, fold, params)
