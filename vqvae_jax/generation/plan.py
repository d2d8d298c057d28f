"""What a job makes, and the training images that it may start from."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Int

from vqvae_jax.config import Config
from vqvae_jax.data import DataSpec, Split, load_data
from vqvae_jax.errors import ConfigError, RunError

# Images of one block, uint8, from the block's numbers and their labels. They
# may still be on their way from the device.
MakeBlock = Callable[[Int[np.ndarray, " b"], Int[np.ndarray, " b"]], jax.Array]


@dataclasses.dataclass(frozen=True)
class Plan:
  """What a job makes.

  Attributes:
    labels: of all images.
    shape: of an image.
    make_block: see `MakeBlock`; always called with as many rows.
    settings: what the images depend on beside the run's data.
  """

  labels: Int[np.ndarray, " n"]
  shape: tuple[int, int, int]
  make_block: MakeBlock
  settings: dict[str, Any]


def run_images(config: Config, spec: DataSpec, name: str) -> Split:
  """A split of a run's images, read again from where they were.

  Raises:
    RunError: if other images are there now.
  """
  data = load_data(config)
  if data.spec.digest != spec.digest:
    raise RunError(
      f"the run was trained on other images than {config.dataset} holds now"
    )
  return data[name]


# Others of its class among which an image's partner is the nearest.
CANDIDATES = 20


class Sources:
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
      split: of the training images.
      spec: of the data.
      mode: who needs them, for messages.
      count: images for each new one, 1 or 2; see `choose`.
      labels: of the new images; None for all classes.

    Raises:
      ConfigError: if one of these classes has fewer.
    """
    self._split = split
    self._count = count
    self._of_class = [
      np.flatnonzero(split.labels == label) for label in range(spec.num_classes)
    ]
    needs = f"--mode {mode} needs {count} training images of a class"
    asked = range(spec.num_classes) if labels is None else np.unique(labels)
    for label in asked:
      if len(self._of_class[label]) < count:
        name = spec.class_names[label] if spec.class_names else spec.name
        raise ConfigError(f"{needs}; {name} has fewer")

  def choose(self, seed: int, number: int, label: int) -> Int[np.ndarray, " m"]:
    """A row of a class; with a count of 2 also one that is near to it.

    That is the nearest in pixels of a few others: between images that are far
    apart lies a double exposure. SMOTE (Chawla et al. 2002, section 4.2) takes
    one of the 5 nearest of all.
    """
    rng = np.random.default_rng((seed, number))
    of_class = self._of_class[label]
    drawn = 1 if self._count == 1 else min(1 + CANDIDATES, len(of_class))
    rows = rng.choice(of_class, drawn, replace=False)
    if self._count == 1:
      return rows
    images = self._split.gather(rows)["image"].astype(np.float32)
    squared = ((images[1:] - images[0]) ** 2).sum(axis=(1, 2, 3))
    return rows[[0, 1 + squared.argmin()]]

  def gather(
    self,
    seed: int,
    numbers: Int[np.ndarray, " b"],
    labels: Int[np.ndarray, " b"],
  ) -> list[np.ndarray]:
    """`count` uint8 arrays [b, h, w, c], a row for each new image."""
    pairs = zip(numbers, labels, strict=True)
    chosen = np.stack([self.choose(seed, *pair) for pair in pairs], axis=1)
    return [self._split.gather(rows)["image"] for rows in chosen]
