"""Elements of SVG, and how much room they need."""

import math
import unicodedata
from collections.abc import Callable

from vqvae_jax.study.intervals import Estimate
from vqvae_jax.study.report_pages import clean, escape

# Paths around the origin, by class of `report_style`.
SHAPES = {
  "baseline": "M-5 -5H5V5H-5Z",
  "alone": "M0 -7L7 0L0 7L-7 0Z",
  "real": "M-5.5 0a5.5 5.5 0 1 0 11 0a5.5 5.5 0 1 0 -11 0Z",
  "classical": "M0 -6.5L6.5 5.5H-6.5Z",
}


def text(
  x: float, y: float, content: str, size: float, look: str = "", end="start"
) -> str:
  """Text on the line y that starts, ends or has its middle at x."""
  return (
    f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" class="{look}" '
    f'text-anchor="{end}">{escape(content)}</text>'
  )


def line(x1: float, y1: float, x2: float, y2: float, look: str) -> str:
  """A straight line."""
  return (
    f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
    f'class="{look}"/>'
  )


def path(
  points: str, look: str, x: float = 0.0, y: float = 0.0, turn: float = 0.0
) -> str:
  """A path around (x, y), turned by so many degrees."""
  place = f"translate({x:.1f} {y:.1f})" + (f" rotate({turn:g})" if turn else "")
  return f'<path d="{points}" class="{look}" transform="{place}"/>'


def scale(
  span: tuple[float, float], start: float, end: float
) -> Callable[[float], float]:
  """The map of an axis to pixels."""
  low, high = span
  return lambda value: start + (value - low) / (high - low) * (end - start)


def ticks(span: tuple[float, float], most: int) -> list[float]:
  """Round numbers within a span, `most` of them or fewer."""
  low, high = span
  power = 10.0 ** math.floor(math.log10((high - low) / most))
  for factor in (1, 2, 5, 10):
    step = factor * power
    first = math.ceil(low / step - 1e-9)
    count = math.floor(high / step + 1e-9) - first + 1
    if count <= most:
      break
  # Rounded, because 3 x 0.1 is not 0.3.
  return [round((first + i) * step, 9) for i in range(count)]


def horizontal(
  estimate: Estimate,
  span: tuple[float, float],
  across: Callable[[float], float],
  y: float,
  look: str,
  size: float,
  turn: float = 0.0,
) -> str:
  """A mean and its interval on a horizontal axis, in percent.

  What lies beyond the span is cut, and an arrow points to it; where that is
  the mean, its value stands at the arrow. The mark of the mean is turned by
  `turn` degrees.
  """
  low, high = span
  mean = 100 * estimate.mean
  start, end = across(low), across(high)
  if not low <= mean <= high:
    left = mean < low
    tip, back = (start - 8, start + 14) if left else (end + 8, end - 14)
    head = f"M{tip:.1f} {y:.1f}l{9 if left else -9} -6v12Z"
    beside, anchor = (back + 6, "start") if left else (back - 6, "end")
    return (
      line(tip, y, back, y, "bar")
      + path(head, "mark")
      + text(beside, y + 5, f"{mean:.2f}", size, "strong", anchor)
    )
  parts = []
  if estimate.bounded:
    ends = 100 * estimate.low, 100 * estimate.high
    a, b = across(max(ends[0], low)), across(min(ends[1], high))
    parts.append(line(a, y, b, y, "bar"))
    for place, inside, way in (
      (a, ends[0] >= low, 1),
      (b, ends[1] <= high, -1),
    ):
      parts.append(
        line(place, y - 4, place, y + 4, "bar")
        if inside
        else path(f"M{7 * way} -5L0 0L{7 * way} 5", "bar", place, y)
      )
  return "".join(parts) + path(SHAPES[look], "mark", across(mean), y, turn)


def text_width(content: str, size: float) -> float:
  """Pixels that a text takes at most in the usual fonts."""
  return size * sum(map(_em, content))


def fitted(content: str, width: float, size: float) -> str:
  """The text, or as much of its start as fits."""
  content = clean(content)
  if text_width(content, size) <= width:
    return content
  while content and text_width(content + "\u2026", size) > width:
    content = content[:-1]
  return content + "\u2026"


def _em(character):
  if unicodedata.east_asian_width(character) in "WF":
    return 1.05
  if character in "ijlftrI.,:;|'!()[] ":
    return 0.42
  return 1.0 if character in "mwMW@%\u2026" or not character.isascii() else 0.66
