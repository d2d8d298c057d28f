"""The classifiers of one seed: their training, scores and choices."""

import dataclasses
import time
from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from etils import epath
from jaxtyping import PyTree
from scipy.special import log_softmax

from vqvae_jax.data.augment import STRENGTHS
from vqvae_jax.errors import RunError
from vqvae_jax.progress import duration
from vqvae_jax.study import records
from vqvae_jax.study.arms import Arm
from vqvae_jax.study.fitting import (
  CANDIDATES,
  CLASSIFIERS,
  ClassifierSpec,
  predict,
  train_classifier,
)
from vqvae_jax.study.images import Images
from vqvae_jax.study.scores import score
from vqvae_jax.study.seed import Seed
from vqvae_jax.study.weights import load_params, save_params


class Choice(NamedTuple):
  """A setting that was chosen on validation images.

  Attributes:
    chosen: the setting.
    among: the figure of each setting that was tried.
  """

  chosen: Any
  among: Mapping[Any, float]

  def record(self) -> dict[str, Any]:
    """Returns the choice as JSON holds it."""
    among = {str(setting): figure for setting, figure in self.among.items()}
    return {"chosen": self.chosen, "among": among}


class Trials:
  """Trains classifiers on the arms of a seed; each training is recorded.

  Attributes:
    seed: seed of the study.
  """

  def __init__(self, seed: Seed):
    self.seed = seed
    self._settings: dict[str, Choice] = {}

  def train(
    self, arm: Arm, classifier: str, generated: Images | None = None
  ) -> dict[str, Any]:
    """Trains a classifier on an arm if that is not recorded.

    Args:
      arm: arm to train on.
      classifier: name of the classifier.
      generated: images of the arm's generator.

    Returns:
      The scores on validation images, `loss`, `seconds`, and the digest of the
      file of the `weights`.
    """
    text = arm.name
    if arm.classical:
      text += f" ({arm.strength})"
    if arm.mixed and len(self.seed.config.real_shares) > 1:
      text += f", {100 * arm.real_share:g} % real"
    spec = self.settings(classifier).chosen
    path = self._path(arm, classifier)
    return self._trained(path, text, spec, arm, generated)

  def spec(self, spec: ClassifierSpec) -> ClassifierSpec:
    """Returns how a classifier is trained, with the steps of the study."""
    return dataclasses.replace(spec, steps=self.seed.config.classifier_steps)

  def settings(self, classifier: str) -> Choice:
    """Chooses how a classifier is trained.

    The choice is that of `CANDIDATES` with the highest accuracy on validation
    images after training on real images with medium augmentation.
    """
    if classifier not in self._settings:
      self._settings[classifier] = self._choose_settings(classifier)
    return self._settings[classifier]

  @cached_property
  def strength(self) -> Choice:
    """The classical augmentation with the lowest loss on validation images.

    With few images, the loss says more than the accuracy.
    """
    classifier = self.seed.config.classifiers[0]
    losses = {
      strength: self.train(Arm(strength=strength), classifier)["loss"]
      for strength in STRENGTHS
      if strength != "none"
    }
    return Choice(min(losses, key=losses.__getitem__), losses)

  def share(self, arm: Arm, generated: Images) -> Choice:
    """Chooses the share of real images with the lowest validation loss."""
    config = self.seed.config
    if len(config.real_shares) == 1:
      return Choice(config.real_shares[0], {})
    losses = {
      share: self.train(
        dataclasses.replace(arm, real_share=share),
        config.classifiers[0],
        generated,
      )["loss"]
      for share in config.real_shares
    }
    return Choice(min(losses, key=losses.__getitem__), losses)

  def params(self, arm: Arm, classifier: str) -> PyTree:
    """Returns the parameters of a classifier that was trained on an arm."""
    return load_params(self._path(arm, classifier).with_suffix(".npz"))

  def score(
    self, classifier: str, params: PyTree, images: Images
  ) -> dict[str, Any]:
    """Returns the loss and the scores of a classifier."""
    logits = predict(CLASSIFIERS[classifier], params, images.images)
    log_probs = log_softmax(logits.astype(np.float64), axis=1)
    loss = -log_probs[np.arange(len(images)), images.labels].mean()
    scores = score(logits, images.labels, self.seed.num_classes)
    return {"loss": float(loss), **scores}

  def skip(self, arm: Arm) -> None:
    """Counts the trainings on an arm as done."""
    config = self.seed.config
    for n, classifier in enumerate(config.classifiers):
      shares = config.real_shares if arm.mixed and n == 0 else (arm.real_share,)
      for share in shares:
        other = dataclasses.replace(arm, real_share=share)
        self._note(self._path(other, classifier), classifier, None)

  def _choose_settings(self, classifier):
    if classifier not in CANDIDATES:
      return Choice(self.spec(CLASSIFIERS[classifier]), {})
    found = {}
    for spec in map(self.spec, CANDIDATES[classifier]):
      slug = spec.settings.replace(", ", "-").replace(" ", "-")
      folder = self._folder / f"{classifier}-settings"
      text = f"classical (medium), {spec.settings}"
      arm = Arm(strength="medium")
      scores = self._trained(folder / f"{slug}.json", text, spec, arm, None)
      found[spec] = scores["accuracy"]
    among = {spec.settings: accuracy for spec, accuracy in found.items()}
    return Choice(max(found, key=found.__getitem__), among)

  @property
  def _folder(self):
    return self.seed.folder / "classifiers"

  def _path(self, arm: Arm, classifier: str) -> epath.Path:
    return self._folder / classifier / f"{arm.slug}.json"

  def _trained(self, path, text, spec, arm, generated):
    """Trains a classifier if that is not recorded; returns its scores."""
    seed = self.seed
    count = len(seed.real) + seed.config.num_synthetic
    made_from = {
      "arm": arm.slug,
      "seed": seed.number,
      "settings": repr(spec),
      "augmentation": STRENGTHS[arm.strength],
      "number of images": count if arm.repeated else None,
      "training images": seed.real.digest,
      "validation images": seed.held_out.digest,
      "generated images": generated.digest if generated is not None else None,
    }
    scores = records.read(path, made_from)
    if scores is not None:
      _check_weights(path, scores)
      self._note(path, spec.name, scores["seconds"])
      return scores
    text = f"{text}, {spec.name}"
    scores = self._fit(path, text, spec, arm.parts(seed.real, generated, count))
    records.write(path, scores, made_from)
    self._note(path, spec.name, scores["seconds"])
    seed.say(
      f"{text}: {100 * scores['accuracy']:.1f} % of {len(seed.held_out)} "
      f"validation images, {duration(scores['seconds'])}",
      left=True,
    )
    return scores

  def _note(self, path, classifier, seconds):
    self.seed.schedule.done(classifier, path, seconds)

  def _fit(self, path, text, spec, parts):
    """Trains a classifier and writes its weights; returns its scores."""
    seed, weights = self.seed, path.with_suffix(".npz")
    start = time.monotonic()
    with seed.busy(f"{text}: compiling"):
      params = train_classifier(
        spec,
        parts,
        seed.num_classes,
        seed.number,
        lambda step, loss: seed.step(text, step, loss),
      )
      seconds = time.monotonic() - start
      path.parent.mkdir(parents=True, exist_ok=True)
      save_params(weights, params)
      scores = self.score(spec.name, params, seed.held_out)
    digest = records.file_digest(weights)
    return scores | {"seconds": seconds, "weights": digest}


def _check_weights(path, scores):
  """Checks that the weights are those of a record.

  Raises:
    RunError: if they are missing or were changed.
  """
  weights = path.with_suffix(".npz")
  digest = records.file_digest(weights)
  if digest is None:
    raise RunError(
      f"{weights} is missing; move {path.name} away, and both are made again"
    )
  if digest != scores["weights"]:
    raise RunError(
      f"{weights} is not what was written; move it and {path.name} away, and "
      "both are made again"
    )
