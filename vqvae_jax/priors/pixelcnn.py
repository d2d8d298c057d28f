"""A class-conditional gated PixelCNN over the raster of ids.

Van den Oord et al.: "Conditional Image Generation with PixelCNN Decoders",
arXiv 1606.05328, sections 2.1 to 2.3.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from vqvae_jax.priors.base import AutoregressivePrior
from vqvae_jax.priors.gated import GatedLayer


class RowCache(NamedTuple):
  """The cache of one layer while ids are drawn.

  Attributes:
    above: last inputs of the vertical stack, one row of the grid each.
    link: contribution of the vertical stack and of the class to the horizontal
      stack in this row.
    left: last inputs of the horizontal stack in this row.
  """

  above: Float[Array, "b rows w c"]
  link: Float[Array, "b w p"]
  left: Float[Array, "b columns c"]


class PixelCNNCache(NamedTuple):
  """The code embeddings of the row that is drawn, and each layer's cache."""

  row: Float[Array, "b w c"]
  layers: tuple[RowCache, ...]


class PixelCNNPrior(AutoregressivePrior):
  """Predicts each id from the class and the ids before it in raster order.

  More layers see further: a logit of `PixelCNNPrior(..., grid, layers=l,
  kernel=k)` sees l (k - 1) / 2 + 1 rows above its own, and as many ids to its
  left. If cells have several ids, these follow each other within the row.

  Example: `PixelCNNPrior(512, 10, (7, 7))` maps ids [b, 49] and labels [b] to
  logits [b, 49, 512].

  Attributes:
    kernel: ids that the convolutions reach across, odd; see `GatedLayer`.
  """

  kernel: int = 3

  def setup(self):
    super().setup()
    self.column_embedding = self.table(self._columns)
    self.gated = [
      GatedLayer(self.width, self.kernel, self.dropout, self.dtype)
      for _ in range(self.layers)
    ]

  def __call__(
    self, ids: Int[Array, "b t"], labels: Int[Array, " b"], train: bool = False
  ) -> Float[Array, "b t k"]:
    codes = self.embed(ids, jnp.arange(ids.shape[1]))
    codes = codes.reshape(-1, self.grid[0], self._columns, self.width)
    v = jnp.pad(codes[:, :-1], ((0, 0), (1, 0), (0, 0), (0, 0)))
    x = jnp.pad(codes[:, :, :-1], ((0, 0), (0, 0), (1, 0), (0, 0)))
    x = x + self.column_embedding(jnp.arange(self._columns))[None, None]
    label = self.class_embedding(labels)
    for layer in self.gated:
      v, x = layer(v, x, label, train)
    return self._readout(x.reshape(*ids.shape, self.width))

  def init_cache(self, batch: int) -> PixelCNNCache:
    rows, columns = (self.kernel + 1) // 2, self._columns

    def zeros(*shape):
      return jnp.zeros((batch, *shape), self.dtype)

    layer = RowCache(
      above=zeros(rows, columns, self.width),
      link=zeros(columns, 2 * self.width),
      left=zeros(rows, self.width),
    )
    return PixelCNNCache(zeros(columns, self.width), (layer,) * self.layers)

  def begin_row(
    self,
    previous: Int[Array, " b"],
    labels: Int[Array, " b"],
    row: Int[Array, ""],
    cache: PixelCNNCache,
  ) -> PixelCNNCache:
    """Computes the vertical stack once for all ids of a row."""
    last = self.embed(previous, row * self._columns - 1)
    codes = cache.row.at[:, -1].set(jnp.where(row == 0, 0, last))
    label = self.class_embedding(labels)[:, None, None]
    v, layers = codes[:, None], []
    for layer, old in zip(self.gated, cache.layers, strict=True):
      above = jnp.concatenate([old.above[:, 1:], v], axis=1)
      v, link = layer.next_row(above, label)
      layers.append(RowCache(above, link[:, 0], jnp.zeros_like(old.left)))
    return PixelCNNCache(codes, tuple(layers))

  def decode_step(
    self,
    previous: Int[Array, " b"],
    labels: Int[Array, " b"],
    position: Int[Array, ""],
    cache: PixelCNNCache,
  ) -> tuple[Float[Array, "b k"], PixelCNNCache]:
    # The class is in the links that `begin_row` computed.
    column = position % self._columns
    # The id before the first of a row belongs to the row above.
    code = self.embed(previous, position - 1)
    code = jnp.where(column == 0, 0, code)
    row = jax.lax.dynamic_update_slice_in_dim(
      cache.row, code[:, None], jnp.maximum(column - 1, 0), axis=1
    )
    x = (code + self.column_embedding(column[None]))[:, None]
    moved = []
    for layer, old in zip(self.gated, cache.layers, strict=True):
      left = jnp.concatenate([old.left[:, 1:], x], axis=1)
      link = jax.lax.dynamic_slice_in_dim(old.link, column, 1, axis=1)
      x = x + layer.next_id(left[:, None], link[:, None])[:, 0]
      moved.append(old._replace(left=left))
    return self._readout(x[:, 0]), PixelCNNCache(row, tuple(moved))

  def _readout(self, x):
    return self.head(nn.relu(self.norm(x)))

  @property
  def _columns(self):
    return self.grid[1] * self.depth
