"""Means over seeds with confidence intervals, and tests of differences."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.special import stdtr, stdtrit


class Estimate(NamedTuple):
  """A mean over seeds and its confidence interval.

  Attributes:
    mean: the mean; NaN without values.
    low: lower end of the interval, -inf where the values do not give one.
    high: upper end, inf if there is none.
    seeds: number of values.
    p_value: two-sided p-value of the mean being zero; NaN without a test.
  """

  mean: float
  low: float
  high: float
  seeds: int
  p_value: float = math.nan

  @property
  def bounded(self) -> bool:
    """Whether there is an interval."""
    return math.isfinite(self.low) and math.isfinite(self.high)

  def within(self, least: int | float, most: int | float) -> "Estimate":
    """Returns the interval cut to the values that are possible.

    It covers the mean as often as before, since no mean lies beyond them.
    """
    if not self.bounded:
      return self
    return self._replace(low=max(self.low, least), high=min(self.high, most))

  def without_interval(self) -> "Estimate":
    """Returns the mean alone."""
    return self._replace(low=-math.inf, high=math.inf, p_value=math.nan)


def interval(values: ArrayLike, confidence: float = 0.95) -> Estimate:
  """Returns the mean and its interval by Student's t-distribution.

  Student, "The Probable Error of a Mean", 1908. One value says nothing about
  its spread, so its interval is unbounded. Equal values have an interval of
  width zero.

  Args:
    values: independent values, one of each seed.
    confidence: level of the interval, in (0, 1).

  Raises:
    ValueError: if there is no value.
  """
  values, mean, error = _mean_and_error(values)
  count = len(values)
  if count == 1:
    return Estimate(mean, -math.inf, math.inf, 1)
  half = stdtrit(count - 1, (1 + confidence) / 2) * error
  return Estimate(mean, float(mean - half), float(mean + half), count)


def paired(a: ArrayLike, b: ArrayLike, confidence: float = 0.95) -> Estimate:
  """Estimates the mean of `a - b` with the paired t-test.

  Args:
    a: values of one arm, one of each seed.
    b: values of the other arm, in the same order of seeds.
    confidence: level of the interval, in (0, 1).

  Returns:
    The mean difference, its interval and its p-value. The p-value is 1 for a
    single pair; where all differences are equal it is 0, or 1 if they are 0.
  """
  a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
  if a.shape != b.shape:
    raise ValueError(f"{a.shape} and {b.shape} values are not pairs")
  differences, mean, error = _mean_and_error(a - b)
  if len(differences) == 1 or mean == 0:
    p_value = 1.0
  elif error == 0:
    p_value = 0.0
  else:
    p_value = float(2 * stdtr(len(differences) - 1, -abs(mean / error)))
  return interval(differences, confidence)._replace(p_value=p_value)


def holm(p_values: ArrayLike) -> Float[np.ndarray, " m"]:
  """Returns p-values corrected for their number, in the order given.

  If all hypotheses are true, the probability that any corrected p-value is
  below 0.05 is at most 0.05. Holm, "A Simple Sequentially Rejective Multiple
  Test Procedure", 1979.
  """
  p_values = np.asarray(p_values, np.float64)
  order = np.argsort(p_values, kind="stable")
  factors = len(p_values) - np.arange(len(p_values))
  adjusted = np.maximum.accumulate(p_values[order] * factors)
  result = np.empty_like(p_values)
  result[order] = np.minimum(adjusted, 1)
  return result


def verdict(difference: Estimate) -> str:
  """Returns "gain" or "loss" if the interval excludes zero, else "no gain"."""
  if difference.low > 0:
    return "gain"
  return "loss" if difference.high < 0 else "no gain"


def _mean_and_error(values):
  values = np.asarray(values, np.float64)
  if values.ndim != 1 or not len(values):
    raise ValueError(
      f"values of shape {values.shape} are not a list of at least one value"
    )
  if np.ptp(values) == 0:
    # Their mean may differ from them in the last bit.
    return values, float(values[0]), 0.0
  error = values.std(ddof=1) / np.sqrt(len(values))
  return values, float(values.mean()), float(error)
