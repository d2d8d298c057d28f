"""Codes narrower (or wider) than the latents.

Yu et al.: "Vector-quantized Image Modeling with Improved VQGAN", arXiv
2110.04627, section 3.2 (factorized codes).
"""

import flax.linen as nn
from jaxtyping import Array, Float, Int, Key

from vqvae_jax.quantizers import codebook as cb
from vqvae_jax.quantizers.axes import unflattened


class Projected(nn.Module):
  """Any quantizer behind one linear map, and before another.

  Latents are projected to the quantizer's width, and its vectors back to
  theirs, so that the search is among short codes.

  Example: `Projected(EMAQuantizer(8192, 8), 256)` takes latents of width 256.

  Attributes:
    quantizer: an unbound quantizer.
    width: of the latents.
  """

  quantizer: nn.Module
  width: int

  def setup(self):
    self.project_in = nn.Dense(self.quantizer.width)
    self.project_out = nn.Dense(self.width)

  @property
  def num_codes(self) -> int:
    """Ids are in [0, num_codes)."""
    return self.quantizer.num_codes

  @property
  def ids_per_latent(self) -> int:
    """Ids for each latent."""
    return self.quantizer.ids_per_latent

  def __call__(
    self, z: Float[Array, "*n d"], train: bool = False
  ) -> cb.QuantizerOutput:
    """Quantizes latents of width `width`; `train` goes to the quantizer.

    Raises:
      ConfigError: if the latents are of another width.
    """
    out = self.quantizer(self._inner(z), train)
    vectors = self.project_out(out.vectors)
    return out.replace(vectors=vectors.astype(z.dtype))

  def resample(
    self,
    z: Float[Array, "*n d"],
    temperature: float | Float[Array, ""],
    key: Key[Array, ""],
  ) -> Int[Array, "..."]:
    """As the quantizer's, of projected latents."""
    return self.quantizer.resample(self._inner(z), temperature, key)

  def ids_to_vectors(self, ids: Int[Array, "*n"]) -> Float[Array, "*n d"]:
    """The codes that `ids` name, projected."""
    return self.project_out(self.quantizer.ids_to_vectors(ids))

  def start(self, z: Float[Array, "*n d"], key: Key[Array, ""]):
    """Starts the quantizer from projected latents."""
    self.quantizer.start(self._inner(z), key)

  def update(
    self, z: Float[Array, "*n d"], ids: Int[Array, "*n"], key: Key[Array, ""]
  ):
    """Updates the quantizer by projected latents.

    Args:
      z: the latents of one optimizer step, before projection.
      ids: the codes that they chose.
      key: see the quantizer.
    """
    self.quantizer.update(self._inner(z), ids, key)

  def _inner(self, z):
    flat = self.project_in(cb.flatten(z, self.width))
    return unflattened(flat, z)
