"""The numbers of the report: means over seeds and paired comparisons."""

import dataclasses
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from vqvae_jax.study import intervals
from vqvae_jax.study.intervals import Estimate

SIGNIFICANCE = 0.05
# Arms by what is in them, in the order of the tables.
KINDS = ("baseline", "alone", "real+", "classical+")
BASELINES = ("real", "repeated", "classical")
# Less than one image of any test set.
SAME = 1e-9


class Primary(NamedTuple):
  """The comparison named before any run; all others are corrected.

  Attributes:
    arm: of classically augmented real images and those of a generator.
    other: what it is compared with.
    judge: by whom.
  """

  arm: str
  other: str = "classical"
  judge: str = "simple"


@dataclasses.dataclass(frozen=True)
class Comparison:
  """An arm less its reference, over the seeds that both have.

  Attributes:
    reference: the other arm.
    difference: of accuracy, a share; its p-value is the paired test's, NaN
      where there is no interval.
    adjusted: p by Holm's method; NaN for the primary comparison.
    primary: whether it is the one named beforehand.
  """

  reference: str
  difference: Estimate
  adjusted: float
  primary: bool

  @property
  def verdict(self) -> str:
    """Gain, no gain or loss, or why there is no saying."""
    difference = self.difference
    if not difference.seeds:
      return "no common seeds"
    if difference.seeds == 1:
      return "one seed, no interval"
    if not difference.bounded:
      return "same in every seed, no interval"
    word = intervals.verdict(difference)
    if word == "no gain" or self.primary or self.adjusted <= SIGNIFICANCE:
      return word
    if word == "loss":
      return "loss, not certain after correction"
    return f"no {word} after correction"


@dataclasses.dataclass(frozen=True)
class Row:
  """One arm before one judge, on the images of one split.

  Attributes:
    main: whether it has the study's own number of generated images, and is
      not a point of a sweep.
    accuracy, balanced_accuracy, auroc: shares; their intervals end at 0 and
      1.
    recall: of each class, the mean over seeds.
    comparison: None where there is no reference, or no run of it.
    seconds: of each seed.
  """

  arm: str
  generator: str
  multiplier: float
  judge: str
  main: bool
  accuracy: Estimate
  balanced_accuracy: Estimate
  auroc: Estimate
  recall: Float[np.ndarray, " k"]
  comparison: Comparison | None
  seconds: tuple[float, ...]


def kind(arm: str) -> str:
  """Which of `KINDS` an arm is."""
  if arm in BASELINES:
    return "baseline"
  first, plus, _ = arm.partition("+")
  return f"{first}+" if plus else "alone"


def reference(arm: str) -> str | None:
  """The arm that an arm is compared with."""
  if arm == "real":
    return None
  return "classical" if kind(arm) == "classical+" else "real"


def summarise(
  results: Sequence[Mapping[str, Any]],
  split: str,
  multiplier: float,
  primary: Primary,
) -> list[Row]:
  """All arms before all judges, in the order of the tables.

  Args:
    results: of single runs.
    split: whose results count.
    multiplier: the study's own; each arm's nearest is its main one.
    primary: the comparison that is not corrected.

  Raises:
    ValueError: if a run is there twice.
  """
  runs = {}
  for result in results:
    if result["split"] == split:
      key = (result["judge"], result["arm"], float(result["multiplier"]))
      of_arm = runs.setdefault(key, {})
      if result["seed"] in of_arm:
        raise ValueError(f"{key}, seed {result['seed']}, is there twice")
      of_arm[result["seed"]] = result
  main = {}
  for judge, arm, size in runs:
    best = main.setdefault((judge, arm), size)
    if abs(size - multiplier) < abs(best - multiplier):
      main[judge, arm] = size
  rows = [
    _row(
      key, of_arm, key[2] == main[key[:2]], _compare(key, runs, main, primary)
    )
    for key, of_arm in runs.items()
  ]
  return sorted(_adjust(rows), key=_order)


def find(rows: Sequence[Row], arm: str, judge: str) -> Row | None:
  """The main row of an arm."""
  return next(
    (r for r in rows if r.main and (r.arm, r.judge) == (arm, judge)), None
  )


def estimate(values: Sequence[float | None]) -> Estimate:
  """Of the values that are numbers; none of them gives NaN."""
  values = np.array(values, float)
  values = values[~np.isnan(values)]
  if not len(values):
    return Estimate(math.nan, -math.inf, math.inf, 0)
  return intervals.interval(values)


def _row(key, of_arm, main, comparison):
  judge, arm, multiplier = key
  runs = [of_arm[seed] for seed in sorted(of_arm)]

  def over_seeds(name):
    return estimate([run[name] for run in runs]).within(0, 1)

  with warnings.catch_warnings():
    # A class without images has no recall.
    warnings.filterwarnings("ignore", "Mean of empty slice")
    recall = np.nanmean(np.array([run["recall"] for run in runs], float), 0)
  return Row(
    arm=arm,
    generator=runs[0]["generator"],
    multiplier=multiplier,
    judge=judge,
    main=main,
    accuracy=over_seeds("accuracy"),
    balanced_accuracy=over_seeds("balanced_accuracy"),
    auroc=over_seeds("auroc"),
    recall=recall,
    comparison=comparison,
    seconds=tuple(run["seconds"] for run in runs),
  )


def _compare(key, runs, main, primary):
  judge, arm, multiplier = key
  other = reference(arm)
  if (judge, other) not in main:
    return None
  ours, theirs = runs[key], runs[judge, other, main[judge, other]]
  seeds = sorted(ours.keys() & theirs.keys())
  pairs = [(ours[seed]["accuracy"], theirs[seed]["accuracy"]) for seed in seeds]
  pairs = [pair for pair in pairs if not any(map(math.isnan, pair))]
  difference = Estimate(math.nan, -math.inf, math.inf, 0)
  if pairs:
    difference = intervals.paired(*zip(*pairs, strict=True)).within(-1, 1)
  width = difference.high - difference.low
  if len(pairs) == 1 or (abs(difference.mean) > SAME and width < SAME):
    # Scores come in steps, so a few seeds may differ by the very same one; an
    # interval of no width would call that certain.
    difference = difference.without_interval()
  named = (arm, other, judge) == primary and multiplier == main[judge, arm]
  return Comparison(other, difference, math.nan, named)


def _adjust(rows):
  """Corrects all comparisons of the report but the primary one."""
  family = [
    i
    for i, row in enumerate(rows)
    if row.comparison
    and not row.comparison.primary
    and not math.isnan(row.comparison.difference.p_value)
  ]
  rows = list(rows)
  adjusted = intervals.holm(
    [rows[i].comparison.difference.p_value for i in family]
  )
  for i, p in zip(family, adjusted, strict=True):
    comparison = dataclasses.replace(rows[i].comparison, adjusted=float(p))
    rows[i] = dataclasses.replace(rows[i], comparison=comparison)
  return rows


def _order(row):
  place = BASELINES.index(row.arm) if row.arm in BASELINES else 0
  return (
    row.judge,
    KINDS.index(kind(row.arm)),
    place,
    row.generator,
    row.multiplier,
  )
