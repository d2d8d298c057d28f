"""A class-conditional causal transformer over the raster of ids."""

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from vqvae_jax.nn.transformer import (
  Block,
  KVCache,
  at_least_float32,
  empty_cache,
)
from vqvae_jax.priors.base import Prior


class TransformerPrior(Prior):
  """Predicts each id from the class and the ids before it in raster order.

  The model of a VQ-VAE's codes (van den Oord et al. 2017, section 3.3) as a
  GPT-2-like transformer. Position t holds the sum of the embeddings of id
  t - 1 (nothing at t = 0), of the class, and of the row and the column of id t,
  and gives the logits of id t. Sets without labels are one class, 0. One label
  more, `num_classes`, stands for any class, for classifier-free guidance.
  Where each place has several ids (of a residual or a product quantizer), they
  follow each other, and each of them has an embedding table of its own.

  Example: `TransformerPrior(512, 10, (7, 7))` maps ids [b, 49] and labels [b]
  to logits [b, 49, 512].

  Attributes:
    num_codes: see `Prior`, as for the next two.
    num_classes: see there.
    grid: see there.
    layers: transformer blocks.
    width: channels of the residual stream.
    heads: attention heads; divides the width.
    dropout: rate on embeddings, attention and MLP outputs.
    dtype: of the computation; parameters are float32, and normalisation,
      softmax and logits are computed in float32 or wider.
  """

  layers: int = 4
  width: int = 128
  heads: int = 4
  dropout: float = 0.0
  dtype: DTypeLike = jnp.float32

  def setup(self):
    def embed(size):
      return nn.Embed(size, self.width, dtype=self.dtype)

    self.code_embedding = embed(self.slots * self.num_codes)
    self.class_embedding = embed(self.num_classes + 1)
    self.row_embedding = embed(self.grid[0])
    self.column_embedding = embed(self.grid[1])
    if self.slots > 1:
      self.slot_embedding = embed(self.slots)
    # GPT-2's scaling: the variance of the residual stream does not grow with
    # depth (Radford et al. 2019, section 2.3). Its standard deviation of 0.02
    # is for wide networks; at width 128 it learns much slower than this.
    out_init = nn.initializers.variance_scaling(
      1 / (2 * self.layers), "fan_in", "truncated_normal"
    )
    self.blocks = [
      Block(self.heads, True, self.dropout, out_init, self.dtype)
      for _ in range(self.layers)
    ]
    self.embedding_dropout = nn.Dropout(self.dropout)
    wide = at_least_float32(self.dtype)
    self.norm = nn.LayerNorm(dtype=wide)
    self.head = nn.Dense(self.num_codes, dtype=wide)

  def __call__(
    self,
    ids: Int[Array, "b t"],
    labels: Int[Array, "b"],
    train: bool = False,
  ) -> Float[Array, "b t k"]:
    """Logits of every id, each given the class and the true ids before it.

    Args:
      ids: in raster order, t is the product of the grid.
      labels: class of each image.
      train: whether to drop; needs the rng "dropout".

    Returns:
      Logits over the codes, float32 or wider.
    """
    return self.readout(self.hidden(ids, labels, train))

  def hidden(
    self,
    ids: Int[Array, "b t"],
    labels: Int[Array, "b"],
    train: bool = False,
  ) -> Float[Array, "b t width"]:
    """The residual stream after the last block; see `__call__`."""
    positions = jnp.arange(ids.shape[1])
    codes = self._embed_codes(ids[:, :-1], positions[:-1])
    x = jnp.pad(codes, ((0, 0), (1, 0), (0, 0)))
    x = x + self.class_embedding(labels)[:, None]
    x = x + self._places(positions)[None]
    x = self.embedding_dropout(x, deterministic=not train)
    for block in self.blocks:
      x, _ = block(x, train)
    return x

  def readout(self, x: Float[Array, "... width"]) -> Float[Array, "... k"]:
    """Logits from the residual stream."""
    return self.head(self.norm(x))

  def init_cache(self, batch: int) -> tuple[KVCache, ...]:
    """Empty caches, one per block, for `batch` images."""
    head_width = self.width // self.heads
    return tuple(
      empty_cache(batch, self.heads, self.length, head_width, self.dtype)
      for _ in range(self.layers)
    )

  def decode_step(
    self,
    previous: Int[Array, "b"],
    labels: Int[Array, "b"],
    position: Int[Array, ""],
    cache: tuple[KVCache, ...],
  ) -> tuple[Float[Array, "b k"], tuple[KVCache, ...]]:
    """Logits of the ids at one position, with the work before it cached.

    Args:
      previous: ids at `position` - 1; anything in range at position 0.
      labels: class of each image.
      position: which ids to predict, from 0 on, the same for all images.
      cache: as `init_cache` or the step before gave it.

    Returns:
      The row `position` of what `__call__` gives, and the cache for the next.
    """
    codes = self._embed_codes(previous, position - 1)
    x = jnp.where(position == 0, 0, codes)
    x = x + self.class_embedding(labels)
    x = (x + self._places(position[None]))[:, None]
    caches = []
    for block, block_cache in zip(self.blocks, cache, strict=True):
      x, block_cache = block(x, position=position, cache=block_cache)
      caches.append(block_cache)
    return self.readout(x[:, 0]), tuple(caches)

  def _places(self, positions: Int[Array, "t"]) -> Float[Array, "t width"]:
    place, slot = jnp.divmod(positions, self.slots)
    row, column = jnp.divmod(place, self.grid[1])
    x = self.row_embedding(row) + self.column_embedding(column)
    return x + self.slot_embedding(slot) if self.slots > 1 else x

  def _embed_codes(self, ids, positions):
    return self.code_embedding(self.table_rows(ids, positions))
