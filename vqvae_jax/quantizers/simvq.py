"""Vector quantization with a frozen basis and a learned linear map.

Zhu et al.: "Addressing Representation Collapse in Vector Quantized Models with
One Linear Layer", arXiv 2411.02038.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vqvae_jax.quantizers import codebook as cb
from vqvae_jax.quantizers.nearest import NearestCode


class SimVQ(NearestCode):
  """Nearest code; the codes are `basis @ map`, and only the map learns.

  So every step moves all codes, also those that nothing chose. The `basis`
  [k, d] stays as drawn, in the collection `"codebook"`; `map` [d, d] is a
  parameter, moved by the codebook loss.
  """

  def setup(self):
    k, d = self.codebook_size, self.code_dim
    self.basis = self.variable(
      "codebook",
      "basis",
      lambda: jax.random.normal(self.make_rng("params"), (k, d)) * d**-0.5,
    )
    self.map = self.param("map", nn.initializers.lecun_normal(), (d, d))

  def code_vectors(self) -> Float[Array, "k d"]:
    codes = jnp.matmul(
      self.basis.value, self.map, precision=jax.lax.Precision.HIGHEST
    )
    return cb.unit(codes) if self.norm == "l2" else codes

  def codebook_loss(
    self, z: Float[Array, "n d"], vectors: Float[Array, "n d"]
  ) -> Float[Array, ""]:
    return cb.mean((z - vectors) ** 2)
