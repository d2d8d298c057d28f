"""Generation: a trained run as an object, and the batch job."""

from vqvae_jax.generation.job import generate
from vqvae_jax.generation.model import Model, load

__all__ = ["Model", "generate", "load"]
