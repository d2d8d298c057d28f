"""The answer of a study in plain words, for the screen and the report."""

import math
from typing import NamedTuple

NO_ANSWER = "No answer."
NO_GAIN = "No measurable gain."
GAIN = "A gain."
LOSS = "A loss."


class Verdict(NamedTuple):
  """What a comparison of two arms says, from large to small.

  Attributes:
    headline: two or three words.
    sentence: the difference and its interval.
    limit: what the study could not have seen; empty after a gain or a loss.
  """

  headline: str
  sentence: str
  limit: str

  def __str__(self) -> str:
    return " ".join(filter(None, self))


def verdict(
  name_a: str,
  name_b: str,
  mean: float,
  low: float,
  high: float,
  seeds: int,
  images: str = "test images",
) -> Verdict:
  """Says how much better or worse one arm is than another.

  Args:
    name_a: name of the arm with generated images.
    name_b: name of the arm that it is compared with.
    mean: difference of their accuracies, a share, as a mean over seeds.
    low: lower end of its 95 % interval; NaN or infinite if there is none.
    high: upper end of the interval.
    seeds: number of seeds that both arms have.
    images: what the accuracies were measured on.
  """
  if seeds < 1:
    return Verdict(
      NO_ANSWER, f"`{name_a}` and `{name_b}` have no seed in common.", ""
    )
  change = f"{_what(name_a, name_b)} changed accuracy on {images} by "
  count = f"{seeds} seed" if seeds == 1 else f"{seeds} seeds"
  if not (math.isfinite(low) and math.isfinite(high)):
    digits = 1 if abs(mean) >= 0.01 else 2
    reason = (
      "From 1 seed it cannot be told whether a difference is chance; a study "
      "of --seeds=3 or more can tell, with another --out."
      if seeds == 1
      else "The difference is the same in every seed, so that there is no "
      "interval; more --seeds give one, with another --out."
    )
    points = f"{_points(mean, digits)} points ({count}, no interval)"
    return Verdict(NO_ANSWER, f"{change}{points}.", reason)
  half = (high - low) / 2
  digits = 1 if half >= 0.01 else 2
  sentence = (
    f"{change}{_points(mean, digits)} points (95 % interval "
    f"{_points(low, digits)} to {_points(high, digits)}, {count})."
  )
  if low > 0:
    return Verdict(GAIN, sentence, "")
  if high < 0:
    return Verdict(LOSS, sentence, "")
  limit = (
    f"With {count}, differences below about {_about(100 * half)} cannot be "
    "seen."
  )
  return Verdict(NO_GAIN, sentence, limit)


def _what(name_a, name_b):
  arms = f"(`{name_a}` against `{name_b}`)"
  if name_a.startswith(f"{name_b}+"):
    return f"Adding generated images {arms}"
  return f"Training on `{name_a}` instead of `{name_b}`"


def _points(share, digits):
  # Adding 0 turns -0.0 into 0.0.
  return f"{round(100 * share, digits) + 0.0:+.{digits}f}"


def _about(points):
  if points >= 1.5:
    return f"{points:.0f} points"
  return "1 point" if points >= 0.95 else f"{float(f'{points:.1g}'):g} points"
