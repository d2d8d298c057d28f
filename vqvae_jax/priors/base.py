"""What all priors say of the ids that they model."""

import math

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Int, PyTree


class Prior(nn.Module):
  """A model of ids given the class.

  Attributes:
    num_codes: size of the codebook.
    num_classes: number of classes; 1 for sets without labels. The label
      `num_classes` stands for any class.
    grid: rows and columns of ids, and how many each place has if above 1.
  """

  num_codes: int
  num_classes: int
  grid: tuple[int, ...]

  # Whether `__call__` gives the logits of an exact likelihood.
  exact = True

  @property
  def length(self) -> int:
    """Ids of an image."""
    return math.prod(self.grid)

  @property
  def slots(self) -> int:
    """Ids of a place."""
    return math.prod(self.grid[2:])

  def table_rows(
    self, ids: Int[Array, "*b"], positions: Int[Array, "*t"]
  ) -> Int[Array, "*b"]:
    """Rows of an embedding table that has `num_codes` rows for each slot.

    Args:
      ids: codes.
      positions: where they stand, in the last dimensions of `ids`.
    """
    first = positions % self.slots * self.num_codes
    return ids + jnp.broadcast_to(first, ids.shape)

  def begin_row(
    self,
    previous: Int[Array, "b"],
    labels: Int[Array, "b"],
    row: Int[Array, ""],
    cache: PyTree,
  ) -> PyTree:
    """The cache that the first `decode_step` of a row of ids is given.

    Args:
      previous: ids before the first of the row; anything in range for row 0.
      labels: class of each image.
      row: which one is to come, the same for all images.
      cache: of the step before.
    """
    del previous, labels, row
    return cache
