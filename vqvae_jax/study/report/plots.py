"""The plots of the report as SVG: accuracy by arm, and by multiplier.

Colours come from `style`, by class, so that a drawing follows the page when it
changes between light and dark.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from vqvae_jax.study.intervals import Estimate
from vqvae_jax.study.report import svg
from vqvae_jax.study.report.blocks import Plot, escape
from vqvae_jax.study.report.numbers import KINDS, Row, find
from vqvae_jax.study.report.style import COLORS, DRAWING

_LOOKS = dict(zip(KINDS, svg.SHAPES, strict=True))
_GROUPS = {
  "baseline": "Without generated images",
  "alone": "Generated images alone",
  "real+": "Real and generated images",
  "classical+": "Real, classically augmented, and generated images",
}
_WIDE, _NARROW = 900, 340
# Values beyond Tukey's outer fences, this many quartile ranges away, do not
# widen the axis. The range counts as half a point at least, so that a few equal
# values do not exclude all others.
_FENCE = 3.0
_LEAST_RANGE = 0.5
_NOTE = (
  "The axis is cut: an arrow points to each value outside of it, and a mean "
  "outside of it is written beside its arrow."
)


class _Line(NamedTuple):
  """A line of a plot: its name, its number, and its look."""

  name: str
  accuracy: Estimate
  look: str


# Lines by the name of their group, from top to bottom.
_Groups = Mapping[str, Sequence[_Line]]
# Arms that others are compared with, and the style of their line.
_Levels = Sequence[tuple[Row, str]]


def arms_plot(rows: Sequence[Row], name: str, title: str) -> Plot | None:
  """Returns accuracy in percent by arm; None without a number to draw.

  Args:
    rows: arms of one classifier, from top to bottom.
    name: name of the file.
    title: what the plot shows.
  """
  groups = {
    label: [
      _Line(row.arm, row.accuracy, _LOOKS[kind])
      for row in rows
      if row.kind == kind and not math.isnan(row.accuracy.mean)
    ]
    for kind, label in _GROUPS.items()
  }
  return _plot(name, title, groups, _levels(rows))


def sweep_plot(rows: Sequence[Row], name: str, title: str) -> Plot | None:
  """Returns accuracy in percent by multiplier; None without a sweep.

  Args:
    rows: arms of one classifier; some have more than one multiplier.
    name: name of the file.
    title: what the plot shows.
  """
  groups = {
    curve[0].arm: [
      _Line(f"\u00d7{row.multiplier:,.4g}", row.accuracy, _LOOKS[row.kind])
      for row in curve
      if not math.isnan(row.accuracy.mean)
    ]
    for curve in sweeps(rows)
  }
  return _plot(name, title, groups, _levels(rows))


def sweeps(rows: Sequence[Row]) -> list[list[Row]]:
  """Returns the rows of each generated arm with more than one multiplier."""
  by_arm = {}
  for row in rows:
    if row.generator:
      by_arm.setdefault(row.arm, []).append(row)
  return [
    sorted(found, key=lambda row: row.multiplier)
    for found in by_arm.values()
    if len(found) > 1
  ]


def axis_range(
  estimates: Sequence[Estimate],
) -> tuple[tuple[float, float], bool]:
  """Returns the part of the axis, in percent, that most of the numbers need.

  An arm far from all others, or an interval far wider than theirs, would
  squeeze them into a corner. Therefore the axis leaves out what lies beyond
  Tukey's outer fences: lower ends that are three quartile ranges below their
  first quartile, and upper ends as far above their third.

  Args:
    estimates: means and intervals, shares.

  Returns:
    The two ends, and whether anything is left out.
  """
  low, high = (
    100
    * np.array(
      [(e.low, e.high) if e.bounded else (e.mean, e.mean) for e in estimates]
    ).T
  )
  least = low[low >= -_fence(-low)].min()
  most = high[high <= _fence(high)].max()
  cut = low.min() < least or high.max() > most
  pad = max(0.04 * (most - least), 0.05)
  return (float(max(least - pad, 0)), float(min(most + pad, 100))), bool(cut)


def _fence(values: np.ndarray) -> float:
  first, third = np.percentile(values, (25, 75))
  return third + _FENCE * max(third - first, _LEAST_RANGE)


def _plot(
  name: str, title: str, groups: _Groups, levels: _Levels
) -> Plot | None:
  groups = {label: lines for label, lines in groups.items() if lines}
  if not groups:
    return None
  drawn = [line.accuracy for lines in groups.values() for line in lines]
  # The line of a level shows its mean only.
  drawn += [row.accuracy.without_interval() for row, _ in levels]
  span, cut = axis_range(drawn)
  if cut:
    title = f"{title}. {_NOTE}"
  label = f'role="img" aria-label="{escape(title)}"'
  wide, height = _draw(groups, levels, span, _WIDE)
  narrow, narrow_height = _draw(groups, levels, span, _NARROW)
  box = f'{label} viewBox="0 0 {_WIDE} {height:.0f}"'
  narrow_box = f'{label} viewBox="0 0 {_NARROW} {narrow_height:.0f}"'
  return Plot(
    name,
    title,
    f'<svg class="wide" {box}>{wide}</svg>',
    f'<svg class="narrow" {narrow_box}>{narrow}</svg>',
    f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDE}" '
    f'height="{height:.0f}" {box}><style>{COLORS}{DRAWING}</style>'
    f'<rect width="100%" height="100%" fill="var(--page)"/>{wide}</svg>\n',
  )


def _draw(
  groups: _Groups, levels: _Levels, span: tuple[float, float], width: int
) -> tuple[str, float]:
  """Returns elements and height; on a phone a line takes two lines."""
  wide = width == _WIDE
  size, step = (14, 27) if wide else (13, 47)
  names = [line.name for lines in groups.values() for line in lines]
  longest = max(svg.text_width(name, size) for name in names)
  left, right = (min(longest + 16, 300), width - 58) if wide else (2, width - 2)
  axis = svg.Axis(*span, left + 12, right - 12)
  y, marks = 0.0, []
  for label, lines in groups.items():
    y += 28
    label = svg.fitted(label, width, size - 1)
    marks.append(svg.text(0, y - 7, label, size - 1, "soft"))
    for name, accuracy, look in lines:
      middle, base = (y + 13, y + 18) if wide else (y + 28, y + 15)
      name = svg.fitted(name, left - 10 if wide else width - 60, size)
      value = f"{100 * accuracy.mean:.2f}"
      marks += [
        svg.text(0, base, name, size),
        svg.text(width, base, value, size, "strong", "end"),
        f'<g class="{look}">',
        svg.mark(accuracy, axis, middle, look, size - 1),
        "</g>",
      ]
      y += step
  return _grid(levels, axis, y + 4, size - 1) + "".join(marks), y + 48


def _grid(levels: _Levels, axis: svg.Axis, bottom: float, size: int) -> str:
  """Returns the ticks, the lines of levels, and the name of the axis."""
  parts = []
  for tick in axis.ticks(9 if axis.end > _NARROW else 6):
    x = axis(tick)
    parts += [
      svg.line(x, 28, x, bottom, "tick"),
      svg.text(x, bottom + 17, f"{tick:g}", size, "soft", "middle"),
    ]
  for row, style in levels:
    if 100 * row.accuracy.mean in axis:
      x = axis(100 * row.accuracy.mean)
      parts.append(svg.line(x, 28, x, bottom, f"reference {style}"))
  words = {"dash": "dashed", "dot": "dotted"}
  named = ", ".join(f"{words[style]}: {row.arm}" for row, style in levels)
  label = f"accuracy, % ({named})" if named else "accuracy, %"
  middle = (axis.start + axis.end) / 2
  parts.append(svg.text(middle, bottom + 37, label, size, "soft", "middle"))
  return "".join(parts)


def _levels(rows: Sequence[Row]) -> _Levels:
  found = {
    style: find(rows, arm, rows[0].classifier)
    for arm, style in (("real", "dash"), ("classical", "dot"))
    if rows
  }
  return [
    (row, style)
    for style, row in found.items()
    if row and not math.isnan(row.accuracy.mean)
  ]
