"""Trains the classifiers of a seed on all arms, and chooses among arms."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from vqvae_jax.config import StudyConfig
from vqvae_jax.study import generators
from vqvae_jax.study.arms import Arm, GeneratorSpec, arms
from vqvae_jax.study.images import Images
from vqvae_jax.study.measure import Measures
from vqvae_jax.study.trials import Choice, Trials


@dataclasses.dataclass(frozen=True)
class Trained:
  """A classifier that was trained on an arm.

  Attributes:
    trials: trainings of the seed.
    arm: arm that it was trained on.
    classifier: name of the classifier.
    scores: scores on validation images.
  """

  trials: Trials
  arm: Arm
  classifier: str
  scores: dict[str, Any]

  def row(self, split: str) -> dict[str, Any]:
    """Returns the row of the results with the scores on a split."""
    names = ("accuracy", "balanced_accuracy", "auroc", "recall")
    generator = self.arm.generator
    return {
      "arm": self.arm.name,
      "generator": generator.name if generator else "",
      "multiplier": self.arm.multiplier,
      "classifier": self.classifier,
      "seed": self.trials.seed.number,
      "split": split,
      **{name: self.scores[name] for name in names},
      "seconds": self._generator_seconds() + self.scores["seconds"],
    }

  def _generator_seconds(self):
    generator, seed = self.arm.generator, self.trials.seed
    if generator is None:
      return 0.0
    count = round(self.arm.multiplier * seed.num_real)
    return generators.training_seconds(
      generator.model, seed.folder
    ) + generators.drawing_seconds(generator, count, seed.folder)


def compare(
  config: StudyConfig, trials: Trials, measures: Measures
) -> tuple[list[Trained], dict[str, Any]]:
  """Trains all classifiers of one seed on every arm.

  Args:
    config: settings of the study.
    trials: trainings of the seed.
    measures: measures of the seed.

  Returns:
    The classifiers, and what was chosen on the validation images of the seed.
  """
  choices = {"classical": trials.strength.record()}
  for classifier in config.classifiers:
    choice = trials.settings(classifier)
    if choice.among:
      name = f"settings of classifier {classifier}"
      settings = choice.chosen.settings
      choices[name] = choice._replace(chosen=settings).record()
  specs = [GeneratorSpec.parse(name) for name in config.generators]
  images = {spec: measures.selected(spec) for spec in specs}
  multiplier = config.num_synthetic / trials.seed.num_real
  trained = []
  for arm in arms(specs, multiplier, trials.strength.chosen):
    generated = images[arm.generator] if arm.generator else None
    if generated is not None and not len(generated):
      trials.seed.say(
        f"{arm.name}: left out, no generated image passed the filter"
      )
      trials.skip(arm)
      continue
    if arm.mixed:
      choice = trials.share(arm, generated)
      arm = dataclasses.replace(arm, real_share=choice.chosen)
      if choice.among:
        choices[f"real share, {arm.name}"] = choice.record()
    trained += _train(config, trials, arm, generated)
  return trained, choices


def best_generator(config: StudyConfig, trained: Sequence[Trained]) -> Choice:
  """Chooses the generator that adds most to classical augmentation.

  It has the lowest loss on validation images, in the mean over seeds. None is
  chosen if the filter left no generator an image.
  """
  losses = {}
  for item in trained:
    augmented = item.arm.mixed and item.arm.classical
    if augmented and item.classifier == config.classifiers[0]:
      losses.setdefault(item.arm.generator, []).append(item.scores["loss"])
  means = {spec: float(np.mean(found)) for spec, found in losses.items()}
  best = min(means, key=means.__getitem__, default=None)
  return Choice(best, {spec.name: mean for spec, mean in means.items()})


def sweep(
  config: StudyConfig,
  trials: Trials,
  generator: GeneratorSpec,
  trained: Sequence[Trained],
) -> list[Trained]:
  """Trains all classifiers on a generator's arms at several multipliers.

  Args:
    config: settings of the study.
    trials: trainings of the seed.
    generator: generator of the images.
    trained: classifiers of the study, whose shares of real images are used.
  """
  measures = Measures(trials)
  share = next(
    (
      item.arm.real_share
      for item in trained
      if item.trials is trials
      and item.arm.generator == generator
      and item.arm.mixed
      and item.arm.classical
    ),
    config.real_shares[0],
  )
  found = []
  # The largest set comes first, because the others are its first images.
  for multiplier in sorted(config.sweep, reverse=True):
    count = multiplier * trials.seed.num_real
    if count == config.num_synthetic:
      continue
    generated = measures.selected(generator, count)
    if not len(generated):
      continue
    alone = Arm(real=False, generator=generator, multiplier=float(multiplier))
    mixed = dataclasses.replace(
      alone, real=True, strength=trials.strength.chosen, real_share=share
    )
    for arm in (alone, mixed):
      found += _train(config, trials, arm, generated)
  return found


def _train(
  config: StudyConfig, trials: Trials, arm: Arm, generated: Images | None
) -> list[Trained]:
  return [
    Trained(trials, arm, name, trials.train(arm, name, generated))
    for name in config.classifiers
  ]
