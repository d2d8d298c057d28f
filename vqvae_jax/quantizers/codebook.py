"""Functions on arrays that the quantizers share: choices, counts and losses.

All of them compute in at least float32, whatever the precision of the network:
in half precision, distances lose the difference between near codes.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec
from jaxtyping import Array, Bool, Float, Int, Key

from vqvae_jax.quantizers.axes import spec_of, with_auto_axes
from vqvae_jax.quantizers.search import nearest_code

# Up to this many numbers, a product with one-hot rows; beyond, scattered adds.
ONE_HOT_LIMIT = 2**26


def straight_through(
  z: Float[Array, "*n d"], vectors: Float[Array, "*n d"]
) -> Float[Array, "*n d"]:
  """Returns `vectors`; their gradient goes to `z` as it is.

  Bengio et al., "Estimating or propagating gradients through stochastic
  neurons", arXiv 1308.3432; as used in van den Oord et al. 2017, section 3.2.
  """
  # Not z + (vectors - z), which is the code up to rounding only.
  return jax.lax.stop_gradient(vectors) + (z - jax.lax.stop_gradient(z))


def rotated(
  z: Float[Array, "*n d"], vectors: Float[Array, "*n d"]
) -> Float[Array, "*n d"]:
  """Returns `vectors`; their gradient goes to `z`, turned as `z` was.

  The rotation trick: Fifty et al., "Restructuring Vector Quantization with the
  Rotation Trick", arXiv 2410.06424, section 4, in the form of its equation for
  cheap computation: the turn is two reflections, I - 2 r r' + 2 v u', where u
  and v are the unit vectors of `z` and `vectors` and r that of their sum; then
  a stretch to the length of `vectors`. All of it is a constant to the gradient.
  """
  tiny = jnp.finfo(z.dtype).tiny ** 0.5

  def length(x):
    return jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), tiny)

  def dot(a, b):
    return jnp.sum(a * b, axis=-1, keepdims=True)

  fixed, vectors = jax.lax.stop_gradient((z, vectors))
  u, v = fixed / length(fixed), vectors / length(vectors)
  r = (u + v) / length(u + v)
  turned = z - 2 * r * dot(r, z) + 2 * v * dot(u, z)
  turned = turned * (length(vectors) / length(fixed))
  # The forward value exactly, not up to rounding.
  return vectors + (turned - jax.lax.stop_gradient(turned))


GRADIENTS = {"straight-through": straight_through, "rotation": rotated}


def unit(x: Float[Array, "*n d"]) -> Float[Array, "*n d"]:
  """Scales rows to length 1; rows of (nearly) zeros stay as they are."""
  squared = jnp.sum(x**2, axis=-1, keepdims=True)
  # Below this, the gradient's `squared ** -1.5` would not be finite.
  least = jnp.finfo(x.dtype).tiny ** (2 / 3)
  return x * jax.lax.rsqrt(jnp.where(squared > least, squared, 1))


def choose_code(
  z: Float[Array, "n d"],
  codes: Float[Array, "k d"],
  temperature: float | Float[Array, ""],
  key: Key[Array, ""] | None,
) -> Int[Array, " n"]:
  """Returns the id of the nearest code, or of a near one at random.

  Args:
    z: latents.
    codes: codes to choose from.
    temperature: 0 takes the nearest; above 0, or if it is traced, the choice
      holds all n times k distances. See `near_logits`.
    key: key of the draws; None if the temperature is 0.
  """
  z, codes = jax.lax.stop_gradient((z, codes))
  if not isinstance(temperature, jax.Array) and not temperature:
    return nearest_code(z, codes)
  logits = near_logits(squared_distances(z, codes), temperature)
  return jax.random.categorical(key, logits).astype(jnp.int32)


def near_logits(
  distances: Float[Array, "n *c k"], temperature: float | Float[Array, ""]
) -> Float[Array, "n *c k"]:
  """Returns logits of a random choice among near codes; at 0, the nearest.

  The unit of the temperature is the mean squared distance of these latents to
  their nearest code, that is, what quantization costs anyway.

  Args:
    distances: squared distances of latents to codes; with c, those of channels
      that are chosen by themselves and whose distances add up.
    temperature: temperature, from 0 on.
  """
  nearest = distances.min(axis=-1, keepdims=True)
  scale = mean(nearest.sum(axis=tuple(range(1, nearest.ndim))))
  tiny = jnp.finfo(distances.dtype).tiny
  return (nearest - distances) / jnp.maximum(temperature * scale, tiny)


def squared_distances(
  z: Float[Array, "n d"], codes: Float[Array, "k d"]
) -> Float[Array, "n k"]:
  """Returns the squared distance of every latent to every code."""
  products = jnp.matmul(z, codes.T, precision=jax.lax.Precision.HIGHEST)
  return (
    jnp.sum(z**2, axis=1)[:, None]
    + jnp.sum(codes**2, axis=1)[None]
    - 2 * products
  )


def lookup(
  codes: Float[Array, "k d"], ids: Int[Array, "*n"]
) -> Float[Array, "*n d"]:
  """Returns the code of each id."""
  out_spec = PartitionSpec(*spec_of(ids), None)
  return with_auto_axes(lambda codes, ids: codes[ids], out_spec, codes, ids)


def mean(x: Float[Array, "..."]) -> Float[Array, ""]:
  """Returns the mean of all elements, or 0 if there are none."""
  return x.mean() if x.size else jnp.zeros((), x.dtype)


def usage_counts(ids: Int[Array, "..."], k: int) -> Float[Array, " k"]:
  """Returns how often each of the `k` codes occurs in `ids`."""

  def count(ids):
    return jnp.zeros(k).at[ids.reshape(-1)].add(1.0)

  return with_auto_axes(count, PartitionSpec(), ids)


def perplexity(
  counts: Float[Array | np.ndarray, "... k"],
) -> Float[Array, "..."]:
  """Returns exp(entropy of the frequencies): 1 (one code) to k (all even)."""
  total = counts.sum(axis=-1, keepdims=True)
  frequencies = counts / jnp.maximum(total, 1)
  return jnp.exp(entropy(frequencies))


def code_statistics(
  z: Float[Array | np.ndarray, "n d"], ids: Int[Array, " n"], k: int
) -> tuple[Float[Array | np.ndarray, " k"], Float[Array, "k d"]]:
  """Returns the number and the sum of the latents that chose each code."""

  def scatter(z, ids):
    counts = jnp.zeros(k, z.dtype).at[ids].add(1)
    return counts, jax.ops.segment_sum(z, ids, k)

  def product(z, ids):
    one_hot = jax.nn.one_hot(ids, k, dtype=z.dtype)
    sums = jnp.matmul(one_hot.T, z, precision=jax.lax.Precision.HIGHEST)
    return one_hot.sum(axis=0), sums

  def count(z, ids):
    if z.shape[0] * k > ONE_HOT_LIMIT:
      return scatter(z, ids)
    # A CPU adds rows in order and saves the product; accelerators would have
    # to add atomically, one after the other and in no fixed order.
    return jax.lax.platform_dependent(z, ids, cpu=scatter, default=product)

  return with_auto_axes(count, PartitionSpec(), z, ids)


def dead_codes(
  count: Float[Array, " k"], revive_below: float
) -> Bool[Array, " k"]:
  """Returns which codes have less than this share of the average count."""
  return count < revive_below * count.mean()


def draw_latents(
  key: Key[Array, ""], z: Float[Array, "n d"], k: int
) -> Float[Array, "k d"]:
  """Draws `k` rows of `z`, without repetition where there are enough."""
  n = z.shape[0]
  rows = jax.random.choice(key, n, (k,), replace=n < k)
  return with_auto_axes(lambda z, rows: z[rows], PartitionSpec(), z, rows)


def first_codes(
  key: Key[Array, ""], z: Float[Array, "n d"], k: int, iterations: int
) -> Float[Array, "k d"]:
  """Returns first codes: latents, moved by Lloyd's iterations of k-means.

  A code that no latent chooses stays where it is.
  """
  codes = draw_latents(key, z, k)

  def move(codes, _):
    counts, sums = code_statistics(z, nearest_code(z, codes), k)
    means = sums / jnp.maximum(counts, 1)[:, None]
    return jnp.where(counts[:, None] > 0, means, codes), None

  return jax.lax.scan(move, codes, None, length=iterations)[0]


def entropy(p: Float[Array, "*n k"]) -> Float[Array, "*n"]:
  """Returns entropies in nats; their gradient is finite at 0."""
  tiny = jnp.finfo(p.dtype).tiny
  return -jnp.sum(p * jnp.log(jnp.maximum(p, tiny)), axis=-1)


def entropy_loss(logits: Float[Array, "n k"]) -> Float[Array, ""]:
  """Returns the mean entropy of choices less that of the mean choice.

  It is low where each latent is sure of its code and all codes are in use. Yu
  et al., "Language Model Beats Diffusion", arXiv 2310.05737, section 3.1.

  Args:
    logits: logits of each latent's choice.
  """
  if not logits.size:
    return jnp.zeros((), logits.dtype)
  log_p = jax.nn.log_softmax(logits)
  p = jnp.exp(log_p)
  each = -jnp.sum(p * log_p, axis=-1).mean()
  return each - entropy(p.mean(axis=0))


def orthogonality_loss(codes: Float[Array, "k d"]) -> Float[Array, ""]:
  """Returns the mean squared cosine between two codes.

  Shin, Xie, Albanie: "Translation-equivariant image quantizer for
  bi-directional image-text generation", arXiv 2112.00384. The mean is over the
  k (k - 1) pairs of two codes, so codes at right angles give 0 (in
  vector-quantize-pytorch 1.32, over all k k).
  """
  k = codes.shape[0]
  directions = unit(codes)
  cosines = jnp.matmul(
    directions, directions.T, precision=jax.lax.Precision.HIGHEST
  )
  return (jnp.sum(cosines**2) - jnp.sum(jnp.diagonal(cosines) ** 2)) / (
    k * (k - 1)
  )
