"""Vector quantization whose codebook is trained by gradient.

Van den Oord, Vinyals, Kavukcuoglu: "Neural Discrete Representation Learning",
arXiv 1711.00937, section 3.2, equation 3.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from vqvae_jax.quantizers import codebook as cb


class VectorQuantizer(nn.Module):
  """Nearest code; the codebook loss pulls codes to the latents they stand for.

  The codes are the parameter `vectors` [k, d]; the collection `"codebook"`
  holds their running `count` [k], which only revival reads.

  Attributes:
    codebook_size: number of codes, k.
    code_dim: width of a code, d.
    commitment: weight of the commitment loss, beta.
    decay: of the running count, in [0, 1).
    revive_below: a code whose running count is below this share of the average
      count is replaced by a latent of the batch; 0 never replaces.
  """

  codebook_size: int
  code_dim: int
  commitment: float = 0.25
  decay: float = 0.99
  revive_below: float = 0.03

  def setup(self):
    shape = (self.codebook_size, self.code_dim)
    self.codes = self.variable(
      "params",
      "vectors",
      lambda: jax.random.normal(self.make_rng("params"), shape),
    )
    self.count = self.variable(
      "codebook", "count", lambda: jnp.ones(self.codebook_size)
    )

  def __call__(
    self, z: Float[Array, "*n d"], train: bool = False
  ) -> cb.QuantizerOutput:
    """Quantizes latents of width `code_dim`; `train` changes nothing here."""
    del train
    latents = cb.at_least_float32(z)
    flat = jax.lax.stop_gradient(latents.reshape(-1, self.code_dim))
    ids = cb.nearest_code(flat, jax.lax.stop_gradient(self.codes.value))
    vectors = self.codes.value[ids].reshape(latents.shape)
    # Both losses before the straight-through patch, which has no gradient
    # with respect to the codes.
    codebook_loss = jnp.mean((jax.lax.stop_gradient(latents) - vectors) ** 2)
    commitment = jnp.mean((latents - jax.lax.stop_gradient(vectors)) ** 2)
    counts = cb.usage_counts(ids, self.codebook_size)
    return cb.QuantizerOutput(
      vectors=cb.straight_through(latents, vectors).astype(z.dtype),
      ids=ids.reshape(z.shape[:-1]),
      loss=codebook_loss + self.commitment * commitment,
      metrics={
        "commitment": jax.lax.stop_gradient(commitment),
        "perplexity": cb.perplexity(counts),
      },
    )

  def ids_to_vectors(self, ids: Int[Array, "*n"]) -> Float[Array, "*n d"]:
    """The codes that `ids` name."""
    return self.codes.value[ids]

  def start(self, z: Float[Array, "*n d"], key: Key[Array, ""]):
    """Takes the first codes from latents of the data."""
    flat = cb.at_least_float32(z).reshape(-1, self.code_dim)
    self.codes.value = cb.draw_latents(key, flat, self.codebook_size)
    self.count.value = jnp.ones_like(self.count.value)

  def update(
    self, z: Float[Array, "*n d"], ids: Int[Array, "*n"], key: Key[Array, ""]
  ):
    """Counts the codes in use and revives dead ones, after the optimizer.

    Args:
      z: the latents of one optimizer step, before quantization.
      ids: the codes that they chose.
      key: draws the latents that replace dead codes.
    """
    counts = cb.usage_counts(ids, self.codebook_size)
    count = self.decay * self.count.value + (1 - self.decay) * counts
    if self.revive_below > 0:
      dead = cb.dead_codes(count, self.revive_below)
      flat = cb.at_least_float32(z).reshape(-1, self.code_dim)
      fresh = cb.draw_latents(key, flat, self.codebook_size)
      self.codes.value = jnp.where(dead[:, None], fresh, self.codes.value)
      count = jnp.where(dead, count.mean(), count)
    self.count.value = count
