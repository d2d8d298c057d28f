"""The answer of a study in plain words, for the screen and the report."""

from typing import NamedTuple

from vqvae_jax.study.intervals import Estimate

NO_ANSWER = "No answer."
NO_GAIN = "No measurable gain."
GAIN = "A measurable gain."
LOSS = "A measurable loss."
_ONE_SEED = (
  "One seed cannot show whether a difference is due to chance. Repeat the "
  "study with --seeds=3 or more and another --out."
)
_SAME = (
  "The difference is the same in every seed, so there is no interval. Repeat "
  "the study with more --seeds and another --out."
)


class Verdict(NamedTuple):
  """The answer of a comparison of two arms.

  Attributes:
    headline: the answer in two or three words.
    sentence: the difference of the arms and its interval.
    limit: what the study could not detect, or why there is no answer; empty
      after a gain or a loss.
  """

  headline: str
  sentence: str
  limit: str

  def __str__(self) -> str:
    return " ".join(filter(None, self))


def verdict(
  arm: str, other: str, difference: Estimate | None, images: str = "test images"
) -> Verdict:
  """Returns how much better or worse one arm is than another.

  Args:
    arm: name of the arm with generated images.
    other: name of the arm that it is compared with.
    difference: difference of their accuracies, a share; None if the arms were
      not compared.
    images: what the accuracies were measured on.
  """
  if difference is None or not difference.seeds:
    return Verdict(
      NO_ANSWER, f"`{arm}` and `{other}` have no seed in common.", ""
    )
  seeds = "1 seed" if difference.seeds == 1 else f"{difference.seeds} seeds"
  change = f"{_what(arm, other)} changed accuracy on {images} by"
  if not difference.bounded:
    mean = _points(difference.mean, abs(difference.mean))
    sentence = f"{change} {mean} points ({seeds}, no interval)."
    reason = _ONE_SEED if difference.seeds == 1 else _SAME
    return Verdict(NO_ANSWER, sentence, reason)
  half = (difference.high - difference.low) / 2
  mean, low, high = (
    _points(share, half)
    for share in (difference.mean, difference.low, difference.high)
  )
  sentence = f"{change} {mean} points (95 % interval {low} to {high}, {seeds})."
  if difference.low > 0:
    return Verdict(GAIN, sentence, "")
  if difference.high < 0:
    return Verdict(LOSS, sentence, "")
  limit = (
    f"With {seeds}, the study cannot detect differences below about "
    f"{_about(100 * half)}."
  )
  return Verdict(NO_GAIN, sentence, limit)


def _what(arm: str, other: str) -> str:
  if arm.startswith(f"{other}+"):
    return f"Adding generated images (`{arm}` against `{other}`)"
  return f"Training on `{arm}` instead of `{other}`"


def _points(share: float, size: float) -> str:
  """Returns a share in points, with two digits where sizes are small."""
  digits = 1 if size >= 0.01 else 2
  # Adding 0 turns -0.0 into 0.0.
  return f"{round(100 * share, digits) + 0.0:+.{digits}f}"


def _about(points: float) -> str:
  if points >= 1.5:
    return f"{points:.0f} points"
  return "1 point" if points >= 0.95 else f"{float(f'{points:.1g}'):g} points"
