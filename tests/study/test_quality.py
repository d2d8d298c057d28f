"""Quality checks against brute force and closed forms."""

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist

from vqvae_jax.study import quality


@pytest.fixture
def rng():
  return np.random.default_rng(0)


@pytest.fixture(params=[4, 256], ids="pieces_of_{}".format)
def pieces(request, monkeypatch):
  monkeypatch.setattr(quality, "_ROWS", request.param)


@pytest.mark.usefixtures("pieces")
def test_nearest_finds_what_brute_force_finds(rng):
  images = rng.integers(256, size=(13, 5, 4, 3)).astype(np.uint8)
  training = rng.integers(256, size=(7, 5, 4, 3)).astype(np.uint8)
  images[4] = training[5]
  found = quality.nearest(images, training)
  distances = cdist(images.reshape(13, -1) / 255, training.reshape(7, -1) / 255)
  np.testing.assert_array_equal(found.index, distances.argmin(1))
  np.testing.assert_allclose(found.distance, distances.min(1))
  assert found.index[4] == 5
  assert found.distance[4] == 0


def test_nearest_tells_a_copy_from_almost_one():
  """Large rows of small differences, where products lose digits."""
  row = np.linspace(900, 1000, 784)[None]
  almost = row.copy()
  almost[0, 3] += 1e-4
  found = quality.nearest(np.concatenate([row, almost]), row)
  np.testing.assert_allclose(found.distance, [0, 1e-4], rtol=1e-6)


def test_share_closer_is_of_the_lowest_hundredth_of_held_out():
  held_out = np.arange(101.0)
  assert quality.copy_threshold(held_out) == 1.0
  # A distance of the threshold itself is not closer.
  assert quality.share_closer(np.array([0.0, 0.5, 1.0, 7.0]), held_out) == 0.5
  assert quality.share_closer(held_out, held_out) == 1 / 101


def test_repeated_ids_count_all_of_a_repeated_kind():
  ids = np.array([[1, 2], [3, 4], [1, 2], [2, 1], [1, 2]])
  training = np.array([[2, 1], [9, 9], [3, 4]])
  shares = quality.repeated_ids(ids, training)
  assert shares == {"duplicate_ids": 0.6, "training_ids": 0.4}
  # The places of ids may have a shape.
  grid = ids.reshape(5, 1, 2).astype(np.int32)
  assert quality.repeated_ids(grid, training[:, None]) == shares


def test_balls_on_a_line_by_hand():
  # k = 1. Balls: 0 +- 1, 1 +- 1, 3 +- 2 (real); 1.5 +- 0.5, 2 +- 0.5,
  # 10 +- 8 (generated).
  real = np.array([[0.0], [1.0], [3.0]])
  generated = np.array([[1.5], [2.0], [10.0]])
  result = quality.precision_recall_density_coverage(real, generated, k=1)
  # 1.5 and 2 are in the balls of 1 and 3; 10 is in none.
  assert result["precision"] == pytest.approx(2 / 3)
  assert result["density"] == pytest.approx(4 / 3)
  assert result["coverage"] == pytest.approx(2 / 3)
  # 1 in the ball of 1.5; 3 in that of 10; 0 in none.
  assert result["recall"] == pytest.approx(2 / 3)


@pytest.mark.usefixtures("pieces")
def test_balls_are_those_of_brute_force(rng):
  real = rng.normal(size=(30, 3))
  # From close together to far apart, so that each ball is of another size.
  generated = np.geomspace(0.05, 5, 21)[:, None] * rng.normal(size=(21, 3))
  k = 4
  between = cdist(real, generated)
  real_radii = np.sort(cdist(real, real), axis=1)[:, k]
  radii = np.sort(cdist(generated, generated), axis=1)[:, k]
  inside = between <= real_radii[:, None]
  assert quality.precision_recall_density_coverage(
    real, generated, k
  ) == pytest.approx(
    {
      "precision": inside.any(0).mean(),
      "recall": (between <= radii[None]).any(1).mean(),
      "density": inside.sum() / (k * len(generated)),
      "coverage": inside.any(1).mean(),
    }
  )


def test_identical_sets_are_covered_and_distant_ones_are_not(rng):
  real = rng.normal(size=(50, 4))
  same = quality.precision_recall_density_coverage(real, real[::-1])
  assert same["precision"] == same["recall"] == same["coverage"] == 1
  # In k + 1 balls, with the row's own.
  assert same["density"] >= 1
  other = quality.precision_recall_density_coverage(real, real + 100)
  assert set(other.values()) == {0.0}
  # One picture alone is precise, and recalls nothing.
  one = real[:1] + 1e-3 * rng.normal(size=(50, 4))
  collapsed = quality.precision_recall_density_coverage(real, one)
  assert collapsed["precision"] == 1
  assert collapsed["recall"] <= 1 / 50
  assert collapsed["coverage"] < 0.5
  with pytest.raises(ValueError, match="k 5 is not between 1 and 4"):
    quality.precision_recall_density_coverage(real, real[:5])


@pytest.mark.usefixtures("pieces")
def test_kid_is_the_unbiased_sum_over_pairs(rng):
  a, b = rng.normal(size=(9, 5)), rng.normal(size=(6, 5)) + 0.3

  def kernel(x, y):
    return (x @ y / 5 + 1) ** 3

  def within(rows):
    pairs = [(x, y) for x in rows for y in rows if x is not y]
    return np.mean([kernel(x, y) for x, y in pairs])

  expected = (
    within(list(a))
    + within(list(b))
    - 2 * np.mean([kernel(x, y) for x in a for y in b])
  )
  assert quality.kid(a, b) == pytest.approx(expected)
  assert quality.kid(b, a) == pytest.approx(expected)


def test_kid_of_one_distribution_is_zero_in_the_mean(rng):
  draws = [quality.kid(*rng.normal(size=(2, 20, 3))) for _ in range(400)]
  error = np.std(draws) / np.sqrt(len(draws))
  assert abs(np.mean(draws)) < 3 * error
  # The biased estimate is about 1 too large here.
  assert error < 0.03
  shifted = [
    quality.kid(rng.normal(size=(20, 3)), 0.5 + rng.normal(size=(20, 3)))
    for _ in range(100)
  ]
  assert np.mean(shifted) > 0.3


def test_frechet_distance_of_known_gaussians(rng):
  # Of variances s and t along common axes: the squares of root differences.
  axes, _ = np.linalg.qr(rng.normal(size=(4, 4)))
  s, t = np.array([1.0, 4.0, 9.0, 0.0]), np.array([4.0, 4.0, 1.0, 1.0])
  cov_a, cov_b = (axes * s) @ axes.T, (axes * t) @ axes.T
  mean_a, mean_b = np.zeros(4), np.array([1.0, 2.0, 0.0, 0.0])
  expected = 5 + ((np.sqrt(s) - np.sqrt(t)) ** 2).sum()
  distance = quality.frechet_distance(mean_a, cov_a, mean_b, cov_b)
  assert distance == pytest.approx(expected)
  assert quality.frechet_distance(mean_a, cov_a, mean_a, cov_a) < 1e-9


def test_frechet_distance_of_features_is_that_of_their_moments(rng):
  mix = rng.normal(size=(6, 6))
  a, b = rng.normal(size=(40, 6)), rng.normal(size=(50, 6)) @ mix + 1
  cov_a, cov_b = np.cov(a.T), np.cov(b.T)
  expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(
    cov_a + cov_b - 2 * sqrtm(cov_a @ cov_b).real
  )
  assert quality.frechet_distance_of_features(a, b) == pytest.approx(expected)
  # Fewer rows than features: roots of covariances that have no inverse.
  few = a[:4]
  assert quality.frechet_distance_of_features(few, few) == pytest.approx(
    0, abs=1e-6
  )
  assert quality.frechet_distance_of_features(few, few + 2) == pytest.approx(
    4 * 6
  )


def test_agreement_is_the_share_of_classifiers():
  logits = np.eye(3)[[[0, 1, 2, 0], [0, 2, 2, 1]]]
  labels = np.array([0, 1, 0, 0])
  np.testing.assert_array_equal(
    quality.label_agreement(logits, labels), [1, 0.5, 0, 0.5]
  )


def test_select_drops_wrong_labels_and_copies_and_counts_each_once():
  logits = np.eye(3)[[[0, 1, 2, 0, 1], [0, 2, 2, 0, 1]]]
  labels = np.array([0, 1, 2, 0, 0])
  distances = np.array([5.0, 5.0, 0.5, 2.0, 0.1])
  held_out = np.linspace(1.0, 3.0, 201)
  mask, counts = quality.select(logits, labels, distances, held_out)
  np.testing.assert_array_equal(mask, [True, False, False, True, False])
  assert counts == {
    "label": 1,
    "copy": 1,
    "label_and_copy": 1,
  }
