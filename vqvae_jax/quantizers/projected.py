"""Codes narrower (or wider) than the latents, for any quantizer.

Yu et al.: "Vector-quantized Image Modeling with Improved VQGAN", arXiv
2110.04627, section 3.2 (factorized codes).
"""

import flax.linen as nn
from jaxtyping import Array, Float, Int, Key

from vqvae_jax.quantizers.axes import unflattened
from vqvae_jax.quantizers.base import Quantizer, QuantizerOutput, flatten


class Projected(Quantizer):
  """Any quantizer behind one linear map, and before another.

  Latents are projected to the quantizer's width, and its vectors back to the
  width of the latents, so that the search is among short codes.

  Example: `Projected(EMAQuantizer(8192, 8), 256)` takes latents of width 256.

  Attributes:
    quantizer: an unbound quantizer.
    latent_width: width of the latents.
  """

  quantizer: Quantizer
  latent_width: int

  def setup(self):
    self.project_in = nn.Dense(self.quantizer.width)
    self.project_out = nn.Dense(self.latent_width)

  @property
  def width(self) -> int:
    return self.latent_width

  @property
  def num_codes(self) -> int:
    return self.quantizer.num_codes

  @property
  def ids_per_latent(self) -> int:
    return self.quantizer.ids_per_latent

  def __call__(
    self, z: Float[Array, "*n d"], train: bool = False
  ) -> QuantizerOutput:
    out = self.quantizer(self._inner(z), train)
    vectors = self.project_out(out.vectors)
    return out.replace(vectors=vectors.astype(z.dtype))

  def resample(
    self,
    z: Float[Array, "*n d"],
    temperature: float | Float[Array, ""],
    key: Key[Array, ""],
  ) -> Int[Array, "..."]:
    return self.quantizer.resample(self._inner(z), temperature, key)

  def ids_to_vectors(self, ids: Int[Array, "*n"]) -> Float[Array, "... d"]:
    return self.project_out(self.quantizer.ids_to_vectors(ids))

  def start(self, z: Float[Array, "*n d"], key: Key[Array, ""]) -> None:
    self.quantizer.start(self._inner(z), key)

  def update(
    self, z: Float[Array, "*n d"], ids: Int[Array, "..."], key: Key[Array, ""]
  ) -> None:
    self.quantizer.update(self._inner(z), ids, key)

  def _inner(self, z):
    flat = self.project_in(flatten(z, self.latent_width))
    return unflattened(flat, z)
