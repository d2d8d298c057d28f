"""Elements of SVG drawings, and how much room they need."""

import dataclasses
import math
import unicodedata
from typing import Literal

from vqvae_jax.study.intervals import Estimate
from vqvae_jax.study.report.blocks import clean, escape

Number = int | float
# Paths around the origin, by the class that `style` gives a colour.
SHAPES = {
  "baseline": "M-5 -5H5V5H-5Z",
  "alone": "M0 -7L7 0L0 7L-7 0Z",
  "real": "M-5.5 0a5.5 5.5 0 1 0 11 0a5.5 5.5 0 1 0 -11 0Z",
  "classical": "M0 -6.5L6.5 5.5H-6.5Z",
}


@dataclasses.dataclass(frozen=True)
class Axis:
  """The map from values between `low` and `high` to pixels.

  Attributes:
    low: the least value.
    high: the greatest value.
    start: pixel of the least value.
    end: pixel of the greatest value.
  """

  low: Number
  high: Number
  start: Number
  end: Number

  def __call__(self, value: Number) -> float:
    """Returns the pixel of a value."""
    share = (value - self.low) / (self.high - self.low)
    return self.start + share * (self.end - self.start)

  def __contains__(self, value: Number) -> bool:
    return self.low <= value <= self.high

  def ticks(self, most: int) -> list[float]:
    """Returns round values on the axis, `most` of them or fewer."""
    power = 10.0 ** math.floor(math.log10((self.high - self.low) / most))
    for factor in (1, 2, 5, 10):
      step = factor * power
      first = math.ceil(self.low / step - 1e-9)
      count = math.floor(self.high / step + 1e-9) - first + 1
      if count <= most:
        break
    # They are rounded, because 3 x 0.1 is not 0.3.
    return [round((first + i) * step, 9) for i in range(count)]


def text(
  x: Number,
  y: Number,
  content: str,
  size: Number,
  look: str = "",
  anchor: Literal["start", "middle", "end"] = "start",
) -> str:
  """Returns text on the line y that starts, ends or has its middle at x."""
  return (
    f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" class="{look}" '
    f'text-anchor="{anchor}">{escape(content)}</text>'
  )


def line(x1: Number, y1: Number, x2: Number, y2: Number, look: str) -> str:
  """Returns a straight line."""
  return (
    f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
    f'class="{look}"/>'
  )


def path(points: str, look: str, x: Number = 0.0, y: Number = 0.0) -> str:
  """Returns a path around (x, y)."""
  moved = f"translate({x:.1f} {y:.1f})"
  return f'<path d="{points}" class="{look}" transform="{moved}"/>'


def mark(
  estimate: Estimate, axis: Axis, y: Number, look: str, size: Number
) -> str:
  """Returns a mean and its interval, in percent, on a horizontal axis.

  What lies beyond the axis is cut, and an arrow points to it. If the mean lies
  beyond, its value stands beside the arrow.

  Args:
    estimate: the mean and its interval, shares.
    axis: the axis.
    y: line of the drawing.
    look: which of `SHAPES` marks the mean.
    size: font size of the value.
  """
  mean = 100 * estimate.mean
  if mean not in axis:
    return _beyond(mean, axis, y, size)
  parts = []
  if estimate.bounded:
    low, high = 100 * estimate.low, 100 * estimate.high
    a, b = axis(max(low, axis.low)), axis(min(high, axis.high))
    parts.append(line(a, y, b, y, "bar"))
    for x, inside, way in ((a, low in axis, 1), (b, high in axis, -1)):
      parts.append(
        line(x, y - 4, x, y + 4, "bar")
        if inside
        else path(f"M{7 * way} -5L0 0L{7 * way} 5", "bar", x, y)
      )
  return "".join(parts) + path(SHAPES[look], "mark", axis(mean), y)


def _beyond(mean: Number, axis: Axis, y: Number, size: Number) -> str:
  """Returns an arrow to a mean that is not on the axis, and its value."""
  if mean < axis.low:
    tip, way, anchor = axis.start - 8, 1, "start"
  else:
    tip, way, anchor = axis.end + 8, -1, "end"
  back = tip + 22 * way
  return (
    line(tip, y, back, y, "bar")
    + path(f"M{tip:.1f} {y:.1f}l{9 * way} -6v12Z", "mark")
    + text(back + 6 * way, y + 5, f"{mean:.2f}", size, "strong", anchor)
  )


def text_width(content: str, size: Number) -> float:
  """Returns the pixels that text takes at most in the usual fonts."""
  return size * sum(map(_em, content))


def fitted(content: str, width: Number, size: Number) -> str:
  """Returns the text, or as much of its start as fits."""
  content = clean(content)
  if text_width(content, size) <= width:
    return content
  while content and text_width(content + "\u2026", size) > width:
    content = content[:-1]
  return content + "\u2026"


def _em(character: str) -> float:
  if unicodedata.east_asian_width(character) in "WF":
    return 1.05
  if character in "ijlftrI.,:;|'!()[] ":
    return 0.42
  return 1.0 if character in "mwMW@%\u2026" or not character.isascii() else 0.66
