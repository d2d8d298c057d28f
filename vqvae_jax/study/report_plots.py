"""The plots of the report: arms side by side, accuracy against multiplier.

Colours are those of Okabe and Ito (2008), which colour-blind readers tell
apart; shapes tell the same.
"""

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from vqvae_jax.study.report_numbers import KINDS, Row, find, kind

BLUE, RED, GREEN, PINK = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
ORANGE, SKY, BLACK = "#e69f00", "#56b4e9", "#000000"
COLORS = (BLUE, RED, GREEN, PINK, ORANGE, SKY, BLACK)
MARKERS = "osD^v"
LOOKS = dict(
  zip(
    KINDS, ((BLACK, "s"), (ORANGE, "D"), (BLUE, "o"), (GREEN, "^")), strict=True
  )
)
LEGEND = ("no generated images", "generated alone", "real +", "classical +")
WIDTH = 9.0
DPI = 100


def arms_plot(rows: Sequence[Row]) -> bytes:
  """PNG of accuracy in percent by arm, with intervals where there are any.

  Args:
    rows: of one judge, from top to bottom.
  """
  figure = Figure((WIDTH, 1.6 + 0.3 * len(rows)), DPI, layout="constrained")
  axes = figure.add_subplot()
  labelled = dict(zip(KINDS, LEGEND, strict=True))
  for place, row in enumerate(rows):
    color, marker = LOOKS[kind(row.arm)]
    mean, below, above = _bars([row])
    axes.errorbar(
      mean,
      [place],
      xerr=[below, above],
      color=color,
      marker=marker,
      capsize=3,
      linestyle="none",
      label=labelled.pop(kind(row.arm), None),
    )
    if row.arm in ("real", "classical"):
      axes.axvline(mean[0], color="#999999", linewidth=1, zorder=0)
  axes.set_yticks(range(len(rows)), [row.arm for row in rows], parse_math=False)
  axes.set_ylim(len(rows) - 0.4, -0.6)
  left, right = axes.get_xlim()
  # Of few seeds, intervals go beyond what an accuracy can be.
  axes.set_xlim(max(left, -1), min(right, 101))
  axes.set_xlabel("accuracy, % (grey lines: real, classical)")
  axes.grid(axis="x", color="#e5e5e5")
  axes.set_axisbelow(True)
  figure.legend(loc="outside upper center", ncols=4, frameon=False)
  return _png(figure)


def sweep_plot(rows: Sequence[Row]) -> bytes:
  """PNG of accuracy in percent against generated images over real ones.

  Args:
    rows: of one judge; some arm has more than one multiplier.
  """
  series = sweeps(rows)
  figure = Figure((WIDTH, 4.5), DPI, layout="constrained")
  axes = figure.add_subplot()
  for number, of_arm in enumerate(series):
    mean, below, above = _bars(of_arm)
    # Side by side, so that no interval hides another.
    shift = 1.03 ** (number - (len(series) - 1) / 2)
    axes.errorbar(
      [row.multiplier * shift for row in of_arm],
      mean,
      yerr=[below, above],
      color=COLORS[number % len(COLORS)],
      marker=MARKERS[number % len(MARKERS)],
      capsize=3,
      label=of_arm[0].arm,
    )
  for arm, style in (("real", "--"), ("classical", ":")):
    row = find(rows, arm, rows[0].judge)
    if row:
      level = 100 * row.accuracy.mean
      axes.axhline(level, color="#777777", linestyle=style, label=arm, zorder=0)
  low, high = axes.get_ylim()
  axes.set_ylim(max(low, -1), min(high, 101))
  axes.set_xscale("log")
  ticks = sorted({row.multiplier for of_arm in series for row in of_arm})
  axes.set_xticks(ticks, [f"x{tick:g}" for tick in ticks])
  axes.set_xticks([], minor=True)
  axes.set_xlabel("generated images over real ones")
  axes.set_ylabel("accuracy, %")
  axes.grid(axis="y", color="#e5e5e5")
  axes.set_axisbelow(True)
  legend = figure.legend(loc="outside right upper", frameon=False)
  for text in legend.get_texts():
    text.set_parse_math(False)
  return _png(figure)


def sweeps(rows: Sequence[Row]) -> list[list[Row]]:
  """The rows of each arm of a generator that has more than one multiplier."""
  of_arm = {}
  for row in rows:
    if row.generator:
      of_arm.setdefault(row.arm, []).append(row)
  return [
    sorted(rows, key=lambda row: row.multiplier)
    for rows in of_arm.values()
    if len(rows) > 1
  ]


def _bars(rows):
  """Means and how far the intervals go below and above, all in percent."""
  mean, low, high = (
    100
    * np.array(
      [(row.accuracy.mean, row.accuracy.low, row.accuracy.high) for row in rows]
    ).T
  )
  return mean, np.nan_to_num(mean - low), np.nan_to_num(high - mean)


def _png(figure):
  buffer = io.BytesIO()
  figure.savefig(buffer, format="png")
  return buffer.getvalue()
