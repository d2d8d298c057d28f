"""Start images: the training images that new images are varied from."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from vqvae_jax.config import Config, SampleConfig
from vqvae_jax.data import DataSpec, Split, load_data
from vqvae_jax.data.augment import augment_each
from vqvae_jax.draws import distinct
from vqvae_jax.errors import ConfigError, DataError, RunError
from vqvae_jax.generators.arrays import image_keys
from vqvae_jax.generators.labels import labels_of
from vqvae_jax.generators.plan import Origins, Plan
from vqvae_jax.pixels import to_float, to_uint8
from vqvae_jax.sharding import split as split_rows

# Other images of its class among which the partner of an image is the nearest.
CANDIDATES = 20
# Choices that are remembered, because blocks and records both ask for them.
_REMEMBERED = 2**16
# What the keys of images are folded with here: a number of no image.
_AUGMENT = 2**31 + 1


@dataclasses.dataclass(frozen=True)
class Variation:
  """A way from start images to new images.

  Attributes:
    vary: function `(weights, keys, labels, *starts)` to images in [0, 1], all
      with one row for each new image. It is traced.
    stages: names of the stages whose weights it reads.
    settings: what goes on record of it, besides the weights.
    count: number of start images for each new image, 1 or 2.
    augmented: whether start images are augmented first, as the training saw
      them.
    outlines: see `Origins`.
  """

  vary: Callable[..., Float[Array, "b h w c"]]
  stages: tuple[str, ...]
  settings: dict[str, Any]
  count: int = 1
  augmented: bool = True
  outlines: Callable[..., np.ndarray] | None = None


def plan_variation(
  trained: Any, config: SampleConfig, variation: Variation
) -> Plan:
  """Returns the plan of a job that varies start images.

  Args:
    trained: the `Trained` generator.
    config: settings of the job.
    variation: the way to vary them.

  Raises:
    UserError: if the training images cannot be read or are too few.
  """
  spec, seed = trained.spec, config.seed
  labels = labels_of(config.labels, np.arange(config.num_images), spec)
  train = run_images(trained.config, spec, "train")
  starts = StartImages(train, spec, config.mode, variation.count, labels)
  weights = {name: trained.weights[name] for name in variation.stages}
  rows = split_rows(trained.mesh)

  def make(weights, numbers, seed, labels, *images):
    if variation.augmented:
      # Two images are moved alike, so that they stay near each other.
      images = [augmented(seed, numbers, x, spec.augment) for x in images]
    else:
      images = [to_float(x) for x in images]
    keys = image_keys(seed, numbers)
    return to_uint8(variation.vary(weights, keys, labels, *images))

  compiled = jax.jit(make, out_shardings=rows)

  def make_block(numbers, labels):
    images = starts.gather(seed, numbers, labels)
    arrays = np.asarray(numbers, np.int32), np.asarray(labels, np.int32)
    numbers, labels, *images = jax.device_put([*arrays, *images], rows)
    return compiled(weights, numbers, seed, labels, *images)

  settings = {
    "seed": seed,
    "labels_as": config.labels,
    "weights": {name: trained.digests[name] for name in variation.stages},
    **variation.settings,
  }
  origins = starts.origins(seed, variation.outlines)
  return Plan(labels, tuple(spec.image_shape), make_block, settings, origins)


def augmented(
  seed: int | Int[Array, ""],
  numbers: Int[Array, " b"],
  images: UInt8[Array, "b h w c"],
  kind: str,
) -> Float[Array, "b h w c"]:
  """Augments start images, each by the number of its new image.

  Args:
    seed: seed of the job.
    numbers: numbers of the new images.
    images: start image of each.
    kind: augmentation of the run.

  Returns:
    Images in [0, 1].
  """
  keys = image_keys(seed, numbers)
  keys = jax.vmap(lambda key: jax.random.fold_in(key, _AUGMENT))(keys)
  return augment_each(keys, to_float(images), kind)


def run_images(config: Config, spec: DataSpec, name: str) -> Split:
  """Returns a split of a run's images, read again from where they are.

  Raises:
    RunError: if they cannot be read, or if other images are there now.
  """
  where = "if they have moved, say where they are with --dataset"
  try:
    data = load_data(config)
  except DataError as error:
    raise RunError(
      f"the images that the run was trained on cannot be read: {error}; {where}"
    ) from None
  if data.spec.digest != spec.digest:
    raise RunError(
      f"the run was trained on other images than {config.dataset} holds now; "
      f"{where}"
    )
  return data[name]


def check_enough(
  present: Int[np.ndarray, " n"],
  spec: DataSpec,
  mode: str,
  count: int,
  labels: Int[np.ndarray, " m"] | None = None,
) -> None:
  """Refuses a mode that needs more images of a class than there are.

  Args:
    present: labels of the training images.
    spec: specification of the data.
    mode: mode that needs them, for messages.
    count: number of images of a class that it needs.
    labels: labels of the new images; by default all classes.

  Raises:
    ConfigError: naming a class that has fewer.
  """
  counts = np.bincount(present, minlength=spec.num_classes)
  asked = range(spec.num_classes) if labels is None else np.unique(labels)
  for label in asked:
    if counts[label] < count:
      name = spec.class_names[label] if spec.class_names else spec.name
      raise ConfigError(
        f"--mode {mode} needs {count} training images of a class; {name} has "
        "fewer"
      )


class StartImages:
  """Training images of each class, chosen by the number of the new image."""

  def __init__(
    self,
    split: Split,
    spec: DataSpec,
    mode: str,
    count: int,
    labels: Int[np.ndarray, " n"] | None = None,
  ):
    """Prepares the choice.

    Args:
      split: the training images.
      spec: specification of the data.
      mode: mode that needs them, for messages.
      count: number of start images for each new one, 1 or 2; see `choose`.
      labels: labels of the new images; by default all classes.

    Raises:
      ConfigError: if one of these classes has fewer.
    """
    check_enough(split.labels, spec, mode, count, labels)
    self._split = split
    self._count = count
    self._of_class = [
      np.flatnonzero(split.labels == label) for label in range(spec.num_classes)
    ]
    self.choose = functools.lru_cache(_REMEMBERED)(self._choose)

  def _choose(
    self, seed: int, number: int, label: int
  ) -> Int[np.ndarray, " m"]:
    """Returns the index of an image of a class, or of two that are near.

    The second is the nearest in pixels of a few others: between images that
    are far apart lies a double exposure. SMOTE (Chawla et al. 2002, section
    4.2) takes one of the 5 nearest of all.
    """
    of_class = self._of_class[label]
    drawn = 1 if self._count == 1 else min(1 + CANDIDATES, len(of_class))
    chosen = of_class[distinct(drawn, len(of_class), seed, number)]
    if self._count == 1:
      return chosen
    images = self._split.gather(chosen)["image"].astype(np.float32)
    squared = ((images[1:] - images[0]) ** 2).sum(axis=(1, 2, 3))
    return chosen[[0, 1 + squared.argmin()]]

  def rows(
    self,
    seed: int,
    numbers: Int[np.ndarray, " b"],
    labels: Int[np.ndarray, " b"],
  ) -> Int[np.ndarray, "b m"]:
    """Returns the choice for each new image."""
    pairs = zip(numbers.tolist(), labels.tolist(), strict=True)
    return np.stack([self.choose(seed, *pair) for pair in pairs])

  def gather(
    self,
    seed: int,
    numbers: Int[np.ndarray, " b"],
    labels: Int[np.ndarray, " b"],
  ) -> list[UInt8[np.ndarray, "b h w c"]]:
    """Returns `count` arrays of start images, one for each new image."""
    chosen = self.rows(seed, numbers, labels).T
    return [self._split.gather(indices)["image"] for indices in chosen]

  def origins(
    self, seed: int, outlines: Callable[..., np.ndarray] | None = None
  ) -> Origins:
    """Returns the same choice as the origins of a plan."""
    called = ("start",) if self._count == 1 else ("start 1", "start 2")
    rows = functools.partial(self.rows, seed)
    return Origins(self._split, "train", called, rows, outlines)
