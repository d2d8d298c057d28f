"""A class-conditional causal transformer over the raster of ids."""

from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from vqvae_jax.nn.dtypes import at_least_float32
from vqvae_jax.nn.transformer import KVCache, empty_cache, residual_blocks
from vqvae_jax.priors.base import AutoregressivePrior


class TransformerCache(NamedTuple):
  """The cache while ids are drawn.

  Attributes:
    blocks: keys and values of each block.
    stream: residual stream of the cell that is drawn.
    cell: sum of the embeddings of its ids so far.
    prefix: the same sum by the table that predicts its next id.
  """

  blocks: tuple[KVCache, ...]
  stream: Float[Array, "b width"]
  cell: Float[Array, "b width"]
  prefix: Float[Array, "b width"]


class TransformerPrior(AutoregressivePrior):
  """Predicts each id from the class and the ids before it in raster order.

  This models a VQ-VAE's codes (van den Oord et al. 2017, section 3.3) by a
  transformer like GPT-2. Position t holds the sum of the embeddings of id
  t - 1 (nothing at t = 0), of the class, and of the row and the column of id t,
  and gives the logits of id t. Sets without labels have one class, 0.

  If cells have several ids (of a residual or a product quantizer), the blocks
  see each cell once, by the sum of its embeddings. An MLP then predicts the ids
  of a cell in turn, each from the residual stream and the ids before it in that
  cell (as RQ-VAE's depth transformer, arXiv 2203.01941, section 3.2, does with
  attention).

  Example: `TransformerPrior(512, 10, (7, 7))` maps ids [b, 49] and labels [b]
  to logits [b, 49, 512].

  Attributes:
    heads: number of attention heads; divides the width.
  """

  heads: int = 4

  def setup(self):
    super().setup()
    self.row_embedding = self.table(self.grid[0])
    self.column_embedding = self.table(self.grid[1])
    if self.depth > 1:
      # "slot" is another word for the depth; checkpoints have these names.
      self.slot_embedding = self.table(self.depth)
      self.prefix_embedding = self.table(self.depth * self.num_codes)
      self.slot_norm = nn.LayerNorm(dtype=at_least_float32(self.dtype))
      self.slot_in = nn.Dense(4 * self.width, dtype=self.dtype)
      self.slot_out = nn.Dense(self.width, dtype=self.dtype)
    self.blocks = residual_blocks(
      self.layers, self.heads, True, self.dropout, self.dtype
    )
    self.embedding_dropout = nn.Dropout(self.dropout)

  def __call__(
    self, ids: Int[Array, "b t"], labels: Int[Array, " b"], train: bool = False
  ) -> Float[Array, "b t k"]:
    return self.readout(self.stream(ids, labels, train))

  def stream(
    self, ids: Int[Array, "b t"], labels: Int[Array, " b"], train: bool = False
  ) -> Float[Array, "b t width"]:
    """Returns the residual stream at every id; see `__call__`."""
    positions = jnp.arange(ids.shape[1])
    codes = self._by_cell(self.embed(ids, positions)).sum(axis=2)
    x = jnp.pad(codes[:, :-1], ((0, 0), (1, 0), (0, 0)))
    x = x + self.class_embedding(labels)[:, None]
    x = x + self._cells(jnp.arange(x.shape[1]))[None]
    x = self.embedding_dropout(x, deterministic=not train)
    for block in self.blocks:
      x, _ = block(x, train)
    if self.depth == 1:
      return x
    prefix = self._by_cell(
      self.prefix_embedding(self.table_index(ids, positions))
    )
    prefix = jnp.cumsum(prefix, axis=2) - prefix
    x = self._at_depth(x[:, :, None], prefix, jnp.arange(self.depth))
    return x.reshape(*ids.shape, self.width)

  def readout(self, x: Float[Array, "... width"]) -> Float[Array, "... k"]:
    """Returns the logits of a residual stream."""
    return self.head(self.norm(x))

  def init_cache(self, batch: int) -> TransformerCache:
    head_width = self.width // self.heads
    cells = self.length // self.depth
    nothing = jnp.zeros((batch, self.width), self.dtype)
    return TransformerCache(
      tuple(
        empty_cache(batch, self.heads, cells, head_width, self.dtype)
        for _ in range(self.layers)
      ),
      *(nothing,) * 3,
    )

  def decode_step(
    self,
    previous: Int[Array, " b"],
    labels: Int[Array, " b"],
    position: Int[Array, ""],
    cache: TransformerCache,
  ) -> tuple[Float[Array, "b k"], TransformerCache]:
    index = self.table_index(previous, position - 1)
    code = jnp.where(position == 0, 0, self.code_embedding(index))
    cache = cache._replace(cell=cache.cell + code)
    if self.depth == 1:
      cache = self._next_cell(labels, position, cache)
      return self.readout(cache.stream), cache
    cell, depth = jnp.divmod(position, self.depth)
    cache = cache._replace(prefix=cache.prefix + self.prefix_embedding(index))
    cache = nn.cond(
      depth == 0,
      TransformerPrior._next_cell,
      lambda prior, labels, cell, cache: cache,
      self,
      labels,
      cell,
      cache,
    )
    x = self._at_depth(cache.stream, cache.prefix, depth)
    return self.readout(x), cache

  def _next_cell(self, labels, cell, cache):
    """Returns the cache at the first id of a cell."""
    x = cache.cell + self.class_embedding(labels)
    x = (x + self._cells(cell[None]))[:, None]
    caches = []
    for block, block_cache in zip(self.blocks, cache.blocks, strict=True):
      x, block_cache = block(x, position=cell, cache=block_cache)
      caches.append(block_cache)
    nothing = jnp.zeros_like(cache.cell)
    return TransformerCache(tuple(caches), x[:, 0], nothing, nothing)

  def _at_depth(self, stream, prefix, depth):
    """Returns the stream of an id from the cell's and the ids before it."""
    x = stream + prefix
    x = x + self.slot_embedding(depth).reshape(
      (1,) * (x.ndim - 1 - jnp.ndim(depth)) + (*jnp.shape(depth), self.width)
    )
    return x + self.slot_out(nn.gelu(self.slot_in(self.slot_norm(x))))

  def _by_cell(self, codes):
    return codes.reshape(codes.shape[0], -1, self.depth, self.width)

  def _cells(self, cells: Int[Array, " t"]) -> Float[Array, "t width"]:
    """Returns the embeddings of positions of cells."""
    row, column = jnp.divmod(cells, self.grid[1])
    return self.row_embedding(row) + self.column_embedding(column)
