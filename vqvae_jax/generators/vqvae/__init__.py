"""The VQ-VAE and its prior."""

from vqvae_jax.generators.vqvae.generator import VQVAEGenerator

__all__ = ["VQVAEGenerator"]
