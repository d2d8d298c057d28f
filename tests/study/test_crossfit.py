"""Folds and the judges that did not see them."""

import numpy as np
import pytest

from vqvae_jax.errors import ConfigError
from vqvae_jax.study import crossfit
from vqvae_jax.study.judges import SIMPLE


@pytest.mark.parametrize("k", [2, 3])
def test_folds_divide_each_class_evenly(k):
  labels = np.repeat(np.arange(5), [7, 3, 12, 5, 9])
  fold = crossfit.folds(labels, k, seed=3)
  for c in range(5):
    counts = np.bincount(fold[labels == c], minlength=k)
    assert np.ptp(counts) <= 1
  assert np.ptp(np.bincount(fold)) <= 1
  np.testing.assert_array_equal(fold, crossfit.folds(labels, k, seed=3))
  assert (fold != crossfit.folds(labels, k, seed=4)).any()


def test_a_class_too_small_to_divide_is_an_error():
  with pytest.raises(ConfigError, match="class 1 has 1 real images"):
    crossfit.folds(np.array([0, 0, 1]))


def test_judges_read_what_they_did_not_see():
  """Labels without rhyme or reason: known to who saw them, and guessed else."""
  rng = np.random.default_rng(0)
  images = rng.integers(256, size=(40, 8, 8, 1)).astype(np.uint8)
  labels = np.arange(40) % 2
  told = []
  fitted = crossfit.cross_fit(
    SIMPLE,
    images,
    labels,
    2,
    seed=0,
    steps=100,
    on_progress=lambda *args: told.append(args[:2]),
  )
  assert told == [(0, 50), (0, 100), (1, 50), (1, 100)]
  logits = crossfit.cross_fitted_logits(SIMPLE, fitted, images)
  right = logits.argmax(-1) == labels
  for judge in (0, 1):
    assert right[judge][fitted.fold != judge].mean() > 0.95
  unseen = crossfit.unseen_logits(SIMPLE, fitted, images)
  np.testing.assert_array_equal(
    unseen[fitted.fold == 1], logits[1][fitted.fold == 1]
  )
  assert (unseen.argmax(-1) == labels).mean() < 0.8
  np.testing.assert_array_equal(
    crossfit.cross_fitted_agreement(SIMPLE, fitted, images, labels),
    right.mean(axis=0),
  )
  with pytest.raises(ValueError, match="39 images for 40 folds"):
    crossfit.unseen_logits(SIMPLE, fitted, images[1:])
