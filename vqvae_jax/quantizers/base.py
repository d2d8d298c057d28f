"""What all quantizers that keep a codebook say of themselves."""

import flax.linen as nn


class CodebookQuantizer(nn.Module):
  """Codes as wide as the latents.

  Attributes:
    codebook_size: number of codes, k.
    code_dim: width of latents and codes, d.
  """

  codebook_size: int
  code_dim: int

  # Ids for each latent.
  ids_per_latent = 1

  @property
  def num_codes(self) -> int:
    """Ids are in [0, num_codes)."""
    return self.codebook_size

  @property
  def width(self) -> int:
    """Width of the latents."""
    return self.code_dim
