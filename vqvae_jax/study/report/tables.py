"""The tables of the report about arms, choices, settings and time."""

import datetime
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from vqvae_jax.study.intervals import Estimate
from vqvae_jax.study.report.blocks import Table
from vqvae_jax.study.report.numbers import Comparison, Row

NOT_KNOWN = "n/a"
NONE = "-"
# A table with more columns does not fit on a page.
_MOST_COLUMNS = 7


def arms_tables(
  rows: Sequence[Row], class_names: Sequence[str]
) -> tuple[Table, Table | None]:
  """Returns the numbers of the arms of one classifier.

  Columns that are the same for every arm, or repeat another column, are left
  out.

  Returns:
    The main table, and a table with the columns that do not fit into it.
  """
  columns = {
    "arm": [row.arm for row in rows],
    "multiplier": [_multiplier(row) for row in rows],
    "verdict": [_verdict(row.comparison) for row in rows],
    "difference, points": [_difference(row) for row in rows],
    "accuracy, %": [_interval(row.accuracy, ".2f") for row in rows],
    "balanced accuracy, %": [
      _interval(row.balanced_accuracy, ".2f") for row in rows
    ],
    "p-value": [_p_value(row.comparison) for row in rows],
    "seeds": [str(row.accuracy.seeds) for row in rows],
    "worst class, recall %": [_worst(row, class_names) for row in rows],
    "AUROC": [
      _interval(row.auroc, ".4f", scale=1) + _some_seeds(row.auroc, row)
      for row in rows
    ],
  }
  same = {
    "balanced accuracy, %": columns["balanced accuracy, %"]
    == columns["accuracy, %"],
    "multiplier": len({row.multiplier for row in rows if row.multiplier}) < 2,
    "seeds": len(set(columns["seeds"])) < 2,
  }
  columns = {
    name: cells
    for name, cells in columns.items()
    if not same.get(name) and not set(cells) <= {NONE, NOT_KNOWN}
  }
  main = dict(list(columns.items())[:_MOST_COLUMNS])
  rest = {
    name: cells
    for name, cells in columns.items()
    if name in ("arm", "multiplier") or name not in main
  }
  further = Table.of_columns(rest) if rest.keys() - main.keys() else None
  return Table.of_columns(main), further


def recall_tables(
  rows: Sequence[Row], class_names: Sequence[str]
) -> list[Table]:
  """Returns the recall of each class in percent, as a mean over seeds.

  Each generator has a table, in which its arms stand beside the arms without
  generated images.
  """
  plain = [row for row in rows if not row.generator]
  generators = dict.fromkeys(row.generator for row in rows if row.generator)
  tables = []
  for generator in generators or [None]:
    shown = plain + [row for row in rows if row.generator == generator]
    columns = {"class": list(class_names)} | {
      row.arm: [number(100 * share, 1) for share in row.recall] for row in shown
    }
    tables.append(Table.of_columns(columns))
  return tables


def seconds_table(
  rows: Sequence[Row], checks: Sequence[Mapping[str, Any]]
) -> Table:
  """Returns the seconds of each arm and classifier, and of quality checks."""
  taken = [
    (row.arm, _multiplier(row), row.classifier, row.seconds) for row in rows
  ]
  for generator in dict.fromkeys(check["generator"] for check in checks):
    seconds = [c["seconds"] for c in checks if c["generator"] == generator]
    taken.append((f"quality checks of {generator}", NONE, NONE, seconds))
  header = ["arm", "multiplier", "classifier", "runs", "seconds per run"]
  return Table(
    [*header, "seconds in all"],
    [
      [*names, str(len(s)), f"{np.mean(s):,.0f}", f"{sum(s):,.0f}"]
      for *names, s in taken
    ],
  )


def choices_table(choices: Mapping[str, Any]) -> Table:
  """Returns what was chosen, and the options with their figures."""
  rows = []
  for name, choice in _flat(choices, ": ", lambda value: "chosen" in value):
    if isinstance(choice, Mapping):
      options = choice.get("among", {})
      if isinstance(options, Mapping):
        options = [f"{k} ({_plain(figure)})" for k, figure in options.items()]
      rows.append([name, _plain(choice["chosen"]), _plain(options)])
    else:
      rows.append([name, _plain(choice), NONE])
  return Table(["choice", "chosen", "options (figure)"], rows)


def settings_table(settings: Mapping[str, Any]) -> Table:
  """Returns all settings; names of nested settings are joined by dots."""
  flat = _flat(settings, ".", lambda value: False)
  return Table(["setting", "value"], [[k, _plain(v)] for k, v in flat])


def number(value: float | None, digits: int) -> str:
  """Returns a rounded number; `n/a` if it is not known."""
  if value is None or math.isnan(value):
    return NOT_KNOWN
  return f"{value:.{digits}f}"


def readable_time(text: str) -> str:
  """Returns a date as people write it; other text stays as it is."""
  try:
    time = datetime.datetime.fromisoformat(text)
  except ValueError:
    return text
  zone = " UTC" if time.utcoffset() == datetime.timedelta(0) else ""
  return f"{time.day} {time:%B %Y, %H:%M}{zone}"


def _verdict(comparison: Comparison | None) -> str:
  if comparison is None:
    return NONE
  return comparison.verdict + (" (primary)" if comparison.primary else "")


def _difference(row: Row) -> str:
  if row.comparison is None:
    return NONE
  difference = row.comparison.difference
  return _interval(difference, "+.2f") + _some_seeds(difference, row)


def _some_seeds(estimate: Estimate, row: Row) -> str:
  """Returns the number of seeds, if they are not all seeds of the arm."""
  if 0 < estimate.seeds < row.accuracy.seeds:
    return f" ({estimate.seeds} of {row.accuracy.seeds} seeds)"
  return ""


def _worst(row: Row, class_names: Sequence[str]) -> str:
  if np.isnan(row.recall).all():
    return NOT_KNOWN
  k = int(np.nanargmin(row.recall))
  return f"{class_names[k]}: {number(100 * row.recall[k], 1)}"


def _interval(estimate: Estimate, form: str, scale: int = 100) -> str:
  if math.isnan(estimate.mean):
    return NOT_KNOWN
  mean, low, high = (
    format(scale * value, form)
    for value in (estimate.mean, estimate.low, estimate.high)
  )
  return f"{mean} [{low}, {high}]" if estimate.bounded else mean


def _p_value(comparison: Comparison | None) -> str:
  if comparison is None:
    return NONE
  p = comparison.adjusted
  if comparison.primary:
    p = comparison.difference.p_value
  if math.isnan(p):
    return NOT_KNOWN
  return "<0.001" if p < 0.001 else f"{p:.3f}"


def _multiplier(row: Row) -> str:
  return f"\u00d7{row.multiplier:,.4g}" if row.multiplier else NONE


def _flat(
  values: Mapping[str, Any],
  separator: str,
  is_leaf: Callable[[Mapping[str, Any]], bool],
  prefix: str = "",
) -> Iterator[tuple[str, Any]]:
  """Yields nested values with their joined names."""
  for name, value in values.items():
    if isinstance(value, Mapping) and not is_leaf(value):
      yield from _flat(value, separator, is_leaf, f"{prefix}{name}{separator}")
    else:
      yield f"{prefix}{name}", value


def _plain(value: Any) -> str:
  match value:
    case str():
      return readable_time(value)
    case None:
      return "not set"
    case bool():
      return "yes" if value else "no"
    case int():
      return f"{value:,}"
    case float():
      return f"{value:.6g}"
    case list() | tuple():
      return ", ".join(map(_plain, value)) or "none"
  return json.dumps(value, ensure_ascii=False, default=str)
