"""The tables of the report, cell by cell."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vqvae_jax.study.report_numbers import Comparison, Estimate, Row
from vqvae_jax.study.report_pages import Table

NOT_KNOWN = "n/a"
# Of the gates: column, key, digits; "%" of a share.
SETS = (
  ("label agreement", "label_agreement", "%"),
  ("distinct images", "distinct", "%"),
  ("duplicate ids", "duplicate_ids", "%"),
  ("ids of a training image", "training_ids", "%"),
)
NEAREST = (
  ("median", "median", 3),
  ("held-out median", "held_out_median", 3),
  ("1st percentile", "p1", 3),
  ("held-out 1st percentile", "held_out_p1", 3),
  ("share closer", "share_closer", "%"),
)
DISTRIBUTION = (
  ("precision", "precision", 3),
  ("recall", "recall", 3),
  ("density", "density", 3),
  ("coverage", "coverage", 3),
  ("KID", "kid", 4),
  ("Fréchet distance, judge's features", "frechet_distance_judge_features", 2),
)
# Those that do not change with the number of images.
HELD_OUT = ("precision", "density", "kid")
# What stands above each of these tables.
SETS_TEXT = (
  "Of all images drawn, before any filter. Label agreement: judges, each "
  "trained on a part of the real images, that read a generated image as its "
  "label says; the share of them, over all images. Distinct images: share of "
  "different ones among all. Duplicate ids: share of images whose ids another "
  "one has, too. Ids of a training image: "
  "share of images with the ids of one. Both n/a for generators without ids. "
  "Dropped: over all seeds, by reason; n/a without --filter. Numbers are "
  "means over seeds, with the least and the greatest of them in brackets where "
  "they differ."
)
NEAREST_TEXT = (
  "Nearest real training image of each generated one (in features, of the "
  "first 2,000), by Euclidean distance: "
  "the median and the 1st percentile, each beside the same figure for held-out "
  "real images. Share closer: of the generated images, those nearer to a "
  "training image than all but 1 % of held-out ones are; about 1 % is what "
  "new images of the same kind would show, much more points at copies."
)
DISTRIBUTION_TEXT = (
  "Of the first 2,000 images, in the judge's features (arXiv 2002.09797), "
  "which it learnt from the real images they are compared with. Precision: "
  "share of generated images within the real ones' neighbourhoods. Recall: "
  "share of real images within the generated ones'. Density: how many real "
  "neighbourhoods hold a generated image, over the number expected; may exceed "
  "1. Coverage: share of real images with a generated one in their "
  "neighbourhood. KID: squared maximum mean discrepancy, 0 for equal "
  "distributions. The Fréchet distance is between Gaussians fitted to the "
  "judge's features; it is not FID, and compares with no published figure. The "
  "first row is of held-out real images, for which the judge's features fit "
  "less than for those it learnt from; what depends on how many images there "
  "are is left out of it."
)


def arms_table(rows: Sequence[Row], class_names: Sequence[str]) -> Table:
  """All numbers of the arms of one judge."""
  header = [
    "arm",
    "multiplier",
    "seeds",
    "accuracy, %",
    "balanced, %",
    "AUROC",
    "worst class, recall %",
    "against",
    "difference, points",
    "p",
    "verdict",
    "seconds",
  ]
  return Table(header, [_arm(row, class_names) for row in rows])


def recall_table(rows: Sequence[Row], class_names: Sequence[str]) -> Table:
  """Recall of each class in percent, mean over seeds, an arm a row."""
  return Table(
    ["arm", *class_names],
    [
      [row.arm, *(number(100 * share, 1) for share in row.recall)]
      for row in rows
    ],
  )


def seconds_table(rows: Sequence[Row]) -> Table:
  """What each arm took, for each judge."""
  return Table(
    ["judge", "arm", "multiplier", "runs", "seconds a run", "seconds in all"],
    [
      [
        row.judge,
        row.arm,
        _multiplier(row),
        str(len(row.seconds)),
        f"{np.mean(row.seconds):.0f}",
        f"{sum(row.seconds):.0f}",
      ]
      for row in rows
    ],
  )


def sets_table(gates: Sequence[Mapping[str, Any]]) -> Table:
  """What the generated sets are, means over seeds."""
  rows = []
  for generator, found in _by_generator(gates).items():
    dropped = {}
    for gate in found:
      for reason, count in (gate.get("dropped") or {}).items():
        dropped[reason] = dropped.get(reason, 0) + count
    counts = sorted({str(gate["count"]) for gate in found})
    rows.append(
      [generator, str(len(found)), ", ".join(counts)]
      + [_over_seeds(found, key, digits) for _, key, digits in SETS]
      + [", ".join(f"{k} {n}" for k, n in dropped.items()) or NOT_KNOWN]
      + [_over_seeds(found, "seconds", 0)]
    )
  header = ["generator", "seeds", "images", *(name for name, *_ in SETS)]
  return Table([*header, "dropped by the filter", "seconds to compare"], rows)


def nearest_table(gates: Sequence[Mapping[str, Any]]) -> Table:
  """Distances to the nearest real training image."""
  return Table(
    ["generator", "in", *(name for name, *_ in NEAREST)],
    [
      [generator, space]
      + [
        _over_seeds([gate.get(name) or {} for gate in found], key, digits)
        for _, key, digits in NEAREST
      ]
      for generator, found in _by_generator(gates).items()
      for space, name in (
        ("pixels", "nearest_pixels"),
        ("judge's features", "nearest_features"),
      )
    ],
  )


def distribution_table(gates: Sequence[Mapping[str, Any]]) -> Table:
  """How the generated images lie among the real ones, in the features."""
  by_generator = _by_generator(gates)
  # The same for all generators of a seed.
  held_out = [gate["held_out"] for gate in next(iter(by_generator.values()))]
  rows = [
    ["held-out real images"]
    + [
      _over_seeds(held_out, key, digits) if key in HELD_OUT else NOT_KNOWN
      for _, key, digits in DISTRIBUTION
    ]
  ]
  rows += [
    [generator]
    + [_over_seeds(found, key, digits) for _, key, digits in DISTRIBUTION]
    for generator, found in by_generator.items()
  ]
  return Table(["generator", *(name for name, *_ in DISTRIBUTION)], rows)


def choices_table(choices: Mapping[str, Any]) -> Table:
  """What was chosen, and among what."""
  return Table(["choice", "chosen", "among (figure)"], _choices(choices, ""))


def settings_table(settings: Mapping[str, Any]) -> Table:
  """All settings, those of parts with the part's name before a dot."""
  return Table(["setting", "value"], _settings(settings, ""))


def points(comparison: Comparison) -> str:
  """A difference in percentage points, with its interval if it has one."""
  return _interval(comparison.difference, "+.2f")


def number(value: float | None, digits: int) -> str:
  """Rounded; n/a for what is not known."""
  if value is None or math.isnan(value):
    return NOT_KNOWN
  return f"{value:.{digits}f}"


def _arm(row, class_names):
  worst = "n/a"
  if not np.isnan(row.recall).all():
    k = int(np.nanargmin(row.recall))
    worst = f"{class_names[k]}: {number(100 * row.recall[k], 1)}"
  auroc = _interval(row.auroc, ".4f", scale=1)
  if 0 < row.auroc.seeds < row.accuracy.seeds:
    auroc += f" ({row.auroc.seeds} of {row.accuracy.seeds} seeds)"
  cells = [
    row.arm,
    _multiplier(row),
    str(row.accuracy.seeds),
    _interval(row.accuracy, ".2f"),
    _interval(row.balanced_accuracy, ".2f"),
    auroc,
    worst,
  ]
  compared = row.comparison
  if compared is None:
    cells += ["-"] * 4
  else:
    n = compared.difference.seeds
    cells += [
      compared.reference + (f" ({n} seeds)" if n != row.accuracy.seeds else ""),
      points(compared),
      _p_value(compared),
      compared.verdict,
    ]
  return [*cells, f"{np.mean(row.seconds):.0f}"]


def _interval(estimate: Estimate, form, scale=100):
  if math.isnan(estimate.mean):
    return NOT_KNOWN
  mean, low, high = (
    format(scale * value, form)
    for value in (estimate.mean, estimate.low, estimate.high)
  )
  return mean if math.isnan(estimate.low) else f"{mean} [{low}, {high}]"


def _p_value(comparison):
  p = comparison.p if comparison.primary else comparison.adjusted
  if math.isnan(p):
    return NOT_KNOWN
  text = "<0.001" if p < 0.001 else f"{p:.3f}"
  return f"{text} (primary)" if comparison.primary else text


def _multiplier(row):
  return f"x{row.multiplier:.4g}" if row.multiplier else "-"


def _by_generator(gates):
  found = {}
  for gate in gates:
    found.setdefault(gate["generator"], []).append(gate)
  return found


def _over_seeds(found, key, digits):
  """Mean, and the least and the greatest where seeds differ."""
  values = np.array([values.get(key) for values in found], float)
  values = values[~np.isnan(values)]
  if not len(values):
    return NOT_KNOWN
  share, digits = (100, 1) if digits == "%" else (1, digits)
  mean, low, high = (
    f"{share * value:.{digits}f}"
    for value in (values.mean(), values.min(), values.max())
  )
  unit = " %" if share == 100 else ""
  return f"{mean}{unit}" + (f" [{low}, {high}]" if low != high else "")


def _choices(choices, prefix):
  rows = []
  for name, value in choices.items():
    if isinstance(value, Mapping) and "chosen" not in value:
      rows += _choices(value, f"{prefix}{name}: ")
    elif isinstance(value, Mapping):
      among = value.get("among", {})
      if isinstance(among, Mapping):
        among = ", ".join(
          f"{option} ({_plain(figure)})" for option, figure in among.items()
        )
      rows.append([prefix + str(name), _plain(value["chosen"]), _plain(among)])
    else:
      rows.append([prefix + str(name), _plain(value), "-"])
  return rows


def _settings(settings, prefix):
  rows = []
  for name, value in settings.items():
    if isinstance(value, Mapping):
      rows += _settings(value, f"{prefix}{name}.")
    else:
      rows.append([prefix + str(name), _plain(value)])
  return rows


def _plain(value):
  if isinstance(value, str):
    return value
  if isinstance(value, float):
    return f"{value:.6g}"
  return json.dumps(value, ensure_ascii=False, default=str)
