"""What all priors say of the ids that they model."""

import math

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, PyTree

from vqvae_jax.nn.transformer import at_least_float32


class Prior(nn.Module):
  """A model of ids given the class: what all kinds have at both ends.

  Attributes:
    num_codes: size of the codebook.
    num_classes: number of classes; 1 for sets without labels. The label
      `num_classes` stands for any class, for classifier-free guidance.
    grid: rows and columns of ids, and how many each place has if above 1.
    layers: transformer blocks, or gated layers.
    width: channels of the residual stream, or of each stack.
    dropout: rate in each layer.
    dtype: of the computation; parameters are float32, and normalisation,
      softmax and logits are computed in float32 or wider.
  """

  num_codes: int
  num_classes: int
  grid: tuple[int, ...]
  layers: int = 4
  width: int = 128
  dropout: float = 0.0
  dtype: DTypeLike = jnp.float32

  # Whether `__call__` gives the logits of an exact likelihood.
  exact = True

  def setup(self):
    wide = at_least_float32(self.dtype)
    self.code_embedding = self.table(self.slots * self.num_codes)
    self.class_embedding = self.table(self.num_classes + 1)
    self.norm = nn.LayerNorm(dtype=wide)
    self.head = nn.Dense(self.num_codes, dtype=wide)

  def table(self, rows: int) -> nn.Embed:
    """Embeddings as wide as the network."""
    return nn.Embed(rows, self.width, dtype=self.dtype)

  @property
  def length(self) -> int:
    """Ids of an image."""
    return math.prod(self.grid)

  @property
  def slots(self) -> int:
    """Ids of a place."""
    return math.prod(self.grid[2:])

  def embed(
    self, ids: Int[Array, "*b"], positions: Int[Array, "*t"]
  ) -> Float[Array, "*b width"]:
    """Embeddings of codes, by the table of their slot.

    Args:
      ids: codes.
      positions: where they stand, in the last dimensions of `ids`.
    """
    return self.code_embedding(self.table_rows(ids, positions))

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
