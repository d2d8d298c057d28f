"""Intervals and tests against scipy and by hand."""

import warnings

import numpy as np
import pytest
from scipy import stats

from vqvae_jax.study.intervals import (
  Estimate,
  holm,
  interval,
  paired,
  verdict,
)


def test_interval_is_students():
  values = [96.1, 96.9, 95.7, 97.0, 96.3]
  for confidence in (0.95, 0.8):
    low, high = stats.t.interval(
      confidence, 4, np.mean(values), stats.sem(values)
    )
    result = interval(values, confidence)
    np.testing.assert_allclose(result[:3], (np.mean(values), low, high))
    assert result.seeds == 5 and result.bounded


def test_interval_covers_the_mean_as_often_as_it_says():
  rng = np.random.default_rng(0)
  draws = rng.normal(2.0, 3.0, size=(2000, 3))
  covered = [i.low <= 2.0 <= i.high for i in map(interval, draws)]
  # A binomial deviation is 0.005.
  assert np.mean(covered) == pytest.approx(0.95, abs=0.015)


def test_paired_is_the_paired_t_test():
  rng = np.random.default_rng(1)
  a, b = rng.normal(size=(2, 6))
  result = paired(a, b)
  expected = stats.ttest_rel(a, b)
  assert result.p_value == pytest.approx(expected.pvalue)
  bounds = expected.confidence_interval(0.95)
  np.testing.assert_allclose(result[:3], ((a - b).mean(), *bounds))
  assert paired(b, a).mean == pytest.approx(-result.mean)
  # What pairs share does not count.
  shared = 100 * rng.normal(size=6)
  np.testing.assert_allclose(paired(a + shared, b + shared), result, rtol=1e-6)


@pytest.mark.parametrize(
  ("a", "b", "expected"),
  [
    ([1.0], [0.5], (0.5, -np.inf, np.inf, 1.0)),
    ([1.5, 2.5, 3.5], [1.0, 2.0, 3.0], (0.5, 0.5, 0.5, 0.0)),
    ([1.0, 2.0], [1.0, 2.0], (0.0, 0.0, 0.0, 1.0)),
    ([1.0, 2.0], [2.0, 1.0], None),
  ],
)
def test_one_pair_and_equal_differences_warn_of_nothing(a, b, expected):
  with warnings.catch_warnings():
    warnings.simplefilter("error")
    result = paired(a, b)
  if expected:
    assert (*result[:3], result.p_value) == expected
  else:
    assert result.mean == 0
    assert result.p_value == 1
    assert result.low < 0 < result.high
  assert interval([0.1] * 3)[:3] == (0.1, 0.1, 0.1)
  assert interval([7.0])[:3] == (7.0, -np.inf, np.inf)


def test_pairs_and_values_must_be_there():
  with pytest.raises(ValueError, match="are not pairs"):
    paired([1.0, 2.0], [1.0])
  with pytest.raises(ValueError, match="not a list of at least one value"):
    interval([])


def test_holm_by_hand_and_in_the_order_given():
  # Sorted: 0.01 x 4, 0.02 x 3, 0.03 x 2 -> as large as before, 0.5 x 1.
  adjusted = holm([0.03, 0.01, 0.5, 0.02])
  np.testing.assert_allclose(adjusted, [0.06, 0.04, 0.5, 0.06])
  np.testing.assert_allclose(holm([0.6, 0.7]), [1.0, 1.0])
  np.testing.assert_allclose(holm([0.2]), [0.2])
  assert len(holm([])) == 0


def test_holm_rejects_as_the_stepwise_rule_does():
  rng = np.random.default_rng(2)
  for p_values in rng.uniform(size=(200, 5)) ** 3:
    rejected = np.zeros(5, bool)
    for rank, place in enumerate(np.argsort(p_values)):
      if p_values[place] > 0.05 / (5 - rank):
        break
      rejected[place] = True
    np.testing.assert_array_equal(holm(p_values) <= 0.05, rejected)


def test_verdict_is_no_gain_where_zero_is_inside():
  assert verdict(Estimate(0.5, 0.1, 0.9, 3)) == "gain"
  assert verdict(Estimate(-0.5, -0.9, -0.1, 3, 0.01)) == "loss"
  assert verdict(Estimate(0.5, -0.1, 1.1, 3)) == "no gain"
  assert verdict(Estimate(-0.5, -1.1, 0.0, 3)) == "no gain"
  assert verdict(interval([3.0])) == "no gain"


def test_intervals_end_where_values_do():
  # Two accuracies, 0.36 and 0.44: Student's interval is -0.108 to 0.908.
  wide = interval([0.36, 0.44])
  assert wide.low == pytest.approx(0.4 - 12.7062 * 0.04, abs=1e-5)
  assert wide.within(0, 1) == wide._replace(low=0)
  assert wide.within(0, 0.5) == wide._replace(low=0, high=0.5)
  assert wide.within(-1, 1) == wide
  # Where there is none, none is made.
  one = interval([0.4]).within(0, 1)
  assert not one.bounded and one == interval([0.4])
  assert not interval([0.4, 0.5]).without_interval().bounded
