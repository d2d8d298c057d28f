"""What the codebook quantizers share, as plain functions on arrays.

All of them compute in at least float32, whatever the precision of the network:
in half precision, distances lose the difference between near codes.
"""

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key


@flax.struct.dataclass
class QuantizerOutput:
  """What every quantizer returns.

  Attributes:
    vectors: the codes of the latents, [..., d], in the latents' dtype. Their
      gradient goes straight through to the latents.
    ids: index of each code, int32 [...].
    loss: mean over all elements, so it does not change with the batch size;
      scalar, to be added to the reconstruction loss as it is.
    metrics: scalars worth a look, without gradient.
  """

  vectors: Float[Array, "*n d"]
  ids: Int[Array, "*n"]
  loss: Float[Array, ""]
  metrics: dict[str, Float[Array, ""]]


def at_least_float32(x: Float[Array, "..."]) -> Float[Array, "..."]:
  """bfloat16 and float16 become float32; float64 stays."""
  return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def nearest_code(
  z: Float[Array, "n d"], codebook: Float[Array, "k d"]
) -> Int[Array, " n"]:
  """Index of the code nearest to each latent by Euclidean distance.

  Ties go to the lower index. The minimum and then the first index that
  attains it: XLA's CPU backend vectorises both, but not `argmin`.
  """
  z, codebook = at_least_float32(z), at_least_float32(codebook)
  # |z|^2 is the same for all codes and left out.
  distances = jnp.sum(codebook**2, axis=1)[None] - 2 * jnp.matmul(
    z, codebook.T, precision=jax.lax.Precision.HIGHEST
  )
  k = codebook.shape[0]
  nearest = jnp.min(distances, axis=1, keepdims=True)
  matches = jnp.where(distances == nearest, jnp.arange(k)[None], k - 1)
  return jnp.min(matches, axis=1).astype(jnp.int32)


def straight_through(
  z: Float[Array, "*n d"], vectors: Float[Array, "*n d"]
) -> Float[Array, "*n d"]:
  """`vectors` in the forward pass, the identity of `z` in the backward pass.

  Bengio et al., "Estimating or propagating gradients through stochastic
  neurons", arXiv 1308.3432; as used in van den Oord et al. 2017, section 3.2.
  """
  # Not z + (vectors - z), which is the code up to rounding only.
  return jax.lax.stop_gradient(vectors) + (z - jax.lax.stop_gradient(z))


def usage_counts(ids: Int[Array, "..."], k: int) -> Float[Array, " k"]:
  """How often each of the `k` codes occurs in `ids`."""
  return jnp.zeros(k).at[ids.reshape(-1)].add(1.0)


def perplexity(counts: Float[Array, " k"]) -> Float[Array, ""]:
  """exp of the entropy of the frequencies: 1 (one code) to k (all even)."""
  frequencies = counts / jnp.maximum(counts.sum(), 1)
  return jnp.exp(jax.scipy.special.entr(frequencies).sum())


def code_statistics(
  z: Float[Array, "n d"], ids: Int[Array, " n"], k: int
) -> tuple[Float[Array, " k"], Float[Array, "k d"]]:
  """Number and sum of the latents that chose each code."""

  def scatter(z, ids):
    counts = jnp.zeros(k, z.dtype).at[ids].add(1)
    return counts, jax.ops.segment_sum(z, ids, k)

  def product(z, ids):
    one_hot = jax.nn.one_hot(ids, k, dtype=z.dtype)
    sums = jnp.matmul(one_hot.T, z, precision=jax.lax.Precision.HIGHEST)
    return one_hot.sum(axis=0), sums

  # A CPU adds rows in order and saves the product; accelerators would have to
  # add atomically, one after the other and in no fixed order.
  return jax.lax.platform_dependent(z, ids, cpu=scatter, default=product)


def dead_codes(
  count: Float[Array, " k"], revive_below: float
) -> Bool[Array, " k"]:
  """Codes whose running count is below that share of the average count."""
  return count < revive_below * count.mean()


def draw_latents(
  key: Key[Array, ""], z: Float[Array, "n d"], k: int
) -> Float[Array, "k d"]:
  """`k` rows of `z`, without repetition where there are enough."""
  n = z.shape[0]
  rows = jax.random.choice(key, n, (k,), replace=n < k)
  return z[rows]
