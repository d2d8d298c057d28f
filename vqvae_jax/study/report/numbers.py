"""The numbers of the report: means over seeds and paired comparisons."""

import dataclasses
import math
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from vqvae_jax.study import intervals
from vqvae_jax.study.intervals import Estimate

SIGNIFICANCE = 0.05
# Kinds of arms, in the order of the tables.
KINDS = ("baseline", "alone", "real+", "classical+")
BASELINES = ("real", "repeated", "classical")
# Accuracies that differ by less are equal: one image of a test set weighs more.
_SAME = 1e-9
_NOTHING = Estimate(math.nan, -math.inf, math.inf, 0)


class Primary(NamedTuple):
  """The comparison that was named beforehand; all others are corrected.

  Attributes:
    arm: name of the arm with generated images.
    other: name of the arm that it is compared with.
    classifier: name of the classifier that learns from both.
  """

  arm: str
  other: str = "classical"
  classifier: str = "simple"


@dataclasses.dataclass(frozen=True)
class Comparison:
  """The accuracy of an arm minus that of its reference, seed by seed.

  Attributes:
    reference: name of the other arm.
    difference: difference of the accuracies, a share, over the seeds that both
      arms have; its p-value is that of the paired test, NaN without interval.
    adjusted: p-value corrected by Holm's method; NaN for the primary
      comparison.
    primary: whether it is the comparison that was named beforehand.
  """

  reference: str
  difference: Estimate
  adjusted: float = math.nan
  primary: bool = False

  @property
  def verdict(self) -> str:
    """Whether the arm is better or worse, or why there is no answer."""
    difference, other = self.difference, self.reference
    if not difference.seeds:
      return f"no seed in common with {other}"
    if not difference.bounded:
      same = "one seed" if difference.seeds == 1 else "same in every seed"
      return f"against {other}: {same}, no interval"
    certain = self.primary or self.adjusted <= SIGNIFICANCE
    match intervals.verdict(difference):
      case "gain" if certain:
        return f"gain over {other}"
      case "gain":
        return f"no gain over {other} after correction"
      case "loss" if certain:
        return f"loss against {other}"
      case "loss":
        return f"loss against {other}, not certain after correction"
    return f"no gain over {other}"


@dataclasses.dataclass(frozen=True)
class Row:
  """One classifier trained on one arm, over seeds, on the images of one split.

  Attributes:
    classifier: name of the classifier.
    arm: name of the arm.
    generator: name of the arm's generator; empty if there is none.
    multiplier: number of generated (or repeated) images over real ones.
    runs: the results of the single runs by seed.
    main: whether the multiplier is that of the study, and not a point of a
      sweep.
    comparison: comparison with the reference; None if there is no reference.
  """

  classifier: str
  arm: str
  generator: str
  multiplier: float
  runs: Mapping[int, Mapping[str, Any]]
  main: bool = False
  comparison: Comparison | None = None

  @property
  def kind(self) -> str:
    """Which of `KINDS` the arm is."""
    if not self.generator:
      return "baseline"
    return self.arm.removesuffix(self.generator) or "alone"

  @property
  def reference(self) -> str | None:
    """Name of the arm that this one is compared with."""
    if self.kind == "classical+":
      return "classical"
    return None if self.arm == "real" else "real"

  @cached_property
  def accuracy(self) -> Estimate:
    """Share of the images that are classified correctly."""
    return self._over_seeds("accuracy")

  @cached_property
  def balanced_accuracy(self) -> Estimate:
    """Mean over classes of the share that is classified correctly."""
    return self._over_seeds("balanced_accuracy")

  @cached_property
  def auroc(self) -> Estimate:
    """Area under the ROC curve."""
    return self._over_seeds("auroc")

  @cached_property
  def recall(self) -> Float[np.ndarray, " classes"]:
    """Share of each class that is classified correctly, a mean over seeds."""
    with warnings.catch_warnings():
      # A class without images has no recall.
      warnings.filterwarnings("ignore", "Mean of empty slice")
      runs = [run["recall"] for run in self.runs.values()]
      return np.nanmean(np.array(runs, float), 0)

  @property
  def seconds(self) -> list[float]:
    """Seconds of each run."""
    return [run["seconds"] for run in self.runs.values()]

  def _over_seeds(self, name: str) -> Estimate:
    values = np.array([run[name] for run in self.runs.values()], float)
    values = values[~np.isnan(values)]
    if not len(values):
      return _NOTHING
    return intervals.interval(values).within(0.0, 1.0)


def summarise(
  results: Sequence[Mapping[str, Any]],
  split: str,
  multiplier: float,
  primary: Primary,
) -> list[Row]:
  """Returns the rows of all arms and classifiers, in the order of the tables.

  Args:
    results: results of single runs.
    split: split whose results count.
    multiplier: multiplier of the study; the main row of an arm is the nearest.
    primary: the comparison that is not corrected.

  Raises:
    ValueError: if a run is in the results twice.
  """
  groups = {}
  for run in sorted(results, key=lambda run: run["seed"]):
    if run["split"] == split:
      key = run["classifier"], run["arm"], run["generator"]
      runs = groups.setdefault((*key, float(run["multiplier"])), {})
      if run["seed"] in runs:
        raise ValueError(f"{key}, seed {run['seed']}, is there twice")
      runs[run["seed"]] = run
  rows = [Row(*key, runs) for key, runs in groups.items()]
  main = {}
  for row in sorted(rows, key=lambda row: abs(row.multiplier - multiplier)):
    main.setdefault((row.classifier, row.arm), row)
  compared = []
  for row in rows:
    reference = main.get((row.classifier, row.reference))
    comparison = _compare(row, reference) if reference else None
    is_main = row is main[row.classifier, row.arm]
    if comparison and is_main:
      named = Primary(row.arm, row.reference, row.classifier) == primary
      comparison = dataclasses.replace(comparison, primary=named)
    compared.append(
      dataclasses.replace(row, main=is_main, comparison=comparison)
    )
  return sorted(_adjust(compared), key=_order)


def find(rows: Sequence[Row], arm: str, classifier: str) -> Row | None:
  """Returns the main row of an arm and a classifier."""
  found = (r for r in rows if (r.arm, r.classifier) == (arm, classifier))
  return next((row for row in found if row.main), None)


def _compare(row: Row, reference: Row) -> Comparison:
  common = [seed for seed in row.runs if seed in reference.runs]
  ours, theirs = (
    np.array([runs[seed]["accuracy"] for seed in common], float)
    for runs in (row.runs, reference.runs)
  )
  known = ~np.isnan(ours - theirs)
  difference = _NOTHING
  if known.any():
    difference = intervals.paired(ours[known], theirs[known])
    difference = difference.within(-1.0, 1.0)
  width = difference.high - difference.low
  if known.sum() == 1 or (abs(difference.mean) > _SAME and width < _SAME):
    # Accuracies come in steps, so a few seeds may differ by exactly the same
    # amount. An interval of no width would call that certain.
    difference = difference.without_interval()
  return Comparison(reference.arm, difference)


def _adjust(rows: Sequence[Row]) -> list[Row]:
  """Corrects all comparisons of the report except for the primary one."""
  family = [
    i
    for i, row in enumerate(rows)
    if row.comparison
    and not row.comparison.primary
    and not math.isnan(row.comparison.difference.p_value)
  ]
  p_values = np.array([rows[i].comparison.difference.p_value for i in family])
  adjusted = list(rows)
  for i, p in zip(family, intervals.holm(p_values), strict=True):
    comparison = dataclasses.replace(rows[i].comparison, adjusted=float(p))
    adjusted[i] = dataclasses.replace(rows[i], comparison=comparison)
  return adjusted


def _order(row: Row) -> tuple:
  position = BASELINES.index(row.arm) if row.kind == "baseline" else 0
  kind = KINDS.index(row.kind)
  return row.classifier, kind, position, row.generator, row.multiplier
