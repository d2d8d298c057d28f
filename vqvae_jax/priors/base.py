"""The interface of all priors, and the likelihood of ids under them."""

import math
from functools import partial
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int, PyTree

from vqvae_jax.nn.dtypes import at_least_float32


class Prior(nn.Module):
  """A model of the ids of an image, given its class.

  An image has a grid of cells. A cell has one id, or several if the quantizer
  gives several (`depth`); those have embedding tables of their own. Ids are
  int32 in raster order, cell after cell.

  Attributes:
    num_codes: size of the codebook.
    num_classes: number of classes; 1 for sets without labels. The label
      `num_classes` stands for any class, for classifier-free guidance.
    grid: rows and columns of cells, and the ids of a cell if there are several.
    layers: number of transformer blocks, or of gated layers.
    width: channels of the residual stream, or of each stack.
    dropout: dropout rate in each layer.
    dtype: dtype of the computation; parameters are float32, and normalisation,
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
  exact: ClassVar[bool] = True

  def setup(self):
    wide = at_least_float32(self.dtype)
    self.code_embedding = self.table(self.depth * self.num_codes)
    self.class_embedding = self.table(self.num_classes + 1)
    self.norm = nn.LayerNorm(dtype=wide)
    self.head = nn.Dense(self.num_codes, dtype=wide)

  def table(self, size: int) -> nn.Embed:
    """Returns a table of embeddings as wide as the network."""
    return nn.Embed(size, self.width, dtype=self.dtype)

  @property
  def length(self) -> int:
    """Number of ids of an image."""
    return math.prod(self.grid)

  @property
  def depth(self) -> int:
    """Number of ids of a cell."""
    return math.prod(self.grid[2:])

  def embed(
    self, ids: Int[Array, "*b"], positions: Int[Array, "*t"]
  ) -> Float[Array, "*b width"]:
    """Returns embeddings of ids, each by the table of its depth.

    Args:
      ids: ids of codes.
      positions: positions in raster order of the last dimensions of `ids`.
    """
    return self.code_embedding(self.table_index(ids, positions))

  def table_index(
    self, ids: Int[Array, "*b"], positions: Int[Array, "*t"]
  ) -> Int[Array, "*b"]:
    """Returns indices into a table with `num_codes` embeddings for each depth.

    Args:
      ids: ids of codes.
      positions: positions in raster order of the last dimensions of `ids`.
    """
    first = positions % self.depth * self.num_codes
    return ids + jnp.broadcast_to(first, ids.shape)


class AutoregressivePrior(Prior):
  """Predicts each id from the class and the ids before it in raster order.

  Subclasses have an exact likelihood. `__call__` gives all logits at once from
  known ids; `begin_row` and `decode_step` give the same logits one by one from
  a cache, for sampling.
  """

  def __call__(
    self, ids: Int[Array, "b t"], labels: Int[Array, " b"], train: bool = False
  ) -> Float[Array, "b t k"]:
    """Returns the logits of every id, given the class and the ids before it.

    Args:
      ids: true ids in raster order.
      labels: class of each image.
      train: whether to drop; needs the rng "dropout".

    Returns:
      Logits over the codes, float32 or wider.
    """
    raise NotImplementedError

  def init_cache(self, batch: int) -> PyTree:
    """Returns the cache before the first id, for `batch` images."""
    raise NotImplementedError

  def begin_row(
    self,
    previous: Int[Array, " b"],
    labels: Int[Array, " b"],
    row: Int[Array, ""],
    cache: PyTree,
  ) -> PyTree:
    """Returns the cache for the first `decode_step` of a row of the grid.

    Args:
      previous: ids before the first of the row; any valid ids for row 0.
      labels: class of each image.
      row: number of the row, the same for all images.
      cache: cache that `init_cache` or the last step returned.
    """
    return cache

  def decode_step(
    self,
    previous: Int[Array, " b"],
    labels: Int[Array, " b"],
    position: Int[Array, ""],
    cache: PyTree,
  ) -> tuple[Float[Array, "b k"], PyTree]:
    """Returns the logits of the ids at one position, and the next cache.

    Args:
      previous: ids at `position` - 1; any valid ids at position 0.
      labels: class of each image.
      position: position in raster order to predict, the same for all images.
      cache: cache that `begin_row` or the step before returned.

    Returns:
      The logits at `position` that `__call__` gives, and the cache for the
      next step.
    """
    raise NotImplementedError


def prior_loss(
  logits: Float[Array, "b t k"],
  ids: Int[Array, "b t"],
  counted: Bool[Array, "b t"] | None = None,
) -> Float[Array, " b"]:
  """Returns the negative log-likelihood of each image's ids.

  Args:
    logits: logits over the codes, at every id.
    ids: true ids.
    counted: which ids to count; by default all.

  Returns:
    Nats per image: cross entropies summed over the ids, not averaged.
  """
  chosen = jnp.take_along_axis(logits, ids[..., None], axis=-1)[..., 0]
  nats = jax.nn.logsumexp(logits, axis=-1) - chosen
  return jnp.sum(nats, axis=-1, where=counted)


@partial(jax.jit, static_argnums=0)
def log_prob(
  prior: AutoregressivePrior,
  params: PyTree,
  ids: Int[Array, "b t"],
  labels: Int[Array, " b"],
) -> Float[Array, " b"]:
  """Returns the log-probability of each image's ids given its class.

  Args:
    prior: prior with an exact likelihood.
    params: parameters of the prior.
    ids: ids in raster order.
    labels: class of each image.

  Returns:
    Nats per image, at most 0.
  """
  return -prior_loss(prior.apply({"params": params}, ids, labels), ids)
