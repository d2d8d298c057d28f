"""Scores against scikit-learn and by hand."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn import metrics

from vqvae_jax.study.scores import area_under_roc, score


@pytest.mark.parametrize("classes", [3, 10])
def test_scores_of_many_classes_are_those_of_scikit_learn(classes):
  rng = np.random.default_rng(classes)
  # Classes of unequal numbers.
  labels = np.minimum(rng.geometric(0.7, 300) - 1, classes - 1)
  labels[:classes] = np.arange(classes)
  # The most frequent is the easiest to tell.
  signal = np.where(labels == 0, 3.0, 0.5)[:, None] * np.eye(classes)[labels]
  logits = rng.normal(size=(300, classes)) + signal
  scores = score(logits, labels, classes)
  read = logits.argmax(1)
  assert scores["accuracy"] == pytest.approx(
    metrics.accuracy_score(labels, read)
  )
  assert scores["balanced_accuracy"] == pytest.approx(
    metrics.balanced_accuracy_score(labels, read)
  )
  np.testing.assert_allclose(
    scores["recall"], metrics.recall_score(labels, read, average=None)
  )
  assert scores["auroc"] == pytest.approx(
    metrics.roc_auc_score(labels, softmax(logits, axis=1), multi_class="ovr")
  )
  assert scores["accuracy"] > scores["balanced_accuracy"] + 0.05


def test_two_classes_with_ties():
  rng = np.random.default_rng(0)
  labels = rng.integers(2, size=200)
  # Few values, so many ties.
  logits = np.zeros((200, 2))
  logits[:, 1] = rng.integers(4, size=200) + labels
  scores = score(logits, labels, 2)
  assert scores["auroc"] == pytest.approx(
    metrics.roc_auc_score(labels, logits[:, 1])
  )


def test_area_is_the_chance_that_a_positive_scores_higher():
  scores = np.array([0.0, 1.0, 1.0, 2.0, 3.0])
  positive = np.array([False, False, True, True, False])
  # Pairs won: 1 > 0; a tie 1 = 1; 2 > 0, 2 > 1; of 6.
  assert area_under_roc(scores, positive) == pytest.approx(3.5 / 6)


def test_large_logits_do_not_run_into_ties():
  # The probabilities of class 0 round to 1; their order counts all the same.
  logits = np.array([[50.0, 0, 0], [60.0, 0, 0], [70.0, 0, 0], [80.0, 0, 0]])
  labels = np.array([1, 1, 0, 0])
  scores = score(logits, labels, 3)
  assert scores["auroc"] == 1.0


def test_classes_that_are_absent_count_in_no_mean():
  logits = np.eye(4)[[0, 0, 2, 0]] + 0.1
  scores = score(logits, np.array([0, 0, 2, 2]), 4)
  assert scores["accuracy"] == 0.75
  assert scores["balanced_accuracy"] == 0.75
  np.testing.assert_equal(scores["recall"], [1.0, np.nan, 0.5, np.nan])
  assert scores["auroc"] == pytest.approx(0.75)
  alone = score(logits[:2], np.array([0, 0]), 4)
  assert alone["balanced_accuracy"] == 1.0
  assert np.isnan(alone["auroc"])


def test_logits_of_another_shape_are_an_error():
  with pytest.raises(ValueError, match=r"\(3, 2\) do not fit 3 labels of 4"):
    score(np.zeros((3, 2)), np.zeros(3, int), 4)
  with pytest.raises(ValueError, match="do not fit 0 labels"):
    score(np.zeros((0, 2)), np.zeros(0, int), 2)
