"""What a job makes, and the images that it may start from."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Int, UInt8

from vqvae_jax.config import Config
from vqvae_jax.data import DataSpec, Split, load_data
from vqvae_jax.draws import distinct
from vqvae_jax.errors import ConfigError, DataError, RunError

# Images of one block, uint8, from the block's numbers and their labels. They
# may still be on their way from the device.
MakeBlock = Callable[[Int[np.ndarray, " b"], Int[np.ndarray, " b"]], jax.Array]


@dataclasses.dataclass(frozen=True)
class Origins:
  """The images of the run's data that new images are made from.

  Attributes:
    split: that holds them.
    name: of the split, "train" or "validation".
    called: what each of an image's origins is called, one or two names.
    rows: places in the split, a column for each origin, from the numbers and
      labels of new images.
    outlines: for each number, the rectangle that was drawn anew: top, left,
      height and width as shares of the image; None if there is none.
  """

  split: Split
  name: str
  called: tuple[str, ...]
  rows: Callable[..., Int[np.ndarray, "b m"]]
  outlines: Callable[..., np.ndarray] | None = None

  def images(self, rows: Int[np.ndarray, " b"]) -> UInt8[np.ndarray, "b ..."]:
    """The images at these places."""
    return self.split.gather(rows)["image"]

  def files(self, rows: Int[np.ndarray, " m"]) -> list[str] | None:
    """Their paths relative to the data set, where it consists of files."""
    if self.split.files is None:
      return None
    return [self.split.files[row] for row in rows]


@dataclasses.dataclass(frozen=True)
class Plan:
  """What a job makes.

  Attributes:
    labels: of all images.
    shape: of an image.
    make_block: see `MakeBlock`; always called with as many rows.
    settings: what the images depend on beside the run's data.
    origins: what they are made from, if they are not new.
  """

  labels: Int[np.ndarray, " n"]
  shape: tuple[int, int, int]
  make_block: MakeBlock
  settings: dict[str, Any]
  origins: Origins | None = None


def run_images(config: Config, spec: DataSpec, name: str) -> Split:
  """A split of a run's images, read again from where they are.

  Raises:
    RunError: if they cannot be read, or other images are there now.
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


# Others of its class among which an image's partner is the nearest.
CANDIDATES = 20
# Choices that are remembered, because blocks and records both ask for them.
_REMEMBERED = 2**16


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
    self.choose = functools.lru_cache(_REMEMBERED)(self._choose)
    needs = f"--mode {mode} needs {count} training images of a class"
    asked = range(spec.num_classes) if labels is None else np.unique(labels)
    for label in asked:
      if len(self._of_class[label]) < count:
        name = spec.class_names[label] if spec.class_names else spec.name
        raise ConfigError(f"{needs}; {name} has fewer")

  def _choose(
    self, seed: int, number: int, label: int
  ) -> Int[np.ndarray, " m"]:
    """A row of a class; with a count of 2 also one that is near to it.

    That is the nearest in pixels of a few others: between images that are far
    apart lies a double exposure. SMOTE (Chawla et al. 2002, section 4.2) takes
    one of the 5 nearest of all.
    """
    of_class = self._of_class[label]
    drawn = 1 if self._count == 1 else min(1 + CANDIDATES, len(of_class))
    rows = of_class[distinct(drawn, len(of_class), seed, number)]
    if self._count == 1:
      return rows
    images = self._split.gather(rows)["image"].astype(np.float32)
    squared = ((images[1:] - images[0]) ** 2).sum(axis=(1, 2, 3))
    return rows[[0, 1 + squared.argmin()]]

  def rows(
    self,
    seed: int,
    numbers: Int[np.ndarray, " b"],
    labels: Int[np.ndarray, " b"],
  ) -> Int[np.ndarray, "b m"]:
    """What `choose` gives for each new image."""
    pairs = zip(numbers.tolist(), labels.tolist(), strict=True)
    return np.stack([self.choose(seed, *pair) for pair in pairs])

  def gather(
    self,
    seed: int,
    numbers: Int[np.ndarray, " b"],
    labels: Int[np.ndarray, " b"],
  ) -> list[np.ndarray]:
    """`count` uint8 arrays [b, h, w, c], a row for each new image."""
    chosen = self.rows(seed, numbers, labels).T
    return [self._split.gather(rows)["image"] for rows in chosen]

  def origins(self, seed: int, outlines=None) -> Origins:
    """The same choice as the origins of a plan."""
    called = ("source",) if self._count == 1 else ("source 1", "source 2")
    rows = functools.partial(self.rows, seed)
    return Origins(self._split, "train", called, rows, outlines)
