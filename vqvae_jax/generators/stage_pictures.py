"""What a stage draws of its best weights after an evaluation."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int, PyTree, UInt8

from vqvae_jax import pictures
from vqvae_jax.data import Data, DataSpec
from vqvae_jax.generators.arrays import image_keys
from vqvae_jax.generators.base import Generator, Stage
from vqvae_jax.pixels import to_float, to_uint8
from vqvae_jax.training.figures import VALIDATION, result
from vqvae_jax.training.loop import Pictures
from vqvae_jax.training.state import Task

SAMPLES_PER_CLASS = 8
MAX_CLASSES_PICTURED = 16
# Rows of images that have no classes.
UNLABELLED_ROWS = 4
# Training images of a class whose latents are fitted for a picture.
FITTED = 64


def make_pictures(
  generator: Generator,
  stage: Stage,
  task: Task,
  data: Data,
  earlier: Mapping[str, PyTree],
) -> Pictures:
  """Returns the function that draws a stage.

  The first stage shows reconstructions of validation images, where there is an
  encoder; the last stage shows samples, a row for each class.

  Args:
    generator: generator of the run.
    stage: stage that is fitted.
    task: its task.
    data: data with the splits "train" and "validation".
    earlier: weights of the stages before, by name.
  """
  of_weights: list[Callable[..., dict[str, np.ndarray]]] = []
  if stage is generator.stages[-1]:
    of_weights.append(_samples(generator, data))
  if stage is generator.stages[0] and generator.has_encoder:
    of_weights.append(_reconstructions(generator, data))

  def draw(variables, sums):
    weights = {**earlier, stage.name: stage.weights(variables)}
    measured = jax.device_get(task.summarize(sums))
    quality = result({VALIDATION + k: float(v) for k, v in measured.items()})
    drawn = {}
    for function in of_weights:
      drawn |= function(weights, f"validation images: {quality}")
    return drawn | stage.charts(sums)

  return draw


def _samples(generator, data):
  spec = data.spec
  classes = min(spec.num_classes, MAX_CLASSES_PICTURED)
  names = pictures.legible(spec.class_names)[:classes]
  labels = np.repeat(np.arange(classes, dtype=np.int32), SAMPLES_PER_CLASS)
  keys = image_keys(0, jnp.arange(len(labels)))
  settings = generator.sampling({})
  first = generator.stages[0].name
  encode = jax.jit(generator.encode)

  @jax.jit
  def images_of(weights, fitted):
    return generator.draw(weights, fitted, keys, jnp.asarray(labels), settings)

  def fit(weights):
    train = data["train"]
    some = [
      np.flatnonzero(train.labels == label)[:FITTED]
      for label in range(spec.num_classes)
    ]
    batch = train.gather(np.concatenate(some))
    latents = encode(weights[first], to_float(batch["image"]), batch["label"])
    return generator.fit(np.asarray(latents), batch["label"])

  def draw(weights, quality):
    del quality
    fitted = fit(weights) if generator.fits_latents else None
    images = to_uint8(jax.device_get(images_of(weights, fitted)))
    title = "generated images" + _which(spec)
    page = pictures.grid(images, SAMPLES_PER_CLASS, names, title=title)
    return {"samples": page}

  return draw


def _reconstructions(generator, data):
  shown = Shown(data)
  first = generator.stages[0].name

  @jax.jit
  def reconstruct(variables, images, labels):
    latents = generator.encode(variables, images, labels)
    return latents, generator.decode(variables, latents, labels)

  def draw(weights, quality):
    latents, others = jax.device_get(
      reconstruct(
        weights[first],
        to_float(jnp.asarray(shown.images)),
        jnp.asarray(shown.labels),
      )
    )
    images = {
      **generator.latent_pictures(latents),
      "reconstruction": to_uint8(others),
    }
    return {"reconstructions": shown.grid(images, quality)}

  return draw


class Shown:
  """Validation images of every class, and a grid of them above others.

  Attributes:
    images: the images, class by class.
    labels: class of each image.
  """

  images: UInt8[np.ndarray, "n h w c"]
  labels: Int[np.ndarray, " n"]

  def __init__(self, data: Data):
    self._spec, split = data.spec, data["validation"]
    labels = split.labels
    if self._spec.class_names:
      classes = min(self._spec.num_classes, MAX_CLASSES_PICTURED)
      self._rows = of_each_class(labels, classes, SAMPLES_PER_CLASS)
    else:
      count = UNLABELLED_ROWS * SAMPLES_PER_CLASS
      (indices,) = of_each_class(np.zeros_like(labels), 1, count)
      starts = range(0, len(indices), SAMPLES_PER_CLASS)
      self._rows = [indices[i : i + SAMPLES_PER_CLASS] for i in starts]
    batch = split.gather(np.concatenate(self._rows))
    self.images, self.labels = batch["image"], batch["label"]

  def grid(
    self, others: Mapping[str, UInt8[np.ndarray, "n h w _"]], title: str
  ) -> UInt8[np.ndarray, "y x k"]:
    """Draws rows of originals, each above rows of their counterparts.

    Args:
      others: images by the name of their rows.
      title: text above everything.
    """
    kinds = {"original": self.images, **others}
    # Pictures of ids have colours where images may have none.
    channels = max(images.shape[-1] for images in kinds.values())
    ends = np.cumsum([len(row) for row in self._rows])
    columns = max(len(row) for row in self._rows)
    rows, names = [], []
    for number, end in enumerate(ends):
      for kind, images in kinds.items():
        row = images[end - len(self._rows[number]) : end]
        row = np.broadcast_to(row, (*row.shape[:-1], channels))
        blank = np.full((columns - len(row), *row.shape[1:]), 255, np.uint8)
        rows.append(np.concatenate([row, blank]))
        names.append(kind)
    if self._spec.class_names:
      classes = pictures.legible(self._spec.class_names)
      names[:: len(kinds)] = classes[: len(ends)]
    title = title + _which(self._spec)
    return pictures.grid(np.concatenate(rows), columns, names, title=title)


def of_each_class(
  labels: Int[np.ndarray, " n"], num_classes: int, count: int
) -> list[Int[np.ndarray, " _"]]:
  """Returns indices of some images of each class, spread over the split.

  Args:
    labels: class of each image of the split.
    num_classes: number of classes to show.
    count: number of images of a class, at most.
  """
  chosen = []
  for label in range(num_classes):
    of_class = np.flatnonzero(labels == label)
    spread = np.linspace(0, len(of_class) - 1, min(count, len(of_class)))
    chosen.append(of_class[np.unique(spread.round().astype(int))])
  return chosen


def _which(spec: DataSpec) -> str:
  if len(spec.class_names) <= MAX_CLASSES_PICTURED:
    return ""
  return (
    f"; the first {MAX_CLASSES_PICTURED} of {len(spec.class_names)} classes"
  )
