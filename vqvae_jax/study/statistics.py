"""Means over seeds, and what can be said of their differences."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import stdtr, stdtrit


class Interval(NamedTuple):
  """A mean and its confidence interval."""

  mean: float
  low: float
  high: float


class Paired(NamedTuple):
  """The mean of paired differences, its interval, and a two-sided p-value."""

  mean: float
  low: float
  high: float
  p_value: float


def interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
  """Mean and interval by Student's t ("The Probable Error of a Mean", 1908).

  One value says nothing of its spread: its interval is the whole line. Equal
  values have an interval of no width.

  Args:
    values: independent draws, one of each seed.
    confidence: in (0, 1).

  Raises:
    ValueError: if there is no value.
  """
  values, mean, error = _mean_and_error(values)
  if len(values) == 1:
    return Interval(mean, -np.inf, np.inf)
  half = stdtrit(len(values) - 1, (1 + confidence) / 2) * error
  return Interval(mean, float(mean - half), float(mean + half))


def paired(
  a: Sequence[float], b: Sequence[float], confidence: float = 0.95
) -> Paired:
  """How much greater `a` is than `b`, pair by pair, with the paired t-test.

  Args:
    a: one value of each seed.
    b: the other's, in the same order of seeds.
    confidence: of the interval, in (0, 1).

  Returns:
    With one pair the p-value is 1; where all differences are equal it is 0,
    or 1 if they are 0.
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
  return Paired(*interval(differences, confidence), p_value)


def holm(p_values: Sequence[float]) -> Float[np.ndarray, " m"]:
  """P-values corrected for their number, in the order given.

  Rejecting those below 0.05 errs anywhere with a probability of at most 0.05:
  Holm, "A Simple Sequentially Rejective Multiple Test Procedure", 1979.
  """
  p_values = np.asarray(p_values, np.float64)
  order = np.argsort(p_values, kind="stable")
  factors = len(p_values) - np.arange(len(p_values))
  adjusted = np.maximum.accumulate(p_values[order] * factors)
  result = np.empty_like(p_values)
  result[order] = np.minimum(adjusted, 1)
  return result


def verdict(difference: Interval | Paired) -> str:
  """`gain` or `loss` where the interval excludes zero, else `no gain`."""
  if difference.low > 0:
    return "gain"
  return "loss" if difference.high < 0 else "no gain"


def _mean_and_error(values):
  values = np.asarray(values, np.float64)
  if values.ndim != 1 or not len(values):
    raise ValueError(f"values of shape {values.shape}: a list of one or more")
  if np.ptp(values) == 0:
    # Their mean may differ from them in the last bit.
    return values, float(values[0]), 0.0
  error = values.std(ddof=1) / np.sqrt(len(values))
  return values, float(values.mean()), float(error)
