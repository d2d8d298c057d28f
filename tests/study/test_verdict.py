"""The answer in words: every outcome, with and without an interval."""

import math

import pytest

from vqvae_jax.study.intervals import Estimate
from vqvae_jax.study.verdict import verdict

NO_GAIN, GAIN = "No measurable gain.", "A measurable gain."
LOSS = "A measurable loss."


def test_whole_text_of_a_study_without_a_gain():
  found = verdict(
    "classical+vqvae", "classical", Estimate(-0.01, -0.061, 0.041, 2)
  )
  assert found.headline == NO_GAIN
  assert found.sentence == (
    "Adding generated images (`classical+vqvae` against `classical`) changed "
    "accuracy on test images by -1.0 points (95 % interval -6.1 to +4.1, 2 "
    "seeds)."
  )
  assert found.limit == (
    "With 2 seeds, the study cannot detect differences below about 5 points."
  )
  assert str(found) == " ".join(found)


@pytest.mark.parametrize("mean", [-0.3, -0.02, -0.0004, 0.0, 0.001, 0.04, 0.5])
@pytest.mark.parametrize("half", [1e-5, 0.0005, 0.0051, 0.0149, 0.02, 0.4])
def test_headline_follows_the_interval(mean, half):
  found = verdict(
    "real+vae", "real", Estimate(mean, mean - half, mean + half, 3)
  )
  headline = GAIN if mean > half else LOSS if mean < -half else NO_GAIN
  assert found.headline == headline
  assert bool(found.limit) == (headline == NO_GAIN)
  assert "-0.0 " not in found.sentence and "-0.00 " not in found.sentence


@pytest.mark.parametrize(
  ("half", "words"),
  [
    (0.102, "10 points"),
    (0.0508, "5 points"),
    (0.014, "1 point"),
    (0.0096, "1 point"),
    (0.0094, "0.9 points"),
    (0.0004, "0.04 points"),
  ],
)
def test_limit_is_half_the_width(half, words):
  found = verdict("a+b", "a", Estimate(0.0, -half, half, 5))
  assert f"differences below about {words}." in found.limit


@pytest.mark.parametrize("ends", [math.nan, math.inf])
def test_without_an_interval_there_is_no_answer(ends):
  one = verdict(
    "vae", "real", Estimate(0.02, -ends, ends, 1), "validation images"
  )
  assert one.headline == "No answer."
  assert one.sentence == (
    "Training on `vae` instead of `real` changed accuracy on validation images "
    "by +2.0 points (1 seed, no interval)."
  )
  assert "--seeds=3" in one.limit
  same = verdict("vae", "real", Estimate(0.0, -ends, ends, 2))
  assert "the same in every seed" in same.limit
  none = verdict("a", "b", Estimate(ends, ends, ends, 0))
  assert none == verdict("a", "b", None)
  assert "no seed in common" in none.sentence
