"""The arms of a seed, one after the other, and what is chosen among them."""

import dataclasses
from typing import Any

import numpy as np

from vqvae_jax.config import StudyConfig
from vqvae_jax.study import generators, measure
from vqvae_jax.study.arms import Arm, arms
from vqvae_jax.study.seed import Seed


@dataclasses.dataclass(frozen=True)
class Trained:
  """A judge that was trained on an arm, and how.

  Attributes:
    seed: whose.
    arm: what it learnt from.
    judge: its name.
    strength: of the classical augmentation.
    real_share: of a batch, where there are generated images.
    scores: on validation images.
  """

  seed: Seed
  arm: Arm
  judge: str
  strength: str
  real_share: float
  scores: dict[str, Any]


def compare(
  config: StudyConfig, seed: Seed
) -> tuple[list[Trained], dict[str, Any]]:
  """Trains all judges of one seed, on every arm.

  Returns:
    The judges, and what was chosen on the validation images of the seed.
  """
  first = config.judges[0]
  strength, losses = seed.choose_strength(first)
  chosen = {"classical": {"chosen": strength, "among": losses}}
  for judge in config.judges:
    settings, accuracies = seed.choose_settings(judge)
    if accuracies:
      chosen[f"settings of classifier {judge}"] = {
        "chosen": settings.settings,
        "among": accuracies,
      }
  images = {
    generator: measure.kept(config, seed, generator)
    for generator in config.generators
  }
  multiplier = config.num_synthetic / seed.num_real
  found = []
  for arm in arms(list(config.generators), multiplier):
    generated = images.get(arm.generator)
    if generated is not None and not len(generated):
      seed.say(f"{arm.name}: left out, no generated image passed the filter")
      _leave_out(config, seed, arm)
      continue
    share = 1.0
    if arm.kind.endswith("+"):
      share, losses = seed.choose_share(
        arm, first, generated, strength, config.real_shares
      )
      if losses:
        chosen[f"real share, {arm.name}"] = {
          "chosen": share,
          "among": {str(k): v for k, v in losses.items()},
        }
    found += _judge(config, seed, arm, generated, strength, share)
  return found, chosen


def _leave_out(config, seed, arm):
  """Counts the trainings of an arm as done."""
  for n, judge in enumerate(config.judges):
    shares = config.real_shares if n == 0 and arm.kind.endswith("+") else (1.0,)
    for share in shares:
      seed.schedule.done(judge, (seed.number, arm.slug, judge, share))


def _judge(config, seed, arm, generated, strength, share) -> list[Trained]:
  return [
    Trained(
      seed,
      arm,
      judge,
      strength,
      share,
      seed.judge(arm, judge, generated, strength, share),
    )
    for judge in config.judges
  ]


def best_generator(
  config: StudyConfig, trained: list[Trained]
) -> tuple[str | None, dict[str, Any]]:
  """The generator that adds most to real and classically augmented images."""
  losses = {}
  for item in trained:
    if item.arm.kind == "classical+" and item.judge == config.judges[0]:
      of_arm = losses.setdefault(item.arm.generator, [])
      of_arm.append(item.scores["loss"])
  # None where the filter left no generator an image.
  losses = {name: float(np.mean(found)) for name, found in losses.items()}
  best = min(losses, key=losses.get, default=None)
  return best, {"chosen": best, "among": losses}


def sweep(
  config: StudyConfig, seed: Seed, generator: str, chosen: dict[str, Any]
) -> list[Trained]:
  """Trains all judges on the best generator's arms at several multipliers.

  Args:
    config: settings of the study.
    seed: seed whose judges are trained.
    generator: name of the generator.
    chosen: what `compare` chose for this seed.
  """
  num_real = seed.num_real
  strength = chosen["classical"]["chosen"]
  found = []
  # The largest first: the others are its first images.
  for multiplier in sorted(config.sweep, reverse=True):
    count = multiplier * num_real
    if count == config.num_synthetic:
      continue
    generated = measure.kept(config, seed, generator, count)
    if not len(generated):
      continue
    for kind in ("alone", "classical+"):
      arm = Arm(kind, generator, multiplier)
      name = f"real share, {kind}{generator}"
      share = chosen.get(name, {"chosen": config.real_shares[0]})["chosen"]
      found += _judge(config, seed, arm, generated, strength, share)
  return found


def row(item: Trained, split: str) -> dict[str, Any]:
  """A line of the results."""
  scores = {
    name: item.scores[name]
    for name in ("accuracy", "balanced_accuracy", "auroc", "recall")
  }
  made = 0.0
  if item.arm.generator:
    generator, folder = item.arm.generator, item.seed.folder
    count = round(item.arm.multiplier * item.seed.num_real)
    model, _ = generators.split_name(generator)
    made = generators.training_seconds(model, folder)
    made += generators.drawing_seconds(generator, count, folder)
  return {
    "arm": item.arm.name,
    "generator": item.arm.generator,
    "multiplier": item.arm.multiplier,
    "judge": item.judge,
    "seed": item.seed.number,
    "split": split,
    **scores,
    "seconds": made + item.scores["seconds"],
  }
