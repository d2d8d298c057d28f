"""What a job makes, as the generator hands it over."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np
from jaxtyping import Int, UInt8

from vqvae_jax.data import Split

# A function from the numbers of the images in a block, and their labels, to
# the images in uint8. They may still be on their way from the device.
MakeBlock = Callable[[Int[np.ndarray, " b"], Int[np.ndarray, " b"]], jax.Array]


@dataclasses.dataclass(frozen=True)
class Origins:
  """The images of the run's data that new images are made from.

  Attributes:
    split: split that holds them.
    name: name of the split, "train" or "validation".
    called: what the origins of an image are called, one or two names.
    rows: function from the numbers and labels of new images to indices in the
      split, with a column for each origin.
    outlines: function from numbers to the rectangles that were drawn again:
      top, left, height and width as shares of the image; None if there are
      none.
  """

  split: Split
  name: str
  called: tuple[str, ...]
  rows: Callable[..., Int[np.ndarray, "b m"]]
  outlines: Callable[..., np.ndarray] | None = None

  def images(self, rows: Int[np.ndarray, " b"]) -> UInt8[np.ndarray, "b ..."]:
    """Returns the images at these indices."""
    return self.split.gather(rows)["image"]

  def files(self, rows: Iterable[int]) -> list[str] | None:
    """Returns their paths in the data set, where it consists of files."""
    if self.split.files is None:
      return None
    return [self.split.files[row] for row in rows]


@dataclasses.dataclass(frozen=True)
class Plan:
  """What a job makes.

  Attributes:
    labels: class of each image.
    shape: height, width and channels of an image.
    make_block: see `MakeBlock`; always called with the same number of images.
    settings: what the images depend on besides the run's data.
    origins: the images that they are made from, if they are not new.
  """

  labels: Int[np.ndarray, " n"]
  shape: tuple[int, int, int]
  make_block: MakeBlock
  settings: dict[str, Any]
  origins: Origins | None = None
