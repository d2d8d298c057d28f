"""Quantizers: latents to ids of codes and back, one file per family."""

from vqvae_jax.quantizers.codebook import QuantizerOutput, nearest_code
from vqvae_jax.quantizers.ema import EMAQuantizer
from vqvae_jax.quantizers.vq import VectorQuantizer

__all__ = [
  "EMAQuantizer",
  "QuantizerOutput",
  "VectorQuantizer",
  "nearest_code",
]
