"""Generation: a trained run as an object, and the batch job."""

from vqvae_jax.generation.baseline import BaselineModel
from vqvae_jax.generation.job import generate
from vqvae_jax.generation.load import load
from vqvae_jax.generation.model import Model

__all__ = ["BaselineModel", "Model", "generate", "load"]
