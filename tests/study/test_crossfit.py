"""Folds, and the classifiers that did not see them."""

import dataclasses

import numpy as np
import pytest

from vqvae_jax.errors import ConfigError
from vqvae_jax.study import crossfit
from vqvae_jax.study.fitting import SIMPLE
from vqvae_jax.study.images import Images


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


def test_groups_stay_in_one_fold():
  rng = np.random.default_rng(0)
  groups = rng.integers(40, size=300).astype(str)
  labels = rng.integers(3, size=300)
  fold = crossfit.folds(labels, 2, seed=1, groups=groups)
  for group in np.unique(groups):
    assert len(set(fold[groups == group])) == 1
  for c in range(3):
    counts = np.bincount(fold[labels == c], minlength=2)
    assert np.ptp(counts) <= 0.2 * counts.sum()
  other = crossfit.folds(labels, 2, seed=2, groups=groups)
  assert (fold != other).any()


def test_groups_of_a_rare_class_are_dealt_apart():
  # Counted by images, the frequent class alone would decide.
  labels, groups = [], []
  for n, (frequent, rare) in enumerate([(60, 0), (9, 1), (8, 1)]):
    labels += [0] * frequent + [1] * rare
    groups += [str(n)] * (frequent + rare)
  fold = crossfit.folds(np.array(labels), 2, seed=0, groups=groups)
  assert set(fold[np.array(labels) == 1]) == {0, 1}


def test_a_class_of_one_group_is_an_error():
  labels, groups = np.array([0, 0, 1, 1]), ["a", "b", "c", "c"]
  with pytest.raises(ConfigError, match="class 1 has real images of too few"):
    crossfit.folds(labels, groups=groups)


def test_classifiers_know_what_they_saw_and_guess_the_rest():
  """The labels are random, so only images that were seen can be classified."""
  rng = np.random.default_rng(0)
  pixels = rng.integers(256, size=(40, 8, 8, 1)).astype(np.uint8)
  images = Images(pixels, np.arange(40) % 2)
  spec = dataclasses.replace(SIMPLE, steps=100)
  told = []
  fitted = crossfit.cross_fit(
    spec,
    images,
    crossfit.folds(images.labels),
    2,
    seed=0,
    on_progress=lambda *args: told.append(args[:2]),
  )
  assert told == [(0, 50), (0, 100), (1, 50), (1, 100)]
  logits = fitted.logits(images.images)
  right = logits.argmax(-1) == images.labels
  for one in (0, 1):
    assert right[one][fitted.fold != one].mean() > 0.95
  # Each image is classified by the one that did not see it.
  unseen = logits[fitted.fold, np.arange(40)]
  assert (unseen.argmax(-1) == images.labels).mean() < 0.8
