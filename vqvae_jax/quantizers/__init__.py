"""Quantizers: latents to ids of codes and back, one file per family.

Each is a Flax module with the attributes `width` (of the latents), `num_codes`
and `ids_per_latent`, and the methods

    __call__(z [..., width], train) -> QuantizerOutput
    ids_to_vectors(ids) -> vectors [..., width]
    resample(z, temperature, key) -> ids among the codes near z
    start(z, key)        first codes from latents
    update(z, ids, key)  the codes follow the latents of one optimizer step

`start` and `update` change the collections "params" and "codebook", which must
be mutable there. Ids are [...], or [..., ids_per_latent] where that is above 1.
"""

from vqvae_jax.quantizers.codebook import QuantizerOutput
from vqvae_jax.quantizers.ema import EMAQuantizer
from vqvae_jax.quantizers.fsq import FSQ
from vqvae_jax.quantizers.gumbel import GumbelQuantizer
from vqvae_jax.quantizers.lfq import LFQ
from vqvae_jax.quantizers.product import ProductQuantizer
from vqvae_jax.quantizers.projected import Projected
from vqvae_jax.quantizers.residual import ResidualQuantizer
from vqvae_jax.quantizers.search import nearest_code
from vqvae_jax.quantizers.simvq import SimVQ
from vqvae_jax.quantizers.vq import VectorQuantizer

__all__ = [
  "EMAQuantizer",
  "FSQ",
  "GumbelQuantizer",
  "LFQ",
  "ProductQuantizer",
  "Projected",
  "QuantizerOutput",
  "ResidualQuantizer",
  "SimVQ",
  "VectorQuantizer",
  "nearest_code",
]
