"""A class-conditional causal transformer over the raster of ids."""

from typing import NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from vqvae_jax.nn.transformer import (
  KVCache,
  at_least_float32,
  empty_cache,
  residual_blocks,
)
from vqvae_jax.priors.base import Prior


class TransformerCache(NamedTuple):
  """What is kept while ids are drawn.

  Attributes:
    blocks: keys and values of each block.
    stream: the residual stream of the place being drawn.
    place: sum of the embeddings of its ids so far.
    before: the same by the table that its next id is predicted from.
  """

  blocks: tuple[KVCache, ...]
  stream: Float[Array, "b width"]
  place: Float[Array, "b width"]
  before: Float[Array, "b width"]


class TransformerPrior(Prior):
  """Predicts each id from the class and the ids before it in raster order.

  The model of a VQ-VAE's codes (van den Oord et al. 2017, section 3.3) as a
  GPT-2-like transformer. Position t holds the sum of the embeddings of id
  t - 1 (nothing at t = 0), of the class, and of the row and the column of id t,
  and gives the logits of id t. Sets without labels are one class, 0. One label
  more, `num_classes`, stands for any class, for classifier-free guidance.
  Where each place has several ids (of a residual or a product quantizer), the
  blocks see each place once, by the sum of its embeddings; an MLP then predicts
  the ids of a place in turn, each from the residual stream and the ids before
  it at that place (as RQ-VAE's depth transformer, arXiv 2203.01941, section
  3.2, does with attention).

  Example: `TransformerPrior(512, 10, (7, 7))` maps ids [b, 49] and labels [b]
  to logits [b, 49, 512].

  Attributes:
    num_codes: see `Prior`, as for what is not listed here.
    dropout: rate on embeddings, attention and MLP outputs.
    heads: attention heads; divides the width.
  """

  heads: int = 4

  def setup(self):
    super().setup()
    self.row_embedding = self.table(self.grid[0])
    self.column_embedding = self.table(self.grid[1])
    if self.slots > 1:
      self.slot_embedding = self.table(self.slots)
      self.prefix_embedding = self.table(self.slots * self.num_codes)
      self.slot_norm = nn.LayerNorm(dtype=at_least_float32(self.dtype))
      self.slot_in = nn.Dense(4 * self.width, dtype=self.dtype)
      self.slot_out = nn.Dense(self.width, dtype=self.dtype)
    self.blocks = residual_blocks(
      self.layers, self.heads, True, self.dropout, self.dtype
    )
    self.embedding_dropout = nn.Dropout(self.dropout)

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
    codes = self._by_place(self.embed(ids, positions)).sum(axis=2)
    x = jnp.pad(codes[:, :-1], ((0, 0), (1, 0), (0, 0)))
    x = x + self.class_embedding(labels)[:, None]
    x = x + self._places(jnp.arange(x.shape[1]))[None]
    x = self.embedding_dropout(x, deterministic=not train)
    for block in self.blocks:
      x, _ = block(x, train)
    if self.slots == 1:
      return x
    before = self._by_place(
      self.prefix_embedding(self.table_rows(ids, positions))
    )
    before = jnp.cumsum(before, axis=2) - before
    x = self._slot(x[:, :, None], before, jnp.arange(self.slots))
    return x.reshape(*ids.shape, self.width)

  def readout(self, x: Float[Array, "... width"]) -> Float[Array, "... k"]:
    """Logits from the residual stream."""
    return self.head(self.norm(x))

  def init_cache(self, batch: int) -> TransformerCache:
    """The cache before the first id, for `batch` images."""
    head_width = self.width // self.heads
    places = self.length // self.slots
    nothing = jnp.zeros((batch, self.width), self.dtype)
    return TransformerCache(
      tuple(
        empty_cache(batch, self.heads, places, head_width, self.dtype)
        for _ in range(self.layers)
      ),
      *(nothing,) * 3,
    )

  def decode_step(
    self,
    previous: Int[Array, "b"],
    labels: Int[Array, "b"],
    position: Int[Array, ""],
    cache: TransformerCache,
  ) -> tuple[Float[Array, "b k"], TransformerCache]:
    """Logits of the ids at one position, with the work before it cached.

    Args:
      previous: ids at `position` - 1; anything in range at position 0.
      labels: class of each image.
      position: which ids to predict, from 0 on, the same for all images.
      cache: as `init_cache` or the step before gave it.

    Returns:
      The row `position` of what `__call__` gives, and the cache for the next.
    """
    row = self.table_rows(previous, position - 1)
    code = jnp.where(position == 0, 0, self.code_embedding(row))
    cache = cache._replace(place=cache.place + code)
    if self.slots == 1:
      cache = self._next_place(labels, position, cache)
      return self.readout(cache.stream), cache
    place, slot = jnp.divmod(position, self.slots)
    cache = cache._replace(before=cache.before + self.prefix_embedding(row))
    cache = nn.cond(
      slot == 0,
      TransformerPrior._next_place,
      _same_place,
      self,
      labels,
      place,
      cache,
    )
    return self.readout(self._slot(cache.stream, cache.before, slot)), cache

  def _next_place(self, labels, place, cache):
    """The cache at the first id of a place, after all ids of the one before."""
    x = cache.place + self.class_embedding(labels)
    x = (x + self._places(place[None]))[:, None]
    caches = []
    for block, block_cache in zip(self.blocks, cache.blocks, strict=True):
      x, block_cache = block(x, position=place, cache=block_cache)
      caches.append(block_cache)
    nothing = jnp.zeros_like(cache.place)
    return TransformerCache(tuple(caches), x[:, 0], nothing, nothing)

  def _slot(self, stream, before, slot):
    """The stream of one id of a place, from the place's and the ids before."""
    x = stream + before
    x = x + self.slot_embedding(slot).reshape(
      (1,) * (x.ndim - 1 - jnp.ndim(slot)) + (*jnp.shape(slot), self.width)
    )
    return x + self.slot_out(nn.gelu(self.slot_in(self.slot_norm(x))))

  def _by_place(self, codes):
    return codes.reshape(codes.shape[0], -1, self.slots, self.width)

  def _places(self, places: Int[Array, "t"]) -> Float[Array, "t width"]:
    row, column = jnp.divmod(places, self.grid[1])
    return self.row_embedding(row) + self.column_embedding(column)


def _same_place(prior, labels, place, cache):
  del prior, labels, place
  return cache
