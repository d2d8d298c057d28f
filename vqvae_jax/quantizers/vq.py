"""Vector quantization whose codebook is trained by gradient.

Van den Oord, Vinyals, Kavukcuoglu: "Neural Discrete Representation Learning",
arXiv 1711.00937, section 3.2, equation 3.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from vqvae_jax.quantizers import codebook as cb
from vqvae_jax.quantizers.nearest import NearestCode


class VectorQuantizer(NearestCode):
  """Nearest code; the codebook loss pulls codes to the latents they stand for.

  The codes are the parameter `vectors` [k, d]; the collection `"codebook"`
  holds their running `count` [k], which only revival reads.

  Attributes:
    decay: of the running count, in [0, 1).
    revive_below: a code whose running count is below this share of the average
      count is replaced by a latent of the batch; 0 never replaces.
    kmeans: iterations of k-means for the first codes.
    orthogonality: weight of `codebook.orthogonality_loss`.
  """

  decay: float = 0.99
  revive_below: float = 0.03
  kmeans: int = 0
  orthogonality: float = 0.0

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

  def code_vectors(self) -> Float[Array, "k d"]:
    codes = self.codes.value
    return cb.unit(codes) if self.norm == "l2" else codes

  def codebook_loss(
    self, z: Float[Array, "n d"], vectors: Float[Array, "n d"]
  ) -> Float[Array, ""]:
    loss = cb.mean((z - vectors) ** 2)
    if self.orthogonality:
      loss += self.orthogonality * cb.orthogonality_loss(self.codes.value)
    return loss

  def start(self, z: Float[Array, "*n d"], key: Key[Array, ""]):
    flat = self.compared(z)
    if not len(flat):
      return
    self.codes.value = cb.first_codes(
      key, flat, self.codebook_size, self.kmeans
    )
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
    if self.revive_below > 0 and z.size:
      dead = cb.dead_codes(count, self.revive_below)
      fresh = cb.draw_latents(key, self.compared(z), self.codebook_size)
      self.codes.value = jnp.where(dead[:, None], fresh, self.codes.value)
      count = jnp.where(dead, count.mean(), count)
    self.count.value = count
