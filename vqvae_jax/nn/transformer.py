"""Pre-LayerNorm transformer blocks with an explicit key/value cache.

Without a cache a block takes whole sequences; with one, a single position. The
cache is an argument and a result, so that a block can be the body of a
`jax.lax.scan`.
"""

from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int

from vqvae_jax.nn.dtypes import at_least_float32


class KVCache(NamedTuple):
  """Keys and values of one block at the positions seen so far."""

  # Time comes after the heads, so that the product with one query per head
  # reads contiguous rows: the fastest of the layouts that were tried on CPU.
  keys: Float[Array, "b heads t d"]
  values: Float[Array, "b heads t d"]


def empty_cache(
  batch: int, heads: int, length: int, head_width: int, dtype: DTypeLike
) -> KVCache:
  """Returns a cache for `length` positions, none of which is written."""
  shape = (batch, heads, length, head_width)
  return KVCache(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype))


def attend(
  queries: Float[Array, "b heads q d"],
  keys: Float[Array, "b heads t d"],
  values: Float[Array, "b heads t d"],
  visible: Bool[Array, "1 1 #q t"],
) -> Float[Array, "b heads q d"]:
  """Computes scaled dot-product attention.

  Vaswani et al.: "Attention Is All You Need", arXiv 1706.03762, section 3.2.1.
  Queries [b, 4, 49, 32] give means [b, 4, 49, 32] of the values.

  Args:
    queries: one query for each position that looks.
    keys: one key for each position that can be seen.
    values: one value for each position that can be seen.
    visible: which positions each query may see, at least one each.

  Returns:
    The weighted means of the values. The weights are computed in float32 or
    wider, whatever the inputs are.
  """
  scores = jnp.einsum(
    "bhqd,bhtd->bhqt",
    queries,
    keys,
    preferred_element_type=at_least_float32(queries.dtype),
  )
  scores = scores * queries.shape[-1] ** -0.5
  weights = jax.nn.softmax(jnp.where(visible, scores, -jnp.inf))
  return jnp.einsum("bhqt,bhtd->bhqd", weights.astype(values.dtype), values)


class Attention(nn.Module):
  """Multi-head self-attention.

  Attributes:
    heads: number of heads; divides the width.
    causal: whether a position sees itself and those before it only.
    out_init: initializer of the output projection.
    dtype: dtype of the computation; parameters are float32.
  """

  heads: int
  causal: bool = True
  out_init: nn.initializers.Initializer = nn.initializers.lecun_normal()
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(
    self,
    x: Float[Array, "b t width"],
    position: Int[Array, ""] | None = None,
    cache: KVCache | None = None,
  ) -> tuple[Float[Array, "b t width"], KVCache | None]:
    """Computes whole sequences, or one position; see `Block`."""
    batch, length, width = x.shape
    qkv = nn.Dense(3 * width, dtype=self.dtype, name="qkv")(x)
    qkv = qkv.reshape(batch, length, 3, self.heads, width // self.heads)
    # With the heads in front each product is one plain matrix product per
    # image and head; contracting in the other order takes twice as long on
    # CPU.
    queries, keys, values = jnp.transpose(qkv, (2, 0, 3, 1, 4))
    if cache is None:
      visible = jnp.ones((length, length), bool)[None, None]
      visible = jnp.tril(visible) if self.causal else visible
    else:
      write = partial(
        jax.lax.dynamic_update_slice_in_dim, start_index=position, axis=2
      )
      keys, values = write(cache.keys, keys), write(cache.values, values)
      cache = KVCache(keys, values)
      visible = (jnp.arange(keys.shape[2]) <= position)[None, None, None]
    mixed = attend(queries, keys, values, visible)
    mixed = jnp.transpose(mixed, (0, 2, 1, 3)).reshape(x.shape)
    out = nn.Dense(
      width, dtype=self.dtype, kernel_init=self.out_init, name="out"
    )(mixed)
    return out, cache


class Block(nn.Module):
  """Attention, then an MLP four times as wide, each on a normalised input.

  This is the pre-LayerNorm residual block of GPT-2 (Radford et al. 2019,
  section 2.3). It takes [b, 49, 128] to [b, 49, 128].

  Attributes:
    heads: number of attention heads; divides the width.
    causal: see `Attention`.
    dropout: dropout rate on the outputs of attention and MLP.
    out_init: initializer of the two projections that add to the residual.
    dtype: dtype of the computation; parameters are float32, and the LayerNorms
      compute in float32 or wider.
  """

  heads: int
  causal: bool = True
  dropout: float = 0.0
  out_init: nn.initializers.Initializer = nn.initializers.lecun_normal()
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(
    self,
    x: Float[Array, "b t width"],
    train: bool = False,
    position: Int[Array, ""] | None = None,
    cache: KVCache | None = None,
  ) -> tuple[Float[Array, "b t width"], KVCache | None]:
    """Computes whole sequences, or with a cache the one position given.

    Args:
      x: inputs; with a cache, t is 1.
      train: whether to drop; needs the rng "dropout".
      position: position of `x`, from 0 on; only with a cache.
      cache: keys and values of the positions before.

    Returns:
      The outputs, and the cache with `position` written (None without one).
    """
    width = x.shape[-1]
    wide = at_least_float32(self.dtype)
    drop = nn.Dropout(self.dropout, deterministic=not train)
    y = nn.LayerNorm(dtype=wide, name="attention_norm")(x)
    y, cache = Attention(
      self.heads, self.causal, self.out_init, self.dtype, name="attention"
    )(y, position, cache)
    x = x + drop(y)
    y = nn.LayerNorm(dtype=wide, name="mlp_norm")(x)
    y = nn.Dense(4 * width, dtype=self.dtype, name="mlp_in")(y)
    y = nn.Dense(
      width, dtype=self.dtype, kernel_init=self.out_init, name="mlp_out"
    )(nn.gelu(y))
    return x + drop(y), cache


def residual_blocks(
  layers: int, heads: int, causal: bool, dropout: float, dtype: DTypeLike
) -> list[Block]:
  """Returns the blocks of a prior.

  Their outputs start at GPT-2's scale: the variance of the residual stream
  does not grow with depth (Radford et al. 2019, section 2.3). GPT-2's standard
  deviation of 0.02 is for wide networks; at width 128 it learns much more
  slowly than this.
  """
  out_init = nn.initializers.variance_scaling(
    1 / (2 * layers), "fan_in", "truncated_normal"
  )
  return [Block(heads, causal, dropout, out_init, dtype) for _ in range(layers)]
