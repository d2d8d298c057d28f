"""A class-conditional gated PixelCNN over the raster of ids.

Van den Oord et al.: "Conditional Image Generation with PixelCNN Decoders",
arXiv 1606.05328, sections 2.1 to 2.3.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from vqvae_jax.nn.gated import GatedLayer
from vqvae_jax.priors.base import Prior


class RowCache(NamedTuple):
  """What one layer keeps while ids are drawn.

  Attributes:
    above: the last inputs of the vertical stack, one row of ids each.
    link: what the vertical stack gives to the horizontal one in this row, and
      what the class does.
    left: the last inputs of the horizontal stack in this row.
  """

  above: Float[Array, "b rows w c"]
  link: Float[Array, "b w p"]
  left: Float[Array, "b columns c"]


class PixelCNNCache(NamedTuple):
  """The code embeddings of the row being drawn, and every layer's cache."""

  row: Float[Array, "b w c"]
  layers: tuple[RowCache, ...]


class PixelCNNPrior(Prior):
  """Predicts each id from the class and the ids before it in raster order.

  Layers see further the more there are: a logit of `PixelCNNPrior(..., grid,
  layers=l, kernel=k)` sees l (k - 1) / 2 + 1 rows above its own, and as many
  ids to its left. Where each place has several ids, they follow each other
  within the row, and each has an embedding table of its own.

  Example: `PixelCNNPrior(512, 10, (7, 7))` maps ids [b, 49] and labels [b] to
  logits [b, 49, 512].

  Attributes:
    num_codes: see `Prior`, as for what is not listed here.
    kernel: see `GatedLayer`.
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
    """The cache before the first id, for `batch` images."""
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
    previous: Int[Array, "b"],
    labels: Int[Array, "b"],
    row: Int[Array, ""],
    cache: PixelCNNCache,
  ) -> PixelCNNCache:
    """Moves the vertical stack on, once a row, for all of its places.

    Args:
      previous: ids before the first of the row; anything in range for row 0.
      labels: class of each image.
      row: which one is to come, the same for all images.
      cache: as `init_cache` or the last step of the row above gave it.
    """
    last = self.embed(previous, row * self._columns - 1)
    codes = cache.row.at[:, -1].set(jnp.where(row == 0, 0, last))
    label = self.class_embedding(labels)[:, None, None]
    v, layers = codes[:, None], []
    for layer, held in zip(self.gated, cache.layers, strict=True):
      above = jnp.concatenate([held.above[:, 1:], v], axis=1)
      v, link = layer.next_row(above, label)
      layers.append(RowCache(above, link[:, 0], jnp.zeros_like(held.left)))
    return PixelCNNCache(codes, tuple(layers))

  def decode_step(
    self,
    previous: Int[Array, "b"],
    labels: Int[Array, "b"],
    position: Int[Array, ""],
    cache: PixelCNNCache,
  ) -> tuple[Float[Array, "b k"], PixelCNNCache]:
    """Logits of the ids at one position, with the work before it cached.

    Args:
      previous: ids at `position` - 1; anything in range at position 0.
      labels: class of each image; the row knows it already.
      position: which ids to predict, from 0 on, the same for all images.
      cache: as `begin_row` or the step before gave it.

    Returns:
      The row `position` of what `__call__` gives, and the cache for the next.
    """
    del labels
    column = position % self._columns
    # What comes before a row's first id belongs to the row above.
    code = self.embed(previous, position - 1)
    code = jnp.where(column == 0, 0, code)
    row = jax.lax.dynamic_update_slice_in_dim(
      cache.row, code[:, None], jnp.maximum(column - 1, 0), axis=1
    )
    x = (code + self.column_embedding(column[None]))[:, None]
    moved = []
    for layer, held in zip(self.gated, cache.layers, strict=True):
      left = jnp.concatenate([held.left[:, 1:], x], axis=1)
      link = jax.lax.dynamic_slice_in_dim(held.link, column, 1, axis=1)
      x = x + layer.next_id(left[:, None], link[:, None])[:, 0]
      moved.append(held._replace(left=left))
    return self._readout(x[:, 0]), PixelCNNCache(row, tuple(moved))

  def _readout(self, x):
    return self.head(nn.relu(self.norm(x)))

  @property
  def _columns(self):
    return self.grid[1] * self.slots
