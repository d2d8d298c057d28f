"""Vector quantization whose codebook follows running averages of the latents.

Van den Oord, Vinyals, Kavukcuoglu: "Neural Discrete Representation Learning",
arXiv 1711.00937, section 3 and appendix A.1.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from vqvae_jax.quantizers import codebook as cb


class EMAQuantizer(nn.Module):
  """Nearest code; each code is the running mean of the latents that chose it.

  The collection `"codebook"` holds `vectors` [k, d], the running `count` [k]
  and the running `sum` [k, d]. It changes in two ways only: `update`, and a
  call with `train=True` under `mutable=["codebook"]`, which looks up first and
  updates after (it needs the rng `"codes"`).

  Attributes:
    codebook_size: number of codes, k.
    code_dim: width of a code, d.
    commitment: weight of the commitment loss, beta.
    decay: of the running averages, in [0, 1).
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
      "codebook",
      "vectors",
      lambda: jax.random.normal(self.make_rng("params"), shape),
    )
    self.count = self.variable(
      "codebook", "count", lambda: jnp.ones(self.codebook_size)
    )
    # A copy: two leaves that share one buffer cannot both be donated.
    self.sum = self.variable("codebook", "sum", lambda: self.codes.value + 0)

  def __call__(
    self, z: Float[Array, "*n d"], train: bool = False
  ) -> cb.QuantizerOutput:
    """Quantizes latents of width `code_dim`.

    Args:
      z: latents, [..., d].
      train: with the collection "codebook" mutable, also updates it.
    """
    latents = cb.at_least_float32(z)
    flat = latents.reshape(-1, self.code_dim)
    ids = cb.nearest_code(jax.lax.stop_gradient(flat), self.codes.value)
    vectors = self.codes.value[ids].reshape(latents.shape)
    commitment = jnp.mean((latents - jax.lax.stop_gradient(vectors)) ** 2)
    counts = cb.usage_counts(ids, self.codebook_size)
    if train and self.is_mutable_collection("codebook"):
      self.update(latents, ids, self.make_rng("codes"))
    return cb.QuantizerOutput(
      vectors=cb.straight_through(latents, vectors).astype(z.dtype),
      ids=ids.reshape(z.shape[:-1]),
      loss=self.commitment * commitment,
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
    self.sum.value = self.codes.value + 0

  def update(
    self, z: Float[Array, "*n d"], ids: Int[Array, "*n"], key: Key[Array, ""]
  ):
    """One step of the running averages, then revival of dead codes.

    Equations 6 to 8 of appendix A.1. A revived code is reset whole: vector,
    running count (to the average) and running sum; else it would die again at
    the next step.

    Args:
      z: the latents of one optimizer step, before quantization.
      ids: the codes that the old codebook gave them.
      key: draws the latents that replace dead codes.
    """
    flat = jax.lax.stop_gradient(cb.at_least_float32(z))
    flat = flat.reshape(-1, self.code_dim)
    counts, sums = cb.code_statistics(flat, ids.reshape(-1), self.codebook_size)
    count = self.decay * self.count.value + (1 - self.decay) * counts
    total = self.decay * self.sum.value + (1 - self.decay) * sums
    # A code that nothing chooses keeps its vector: both averages shrink alike,
    # down to the smallest float, where only the old vector is left.
    alive = count > jnp.finfo(count.dtype).tiny * 1e6
    safe = jnp.where(alive, count, 1)
    codes = jnp.where(alive[:, None], total / safe[:, None], self.codes.value)
    if self.revive_below > 0:
      dead = cb.dead_codes(count, self.revive_below)
      fresh = cb.draw_latents(key, flat, self.codebook_size)
      codes = jnp.where(dead[:, None], fresh, codes)
      count = jnp.where(dead, count.mean(), count)
      total = jnp.where(dead[:, None], codes * count[:, None], total)
    self.codes.value, self.count.value, self.sum.value = codes, count, total
