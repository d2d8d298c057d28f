"""The plots of the report as SVG: arms side by side, accuracy against size.

Colours come from `report_style`, by class, so that a drawing follows the page
from day to night.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from vqvae_jax.study.intervals import Estimate
from vqvae_jax.study.report_numbers import KINDS, Row, find, kind
from vqvae_jax.study.report_pages import Plot, escape
from vqvae_jax.study.report_style import COLORS, DRAWING
from vqvae_jax.study.report_svg import (
  SHAPES,
  fitted,
  horizontal,
  line,
  path,
  scale,
  text,
  text_width,
  ticks,
)

LOOKS = dict(zip(KINDS, SHAPES, strict=True))
GROUPS = dict(
  zip(
    KINDS,
    (
      "Without generated images",
      "Generated images alone",
      "Real and generated images",
      "Real, classically augmented, and generated images",
    ),
    strict=True,
  )
)
WIDE, NARROW = 900, 340
# Values further out than this many quartile ranges do not rule the axis:
# Tukey's outer fences. The range counts as half a point at least, so that
# equal values do not banish others.
FENCE = 3.0
LEAST_RANGE = 0.5
NOTE = (
  "The axis is cut: arrows point to what lies outside, with the mean beside "
  "them if it does."
)


def arms_plot(rows: Sequence[Row], name: str, title: str) -> Plot | None:
  """Accuracy in percent by arm; None if there is no number to draw.

  Args:
    rows: arms of one classifier, from top to bottom.
    name: of the file.
    title: what the plot shows.
  """
  rows = [row for row in rows if not math.isnan(row.accuracy.mean)]
  if not rows:
    return None
  span, cut = axis_range([row.accuracy for row in rows])
  return _plot(name, title, cut, lambda width: _arms(rows, span, width))


def sweep_plot(rows: Sequence[Row], name: str, title: str) -> Plot | None:
  """Accuracy in percent against generated images over real ones.

  Args:
    rows: arms of one classifier; some have more than one multiplier.
    name: of the file.
    title: what the plot shows.
  """
  rows = [row for row in rows if not math.isnan(row.accuracy.mean)]
  series = sweeps(rows)
  if not series:
    return None
  levels = _references(rows)
  drawn = [row.accuracy for of_arm in series for row in of_arm]
  # Only the means of these are drawn.
  drawn += [row.accuracy.without_interval() for row, _ in levels]
  span, cut = axis_range(drawn)
  return _plot(
    name, title, cut, lambda width: _sweep(series, levels, span, width)
  )


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


def axis_range(
  estimates: Sequence[Estimate],
) -> tuple[tuple[float, float], bool]:
  """The part of the axis, in percent, that most of the numbers need.

  An arm far from all others, or an interval far wider than theirs, would
  squeeze them into a corner. What lies beyond Tukey's outer fences is left
  out: of lower ends, three quartile ranges below their first quartile, of
  upper ends, as much above their third.

  Args:
    estimates: means and intervals, shares.

  Returns:
    The two ends, and whether anything is left out.
  """
  mean, low, high = (
    100
    * np.array(
      [
        (e.mean, e.low, e.high) if e.bounded else (e.mean, e.mean, e.mean)
        for e in estimates
      ]
    ).T
  )
  least = low[low >= -_fence(-low)].min()
  most = high[high <= _fence(high)].max()
  cut = low.min() < least or high.max() > most
  pad = max(0.04 * (most - least), 0.05)
  return (max(least - pad, 0.0), min(most + pad, 100.0)), bool(cut)


def _fence(values):
  first, third = np.percentile(values, (25, 75))
  return third + FENCE * max(third - first, LEAST_RANGE)


def _plot(name, title, cut, draw: Callable[[int], tuple[str, float]]) -> Plot:
  title += f". {NOTE}" if cut else ""
  wide, height = draw(WIDE)
  narrow, narrow_height = draw(NARROW)
  label = f'role="img" aria-label="{escape(title)}"'
  box = f'{label} viewBox="0 0 {WIDE} {height:.0f}"'
  return Plot(
    name,
    title,
    f'<svg class="wide" {box}>{wide}</svg>',
    f'<svg class="narrow" {label} '
    f'viewBox="0 0 {NARROW} {narrow_height:.0f}">{narrow}</svg>',
    f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDE}" '
    f'height="{height:.0f}" {box}><style>{COLORS}{DRAWING}</style>'
    f'<rect width="100%" height="100%" fill="var(--page)"/>{wide}</svg>\n',
  )


def _arms(rows, span, width):
  """Elements and the height: a line for each arm, on a phone two."""
  wide = width == WIDE
  size, step = (14, 27) if wide else (13, 47)
  names = max(text_width(row.arm, size) for row in rows)
  left = min(names + 16, 300) if wide else 2
  right = width - 58 if wide else width - 2
  across = scale(span, left + 12, right - 12)
  top, marks = 0.0, []
  for group, label in GROUPS.items():
    of_group = [row for row in rows if kind(row.arm) == group]
    if of_group:
      top += 28
      marks.append(text(0, top - 7, label, size - 1, "soft"))
    for row in of_group:
      middle, base = (top + 13, top + 18) if wide else (top + 28, top + 15)
      room = left - 10 if wide else width - 60
      value = f"{100 * row.accuracy.mean:.2f}"
      look = LOOKS[group]
      marks += [
        text(0, base, fitted(row.arm, room, size), size),
        text(width, base, value, size, "strong", "end"),
        f'<g class="{look}">',
        horizontal(row.accuracy, span, across, middle, look, size - 1),
        "</g>",
      ]
      top += step
  bottom, grid = top + 4, []
  for tick in ticks(span, 9 if wide else 6):
    grid += [
      line(across(tick), 28, across(tick), bottom, "tick"),
      text(across(tick), bottom + 17, f"{tick:g}", size - 1, "soft", "middle"),
    ]
  references = _references(rows)
  for row, style in references:
    level = 100 * row.accuracy.mean
    if span[0] <= level <= span[1]:
      place = across(level)
      grid.append(line(place, 28, place, bottom, f"reference {style}"))
  lines = ", ".join(
    f"{'dashed' if style == 'dash' else 'dotted'}: {row.arm}"
    for row, style in references
  )
  label = "accuracy, %" + (f" ({lines})" if lines else "")
  middle = (left + right) / 2
  marks.append(text(middle, bottom + 37, label, size - 1, "soft", "middle"))
  return "".join(grid + marks), bottom + 44


def _sweep(series, levels, span, width):
  """Elements and the height: a curve for each arm, names below."""
  size = 14 if width == WIDE else 13
  left, right, top, bottom = 46, width - 12, 12, 300
  up = scale(span, bottom - 12, top + 12)
  sizes = sorted({row.multiplier for of_arm in series for row in of_arm})
  logs = [math.log(value) for value in sizes]
  across = scale((logs[0], logs[-1] + 1e-9), left + 24, right - 24)
  parts = [text(0, top, "accuracy, %", size - 1, "soft")]
  for tick in ticks(span, 7):
    parts += [
      line(left, up(tick), right, up(tick), "tick"),
      text(left - 8, up(tick) + 5, f"{tick:g}", size - 1, "soft", "end"),
    ]
  last = -math.inf
  for value in sizes:
    place, label = across(math.log(value)), f"\u00d7{value:.4g}"
    # Names of multipliers close to each other would overlap.
    if place - last >= text_width(label, size) + 4:
      parts.append(text(place, bottom + 18, label, size - 1, "soft", "middle"))
      last = place
  label = "generated images per real image"
  middle = (left + right) / 2
  parts.append(text(middle, bottom + 37, label, size - 1, "soft", "middle"))
  label_y = bottom + 62
  for row, style in levels:
    level = 100 * row.accuracy.mean
    if span[0] <= level <= span[1]:
      parts.append(
        line(left, up(level), right, up(level), f"reference {style}")
      )
    look = f"reference {style}"
    parts += _entry(line(4, 0, 30, 0, look), row.arm, label_y, width, size)
    label_y += 22
  for number, of_arm in enumerate(series):
    look = LOOKS[kind(of_arm[0].arm)]
    # Side by side, so that no interval hides another.
    shift = 6 * (number - (len(series) - 1) / 2)
    spots = [
      (across(math.log(row.multiplier)) + shift, row.accuracy) for row in of_arm
    ]
    parts += [
      f'<g class="{look}">',
      _curve(spots, span, up, look, size),
      "</g>",
    ]
    sign = line(4, 0, 30, 0, "bar") + path(SHAPES[look], "mark", 17)
    parts += _entry(
      f'<g class="{look}">{sign}</g>', of_arm[0].arm, label_y, width, size
    )
    label_y += 22
  return "".join(parts), label_y


def _entry(sign, name, y, width, size):
  """A line of the legend."""
  return [
    f'<g transform="translate(40 {y - 5:.1f})">{sign}</g>',
    text(82, y, fitted(name, width - 90, size), size),
  ]


def _curve(spots, span, up, look, size):
  """Means joined by a line, each drawn as on the other plot, but upright."""
  inside = [
    f"{x:.1f} {up(100 * e.mean):.1f}"
    for x, e in spots
    if span[0] <= 100 * e.mean <= span[1]
  ]
  parts = [path("M" + "L".join(inside), "bar series")] if inside else []
  for x, estimate in spots:
    # Turned by a quarter, the axis that goes right goes up.
    mark = horizontal(
      estimate, span, lambda value: -up(value), 0, look, size - 1, 90
    )
    parts.append(f'<g transform="translate({x:.1f} 0) rotate(-90)">{mark}</g>')
  return "".join(parts)


def _references(rows):
  """The arms that others are compared with, and the style of their lines."""
  styles = (("real", "dash"), ("classical", "dot"))
  found = ((find(rows, arm, rows[0].judge), style) for arm, style in styles)
  return [(row, style) for row, style in found if row]
