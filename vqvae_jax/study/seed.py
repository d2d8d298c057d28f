"""One seed of the study: its real images, its generators, its judges."""

import time
from functools import cached_property

import numpy as np
from etils import epath
from rich.console import Console
from scipy.special import log_softmax

from vqvae_jax.config import StudyConfig
from vqvae_jax.data import Data, load_data
from vqvae_jax.errors import RunError
from vqvae_jax.study import generators, records
from vqvae_jax.study.arms import Arm, Images, parts
from vqvae_jax.study.classical import STRENGTHS
from vqvae_jax.study.crossfit import CrossFitted
from vqvae_jax.study.judges import (
  CANDIDATES,
  JUDGES,
  Judge,
  load_params,
  params_like,
  predict,
  save_params,
  train_judge,
)
from vqvae_jax.study.scores import score

# Seconds between two lines about a judge's training.
INTERVAL = 20


class Seed:
  """A choice of real images, and what was learnt from them.

  Attributes:
    number: of the seed.
    folder: where it is kept.
    fitted: judges of halves of the real images, once they are trained.
  """

  def __init__(
    self,
    config: StudyConfig,
    number: int,
    out: epath.Path,
    console: Console,
  ):
    self.number = number
    self.folder = out / f"seed-{number}"
    self.folder.mkdir(parents=True, exist_ok=True)
    self._config = config
    self._console = console
    self.fitted: CrossFitted | None = None
    self._drawn = {}

  @cached_property
  def data(self) -> Data:
    """Training and validation images; test images are not read.

    Raises:
      RunError: if they are not what this seed began with: a test split that is
        cut off might now hold images that were trained on.
    """
    data = load_data(self._config.run_config(self.number, ""))
    known = records.once(
      self.folder / "data.json", lambda: {"digest": data.spec.digest}
    )
    if known["digest"] != data.spec.digest:
      raise RunError(
        f"{self.folder} was begun with other images than "
        f"{self._config.dataset} holds now; use those, or another --out"
      )
    return data

  @property
  def real(self) -> Images:
    """The training images."""
    return _images(self.data["train"])

  @property
  def held_out(self) -> Images:
    """The validation images."""
    return _images(self.data["validation"])

  @property
  def num_classes(self) -> int:
    return self.data.spec.num_classes

  def say(self, text: str):
    """Prints a line about this seed."""
    self._console.print(
      f"seed {self.number}: {text}", highlight=False, soft_wrap=True
    )

  def generated(self, generator: str, count: int) -> Images:
    """The first `count` images of a generator, trained and drawn if need be."""
    kept = self._drawn.get(generator)
    if kept is None or len(kept) < count:
      model, _ = generators.split_name(generator)
      generators.train_generator(
        self._config, model, self.number, self.folder, self._console
      )
      kept = generators.draw(
        generator,
        count,
        self.number,
        self.folder,
        self.data.spec,
        self._console,
      )
      self._drawn[generator] = kept
    return kept.take(slice(count))

  def forget(self):
    """Frees the generated images; those asked for again are read again."""
    self._drawn.clear()

  def judge(
    self,
    arm: Arm,
    judge: str,
    generated: Images | None,
    strength: str,
    real_share: float,
  ) -> dict:
    """Trains a judge on an arm; its scores on validation images.

    Args:
      arm: which.
      judge: its name.
      generated: the images of the arm's generator.
      strength: of the classical augmentation.
      real_share: of a batch, where there are generated images.
    """
    path = self._path(arm, judge, strength, real_share)
    chosen, _ = self.choose_settings(judge)
    sources = self._parts(arm, generated, strength, real_share)
    return self._trained(path, arm.name, chosen, sources)

  def choose_settings(self, judge: str) -> tuple[Judge, dict[str, float]]:
    """A judge's settings, and the accuracies that chose them.

    They are those of `CANDIDATES` that read most validation images after
    learning from real images at the medium strength.
    """
    if judge not in CANDIDATES:
      return JUDGES[judge], {}
    sources = self._parts(Arm("classical"), None, "medium", 1.0)
    accuracies = {}
    for settings in CANDIDATES[judge]:
      name = settings.settings
      slug = name.replace(", ", "-").replace(" ", "-")
      path = self.folder / "judged" / f"{judge}-settings" / f"{slug}.json"
      scores = self._trained(path, name, settings, sources)
      accuracies[name] = scores["accuracy"]
    best = max(accuracies, key=accuracies.get)
    chosen = next(j for j in CANDIDATES[judge] if j.settings == best)
    return chosen, accuracies

  def _parts(self, arm, generated, strength, real_share):
    count = len(self.real) + self._config.num_synthetic
    return parts(arm, self.real, generated, strength, real_share, count)

  def _trained(self, path, name, judge, sources):
    """Trains a judge, where that is not on record; its validation scores."""

    def make():
      start = said = time.monotonic()

      def progress(step, loss):
        nonlocal said
        if time.monotonic() - said > INTERVAL:
          said = time.monotonic()
          self.say(f"{name}, {judge.name}: step {step}, loss {loss:.3f}")

      params = train_judge(
        judge,
        sources,
        self.num_classes,
        self.number,
        self._config.judge_steps,
        progress,
      )
      seconds = time.monotonic() - start
      path.parent.mkdir(parents=True, exist_ok=True)
      save_params(path.with_suffix(".npz"), params)
      scores = self._scores(judge.name, params, self.held_out)
      self.say(
        f"{name}, {judge.name}: {scores['accuracy']:.1%} of "
        f"{len(self.held_out)} validation images, {seconds:.0f} s"
      )
      return scores | {"seconds": seconds}

    return records.once(path, make)

  def params(
    self, arm: Arm, judge: str, strength: str, real_share: float
  ) -> dict:
    """The weights of a judge that was trained on an arm."""
    path = self._path(arm, judge, strength, real_share)
    like = params_like(
      JUDGES[judge], self.num_classes, self.data.spec.image_shape
    )
    return load_params(path.with_suffix(".npz"), like)

  def score_test(
    self,
    arm: Arm,
    judge: str,
    strength: str,
    real_share: float,
    test: Images,
  ) -> dict:
    """The scores of a trained judge on test images."""
    params = self.params(arm, judge, strength, real_share)
    return self._scores(judge, params, test)

  def choose_strength(self, judge: str) -> tuple[str, dict[str, float]]:
    """The classical augmentation with the least loss on validation images.

    Of few images, the loss tells more than how many are read right.
    """
    losses = {
      strength: self.judge(Arm("classical"), judge, None, strength, 1.0)["loss"]
      for strength in STRENGTHS
      if strength != "none"
    }
    return min(losses, key=losses.get), losses

  def choose_share(
    self,
    arm: Arm,
    judge: str,
    generated: Images,
    strength: str,
    shares: tuple[float, ...],
  ) -> tuple[float, dict[float, float]]:
    """The share of real images with the least loss on validation images."""
    if len(shares) == 1:
      return shares[0], {}
    losses = {
      share: self.judge(arm, judge, generated, strength, share)["loss"]
      for share in shares
    }
    return min(losses, key=losses.get), losses

  def _scores(self, judge, params, images):
    logits = predict(JUDGES[judge], params, images.images)
    log_probs = log_softmax(logits.astype(np.float64), axis=1)
    loss = -log_probs[np.arange(len(images)), images.labels].mean()
    return {
      "loss": float(loss),
      **score(logits, images.labels, self.num_classes),
    }

  def _path(self, arm, judge, strength, real_share):
    name = arm.slug
    if arm.kind.startswith("classical"):
      name += f"@{strength}"
    if arm.kind.endswith("+"):
      name += f"@{real_share:g}"
    return self.folder / "judged" / judge / f"{name}.json"


def _images(split) -> Images:
  rows = split.gather(np.arange(len(split)))
  return Images(rows["image"], rows["label"])
