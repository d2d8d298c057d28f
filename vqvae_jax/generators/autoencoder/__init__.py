"""The autoencoder, the VAE and the beta-VAE."""

from vqvae_jax.generators.autoencoder.generator import (
  AutoencoderGenerator,
  VAEGenerator,
)

__all__ = ["AutoencoderGenerator", "VAEGenerator"]
