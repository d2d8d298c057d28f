"""Vector quantization whose codebook follows running averages of the latents.

Van den Oord, Vinyals, Kavukcuoglu: "Neural Discrete Representation Learning",
arXiv 1711.00937, section 3 and appendix A.1.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from vqvae_jax.quantizers import codebook as cb
from vqvae_jax.quantizers.nearest import NearestCode


class EMAQuantizer(NearestCode):
  """Nearest code; each code is the running mean of the latents that chose it.

  The collection `"codebook"` holds `vectors` [k, d], the running `count` [k]
  and the running `sum` [k, d]. It changes in two ways only: `update`, and a
  call with `train=True` under `mutable=["codebook"]`, which looks up first and
  updates after (it needs the rng `"codes"`).

  vector-quantize-pytorch 1.32 has the same averages; it smooths the counts by
  1e-5 before it divides by them (here a code keeps its vector instead), calls a
  code dead below an absolute count, and starts a revived one with that count.

  Attributes:
    decay: of the running averages, in [0, 1).
    revive_below: a code whose running count is below this share of the average
      count is replaced by a latent of the batch; 0 never replaces.
    kmeans: iterations of k-means for the first codes.
  """

  decay: float = 0.99
  revive_below: float = 0.03
  kmeans: int = 0

  def setup(self):
    shape = (self.codebook_size, self.code_dim)
    self.codes = self.variable(
      "codebook",
      "vectors",
      lambda: self._placed(jax.random.normal(self.make_rng("params"), shape)),
    )
    self.count = self.variable(
      "codebook", "count", lambda: jnp.ones(self.codebook_size)
    )
    # A copy: two leaves that share one buffer cannot both be donated.
    self.sum = self.variable("codebook", "sum", lambda: self.codes.value + 0)

  def __call__(
    self, z: Float[Array, "*n d"], train: bool = False
  ) -> cb.QuantizerOutput:
    """As `NearestCode`; with "codebook" mutable, `train` also updates it."""
    out, flat = self.quantize(z, train)
    if train and self.is_mutable_collection("codebook"):
      self.update(flat, out.ids, self.make_rng("codes"))
    return out

  def code_vectors(self) -> Float[Array, "k d"]:
    return self.codes.value

  def start(self, z: Float[Array, "*n d"], key: Key[Array, ""]):
    flat = self.compared(z)
    if not len(flat):
      return
    self.codes.value = self._placed(
      cb.first_codes(key, flat, self.codebook_size, self.kmeans)
    )
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
    flat = jax.lax.stop_gradient(self.compared(z))
    counts, sums = cb.code_statistics(flat, ids.reshape(-1), self.codebook_size)
    count = self.decay * self.count.value + (1 - self.decay) * counts
    total = self.decay * self.sum.value + (1 - self.decay) * sums
    # A code that nothing chooses keeps its vector: both averages shrink alike,
    # down to the smallest float, where only the old vector is left.
    alive = count > jnp.finfo(count.dtype).tiny * 1e6
    safe = jnp.where(alive, count, 1)
    codes = jnp.where(
      alive[:, None], self._placed(total / safe[:, None]), self.codes.value
    )
    if self.revive_below > 0 and len(flat):
      dead = cb.dead_codes(count, self.revive_below)
      fresh = cb.draw_latents(key, flat, self.codebook_size)
      codes = jnp.where(dead[:, None], fresh, codes)
      count = jnp.where(dead, count.mean(), count)
      total = jnp.where(dead[:, None], codes * count[:, None], total)
    self.codes.value, self.count.value, self.sum.value = codes, count, total

  def _placed(self, codes):
    return cb.unit(codes) if self.norm == "l2" else codes
