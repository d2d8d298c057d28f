"""The tables of the report, cell by cell."""

import datetime
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vqvae_jax.study.intervals import Estimate
from vqvae_jax.study.report_numbers import Row
from vqvae_jax.study.report_pages import Table

NOT_KNOWN = "n/a"
NONE = "-"
# Of a table that fits on a page.
MOST_COLUMNS = 7


def arms_tables(
  rows: Sequence[Row], class_names: Sequence[str]
) -> tuple[Table, Table | None]:
  """The numbers of the arms of one classifier.

  Columns that say the same of every arm, or repeat another one, are left out.

  Returns:
    The main table, and one with the columns that it has no room for.
  """
  columns = {
    "arm": [row.arm for row in rows],
    "multiplier": [_multiplier(row) for row in rows],
    "verdict": [_verdict(row.comparison) for row in rows],
    "difference, points": [_difference(row) for row in rows],
    "accuracy, %": [_interval(row.accuracy, ".2f") for row in rows],
    "balanced, %": [_interval(row.balanced_accuracy, ".2f") for row in rows],
    "p": [_p_value(row.comparison) for row in rows],
    "seeds": [str(row.accuracy.seeds) for row in rows],
    "worst class, recall %": [_worst(row, class_names) for row in rows],
    "AUROC": [_auroc(row) for row in rows],
  }
  if columns["balanced, %"] == columns["accuracy, %"]:
    del columns["balanced, %"]
  sizes = {row.multiplier for row in rows if row.multiplier}
  for name, same in (
    ("multiplier", len(sizes) < 2),
    ("seeds", len(set(columns["seeds"])) < 2),
  ):
    if same:
      del columns[name]
  empty = {NONE, NOT_KNOWN}
  columns = {k: v for k, v in columns.items() if not set(v) <= empty}
  names = list(columns)
  main, rest = names[:MOST_COLUMNS], names[MOST_COLUMNS:]
  if not rest:
    return _of_columns(columns, main), None
  keys = [name for name in ("arm", "multiplier") if name in columns]
  return _of_columns(columns, main), _of_columns(columns, [*keys, *rest])


def recall_tables(
  rows: Sequence[Row], class_names: Sequence[str]
) -> list[Table]:
  """Recall in percent, mean over seeds: a row for each class.

  One table for each generator, its arms beside those without generated
  images.
  """
  plain = [row for row in rows if not row.generator]
  tables = []
  for generator in dict.fromkeys(r.generator for r in rows if r.generator) or [
    ""
  ]:
    shown = plain + [r for r in rows if generator and r.generator == generator]
    cells = [
      [number(100 * row.recall[k], 1) for row in shown]
      for k in range(len(class_names))
    ]
    tables.append(
      Table(
        ["class", *(row.arm for row in shown)],
        [[n, *line] for n, line in zip(class_names, cells, strict=True)],
      )
    )
  return tables


def seconds_table(
  rows: Sequence[Row], gates: Sequence[Mapping[str, Any]]
) -> Table:
  """What each arm took, for each classifier, and what comparing sets took."""
  cells = [
    [
      row.arm,
      _multiplier(row),
      row.judge,
      str(len(row.seconds)),
      f"{np.mean(row.seconds):,.0f}",
      f"{sum(row.seconds):,.0f}",
    ]
    for row in rows
  ]
  for generator in dict.fromkeys(gate["generator"] for gate in gates):
    took = [g["seconds"] for g in gates if g["generator"] == generator]
    cells.append(
      [
        f"quality checks of {generator}",
        NONE,
        NONE,
        str(len(took)),
        f"{np.mean(took):,.0f}",
        f"{sum(took):,.0f}",
      ]
    )
  return Table(
    [
      "arm",
      "multiplier",
      "classifier",
      "runs",
      "seconds per run",
      "seconds in all",
    ],
    cells,
  )


def choices_table(choices: Mapping[str, Any]) -> Table:
  """What was chosen, and among what."""
  return Table(["choice", "chosen", "among (figure)"], _choices(choices, ""))


def settings_table(settings: Mapping[str, Any]) -> Table:
  """All settings, those of parts with the part's name before a dot."""
  return Table(["setting", "value"], _settings(settings, ""))


def number(value: float | None, digits: int) -> str:
  """Rounded; n/a for what is not known."""
  if value is None or math.isnan(value):
    return NOT_KNOWN
  return f"{value:.{digits}f}"


def readable_time(text: str) -> str:
  """A date as people write it; other text as it is."""
  try:
    time = datetime.datetime.fromisoformat(text)
  except ValueError:
    return text
  zone = " UTC" if time.utcoffset() == datetime.timedelta(0) else ""
  return f"{time.day} {time:%B %Y, %H:%M}{zone}"


def _of_columns(columns, names):
  cells = zip(*(columns[name] for name in names), strict=True)
  return Table(names, [list(row) for row in cells])


def _verdict(compared):
  if compared is None:
    return NONE
  word = compared.verdict
  primary = " (primary)" if compared.primary else ""
  if word.startswith("no gain"):
    rest = word.removeprefix("no gain")
    return f"no gain over {compared.reference}{rest}{primary}"
  if word == "gain":
    return f"gain over {compared.reference}{primary}"
  if word.startswith("loss"):
    rest = word.removeprefix("loss")
    return f"loss against {compared.reference}{rest}{primary}"
  return f"against {compared.reference}: {word}{primary}"


def _difference(row):
  if row.comparison is None:
    return NONE
  found = row.comparison.difference
  return _interval(found, "+.2f") + _of_seeds(found, row)


def _auroc(row):
  return _interval(row.auroc, ".4f", scale=1) + _of_seeds(row.auroc, row)


def _of_seeds(estimate, row):
  """Says so, where a figure is not of all seeds of its arm."""
  if 0 < estimate.seeds < row.accuracy.seeds:
    return f" ({estimate.seeds} of {row.accuracy.seeds} seeds)"
  return ""


def _worst(row, class_names):
  if np.isnan(row.recall).all():
    return NOT_KNOWN
  k = int(np.nanargmin(row.recall))
  return f"{class_names[k]}: {number(100 * row.recall[k], 1)}"


def _interval(estimate: Estimate, form, scale=100):
  if math.isnan(estimate.mean):
    return NOT_KNOWN
  mean, low, high = (
    format(scale * value, form)
    for value in (estimate.mean, estimate.low, estimate.high)
  )
  return f"{mean} [{low}, {high}]" if estimate.bounded else mean


def _p_value(compared):
  if compared is None:
    return NONE
  p = compared.adjusted
  if compared.primary:
    p = compared.difference.p_value
  if math.isnan(p):
    return NOT_KNOWN
  return "<0.001" if p < 0.001 else f"{p:.3f}"


def _multiplier(row):
  return f"\u00d7{row.multiplier:,.4g}" if row.multiplier else NONE


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
      rows.append([prefix + str(name), _plain(value), NONE])
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
