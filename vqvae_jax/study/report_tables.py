"""The tables of the report, cell by cell."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vqvae_jax.study.report_numbers import Comparison, Estimate, Row
from vqvae_jax.study.report_pages import Table

NOT_KNOWN = "n/a"


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
