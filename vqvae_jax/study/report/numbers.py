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
# Kinds of arms, in the order of the tables.
KINDS = ("baseline", "alone", "real+", "classical+")
BASELINES = ("real", "repeated", "classical")
# Accuracies that differ by less are equal: no test set has so many images.
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
  adjusted: float
  primary: bool

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
    arm: name of the arm.
    kind: which of `KINDS` the arm is.
    generator: name of the arm's generator; empty if there is none.
    multiplier: number of generated (or repeated) images over real ones.
    classifier: name of the classifier.
    main: whether the multiplier is that of the study, and not a point of a
      sweep.
    accuracy: share of the images that are classified correctly.
    balanced_accuracy: mean over classes of the share classified correctly.
    auroc: area under the ROC curve.
    recall: share of each class that is classified correctly, a mean over seeds.
    comparison: comparison with the reference; None if there is no reference.
    seconds: seconds of the run of each seed.
  """

  arm: str
  kind: str
  generator: str
  multiplier: float
  classifier: str
  main: bool
  accuracy: Estimate
  balanced_accuracy: Estimate
  auroc: Estimate
  recall: Float[np.ndarray, " classes"]
  comparison: Comparison | None
  seconds: tuple[float, ...]


class _Key(NamedTuple):
  """What the runs of a row have in common."""

  classifier: str
  arm: str
  kind: str
  generator: str
  multiplier: float


# The runs of a row by seed, as the study records them.
_Runs = Mapping[_Key, Mapping[int, Mapping[str, Any]]]


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
  runs = {}
  for result in results:
    if result["split"] == split:
      key = _key(result)
      by_seed = runs.setdefault(key, {})
      if result["seed"] in by_seed:
        raise ValueError(f"{key}, seed {result['seed']}, is there twice")
      by_seed[result["seed"]] = result
  main = {}
  for key in sorted(runs, key=lambda key: abs(key.multiplier - multiplier)):
    main.setdefault((key.classifier, key.arm), key)
  rows = [_row(key, runs, main, primary) for key in runs]
  return sorted(_adjust(rows), key=_order)


def find(rows: Sequence[Row], arm: str, classifier: str) -> Row | None:
  """Returns the main row of an arm and a classifier."""
  return next(
    (
      row
      for row in rows
      if row.main and (row.arm, row.classifier) == (arm, classifier)
    ),
    None,
  )


def _key(result: Mapping[str, Any]) -> _Key:
  arm, generator = result["arm"], result["generator"]
  kind = "baseline"
  if generator:
    kind = arm.removesuffix(generator) or "alone"
  multiplier = float(result["multiplier"])
  return _Key(result["classifier"], arm, kind, generator, multiplier)


def _row(
  key: _Key, runs: _Runs, main: Mapping[tuple[str, str], _Key], primary: Primary
) -> Row:
  found = [runs[key][seed] for seed in sorted(runs[key])]

  def over_seeds(name: str) -> Estimate:
    return _estimate([run[name] for run in found]).within(0.0, 1.0)

  with warnings.catch_warnings():
    # A class without images has no recall.
    warnings.filterwarnings("ignore", "Mean of empty slice")
    recall = np.nanmean(np.array([run["recall"] for run in found], float), 0)
  return Row(
    **key._asdict(),
    main=key == main[key.classifier, key.arm],
    accuracy=over_seeds("accuracy"),
    balanced_accuracy=over_seeds("balanced_accuracy"),
    auroc=over_seeds("auroc"),
    recall=recall,
    comparison=_compare(key, runs, main, primary),
    seconds=tuple(run["seconds"] for run in found),
  )


def _estimate(values: Sequence[float | None]) -> Estimate:
  """Returns mean and interval of those values that are numbers."""
  numbers = np.array(values, float)
  numbers = numbers[~np.isnan(numbers)]
  return intervals.interval(numbers) if len(numbers) else _NOTHING


def _compare(
  key: _Key, runs: _Runs, main: Mapping[tuple[str, str], _Key], primary: Primary
) -> Comparison | None:
  other = "classical" if key.kind == "classical+" else "real"
  if key.arm == other or (key.classifier, other) not in main:
    return None
  ours, theirs = runs[key], runs[main[key.classifier, other]]
  pairs = np.array(
    [
      (ours[seed]["accuracy"], theirs[seed]["accuracy"])
      for seed in sorted(ours.keys() & theirs.keys())
    ],
    float,
  ).reshape(-1, 2)
  pairs = pairs[~np.isnan(pairs).any(axis=1)]
  difference = _NOTHING
  if len(pairs):
    difference = intervals.paired(*pairs.T).within(-1.0, 1.0)
  width = difference.high - difference.low
  if len(pairs) == 1 or (abs(difference.mean) > _SAME and width < _SAME):
    # Accuracies come in steps, so a few seeds may differ by exactly the same
    # amount. An interval of no width would call that certain.
    difference = difference.without_interval()
  named = (key.arm, other, key.classifier) == primary
  named = named and key == main[key.classifier, key.arm]
  return Comparison(other, difference, math.nan, named)


def _adjust(rows: Sequence[Row]) -> list[Row]:
  """Corrects all comparisons of the report except for the primary one."""
  rows = list(rows)
  family = [
    (i, row.comparison)
    for i, row in enumerate(rows)
    if row.comparison
    and not row.comparison.primary
    and not math.isnan(row.comparison.difference.p_value)
  ]
  adjusted = intervals.holm([c.difference.p_value for _, c in family])
  for (i, comparison), p in zip(family, adjusted, strict=True):
    comparison = dataclasses.replace(comparison, adjusted=float(p))
    rows[i] = dataclasses.replace(rows[i], comparison=comparison)
  return rows


def _order(row: Row) -> tuple:
  position = BASELINES.index(row.arm) if row.kind == "baseline" else 0
  kind = KINDS.index(row.kind)
  return row.classifier, kind, position, row.generator, row.multiplier
