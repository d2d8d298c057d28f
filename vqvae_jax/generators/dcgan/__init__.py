"""The DCGAN."""

from vqvae_jax.generators.dcgan.generator import DCGANGenerator

__all__ = ["DCGANGenerator"]
