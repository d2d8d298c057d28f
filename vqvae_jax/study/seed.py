"""One seed of the study: its real images, its generators, its judges."""

import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from etils import epath
from scipy.special import log_softmax

from vqvae_jax.config import StudyConfig
from vqvae_jax.data import Data, DataSpec
from vqvae_jax.errors import RunError
from vqvae_jax.progress import duration
from vqvae_jax.study import generators, records
from vqvae_jax.study.arms import Arm, Images, parts
from vqvae_jax.study.classical import STRENGTHS
from vqvae_jax.study.fitting import (
  CANDIDATES,
  JUDGES,
  Judge,
  load_params,
  params_like,
  predict,
  save_params,
  train_judge,
)
from vqvae_jax.study.images import all_images, load
from vqvae_jax.study.schedule import Schedule
from vqvae_jax.study.scores import score


class Seed:
  """A choice of real images, and what was learnt from them.

  Attributes:
    number: of the seed.
    folder: where it is kept.
  """

  def __init__(
    self,
    config: StudyConfig,
    number: int,
    out: epath.Path,
    schedule: Schedule,
  ):
    self.number = number
    self.folder = out / f"seed-{number}"
    self.schedule = schedule
    self._config = config
    self._drawn = {}
    self._kept = {}
    self._chosen = {}

  @cached_property
  def data(self) -> Data:
    """Training and validation images; test images are not read.

    Raises:
      RunError: if they are not what this seed began with: a test split that is
        cut off might now hold images that were trained on.
    """
    data = load(self._config, self.number, ("train", "validation"))
    known = records.read(self.folder / "data.json")
    if known and known["images"] != data.spec.digest:
      raise RunError(
        f"{self.folder} was begun with other images than "
        f"{self._config.dataset} holds now; use those, or another --out"
      )
    return data

  @cached_property
  def spec(self) -> DataSpec:
    """What is known of the data, also after `forget`."""
    return self.data.spec

  @cached_property
  def real(self) -> Images:
    """The training images."""
    return all_images(self.data["train"])

  @cached_property
  def held_out(self) -> Images:
    """The validation images."""
    return all_images(self.data["validation"])

  @property
  def num_classes(self) -> int:
    return self.spec.num_classes

  @property
  def num_real(self) -> int:
    """Training and validation images together."""
    return self.spec.num_train + self.spec.num_validation

  def begin(self):
    """Puts on record which images this seed has."""
    values = {"images": self.spec.digest}
    records.once(self.folder / "data.json", lambda: values)

  def say(self, text: str, left: bool = False):
    """Prints a line about this seed."""
    self.schedule.say(f"seed {self.number}: {text}", left)

  def busy(self, what: str):
    """Says what is going on in this seed, where that takes long."""
    return self.schedule.busy(f"seed {self.number}: {what}")

  def memo(self, name: Any, make: Callable[[], Any]) -> Any:
    """What `make` gives, made once and kept until `forget`."""
    if name not in self._kept:
      self._kept[name] = make()
    return self._kept[name]

  def generated(self, generator: str, count: int) -> Images:
    """The first `count` images of a generator, trained and drawn if need be."""
    drawn = self._drawn.get(generator)
    if drawn is None or len(drawn) < count:
      drawn = self._drawn[generator] = self._draw(generator, count)
    return drawn.take(slice(count))

  def forget(self):
    """Frees all images; those asked for again are read again."""
    self._drawn.clear()
    self._kept.clear()
    self.spec  # noqa: B018  Is kept.
    for name in ("data", "real", "held_out"):
      self.__dict__.pop(name, None)

  def judge(
    self,
    arm: Arm,
    judge: str,
    generated: Images | None,
    strength: str,
    real_share: float,
  ) -> dict[str, Any]:
    """Trains a judge on an arm; its scores on validation images.

    Args:
      arm: what the judge learns from.
      judge: name of the judge.
      generated: images of the arm's generator.
      strength: strength of the classical augmentation.
      real_share: share of real images in a batch, where there are generated
        images.

    Returns:
      Scores, `loss`, `seconds`, and the digest of the file of the `weights`.
    """
    path = self._path(arm, judge, strength, real_share)
    chosen, _ = self.choose_settings(judge)
    said = arm.name
    if arm.kind.startswith("classical"):
      said += f" ({strength})"
    if arm.kind.endswith("+") and len(self._config.real_shares) > 1:
      said += f", {100 * real_share:g} % real"
    return self._trained(
      path, said, chosen, arm, generated, strength, real_share
    )

  def choose_settings(self, judge: str) -> tuple[Judge, dict[str, float]]:
    """A judge's settings, and the accuracies that chose them.

    They are those of `CANDIDATES` that classify most validation images
    correctly after learning from real images at the medium strength.
    """
    if judge not in CANDIDATES:
      return JUDGES[judge], {}
    if judge not in self._chosen:
      self._chosen[judge] = self._choose_settings(judge)
    return self._chosen[judge]

  def _choose_settings(self, judge):
    accuracies = {}
    for settings in CANDIDATES[judge]:
      name = settings.settings
      slug = name.replace(", ", "-").replace(" ", "-")
      path = self.folder / "judged" / f"{judge}-settings" / f"{slug}.json"
      said = f"classical (medium), {name}"
      arm = Arm("classical")
      scores = self._trained(path, said, settings, arm, None, "medium", 1.0)
      accuracies[name] = scores["accuracy"]
    best = max(accuracies, key=accuracies.get)
    chosen = next(j for j in CANDIDATES[judge] if j.settings == best)
    return chosen, accuracies

  def choose_strength(self, judge: str) -> tuple[str, dict[str, float]]:
    """The classical augmentation with the least loss on validation images.

    Of few images, the loss tells more than how many are classified correctly.
    """
    if "strength" not in self._chosen:
      losses = {
        name: self.judge(Arm("classical"), judge, None, name, 1.0)["loss"]
        for name in STRENGTHS
        if name != "none"
      }
      self._chosen["strength"] = min(losses, key=losses.get), losses
    return self._chosen["strength"]

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

  def params(
    self, arm: Arm, judge: str, strength: str, real_share: float
  ) -> dict:
    """The weights of a judge that was trained on an arm."""
    path = self._path(arm, judge, strength, real_share)
    like = params_like(JUDGES[judge], self.num_classes, self.spec.image_shape)
    return load_params(path.with_suffix(".npz"), like)

  def score_test(
    self,
    arm: Arm,
    judge: str,
    strength: str,
    real_share: float,
    test: Images,
  ) -> dict[str, Any]:
    """The scores of a trained judge on test images."""
    params = self.params(arm, judge, strength, real_share)
    return self._scores(judge, params, test)

  def _draw(self, generator, count):
    """Trains a generator and draws, where that is not on record."""
    model, _ = generators.split_name(generator)
    place = self.number, self.folder
    console = self.schedule.console
    with self.busy(f"training {model}"):
      generators.train_generator(self._config, model, *place, console)
    with self.busy(f"drawing {count} images of {generator}"):
      drawn = generators.draw(generator, count, *place, self.spec, console)
    for kind, seconds in (
      (model, generators.training_seconds(model, self.folder)),
      (
        f"images of {generator}",
        generators.drawing_seconds(generator, count, self.folder),
      ),
    ):
      self.schedule.done(kind, (self.number, kind), seconds)
    return drawn

  def _trained(self, path, said, judge, arm, generated, strength, real_share):
    """Trains a judge, where that is not on record; its validation scores."""
    count = len(self.real) + self._config.num_synthetic
    classical = arm.kind.startswith("classical")
    made_from = {
      "arm": arm.slug,
      "seed": self.number,
      "settings": repr((judge, self._config.judge_steps)),
      "augmentation": STRENGTHS[strength if classical else "none"],
      "real share": real_share if arm.kind.endswith("+") else 1.0,
      "number of images": count if arm.kind == "repeated" else None,
      "training images": self.real.digest,
      "validation images": self.held_out.digest,
      "generated images": generated.digest if generated is not None else None,
    }
    scores = records.read(path, made_from)
    if scores is None:
      sources = parts(arm, self.real, generated, strength, real_share, count)
      scores = self._train(path, f"{said}, {judge.name}", judge, sources)
      records.write(path, scores, made_from)
      self._tell(path, judge, scores)
      self.say(
        f"{said}, {judge.name}: {100 * scores['accuracy']:.1f} % of "
        f"{len(self.held_out)} validation images, "
        f"{duration(scores['seconds'])}",
        left=True,
      )
    else:
      self._check_weights(path, scores)
      self._tell(path, judge, scores)
    return scores

  def _tell(self, path, judge, scores):
    self.schedule.done(judge.name, path, scores["seconds"])

  def _train(self, path, said, judge, sources):
    start = time.monotonic()
    with self.busy(f"{said}: compiling"):
      params = train_judge(
        judge,
        sources,
        self.num_classes,
        self.number,
        self._config.judge_steps,
        self.progress(said),
      )
      seconds = time.monotonic() - start
      path.parent.mkdir(parents=True, exist_ok=True)
      save_params(path.with_suffix(".npz"), params)
      scores = self._scores(judge.name, params, self.held_out)
    weights = records.file_digest(path.with_suffix(".npz"))
    return scores | {"seconds": seconds, "weights": weights}

  def progress(self, said: str) -> Callable[[int, float], None]:
    """Tells, where a training takes long, how far it is."""

    def tell(step, loss):
      self.schedule.update(
        f"seed {self.number}: {said}: step {step} of "
        f"{self._config.judge_steps}, loss {loss:.3f}"
      )

    return tell

  def _check_weights(self, path, scores):
    weights = path.with_suffix(".npz")
    found = records.file_digest(weights)
    if found != scores["weights"]:
      wrong = "is missing" if found is None else "is not what was written"
      raise RunError(
        f"{weights} {wrong}; move {'what is left' if found is None else 'it'} "
        f"and {path.name} away, and both are made again"
      )

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
