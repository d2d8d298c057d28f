"""Generators: a trained run as an object that encodes, decodes and samples."""

from vqvae_jax.generators.baseline import BaselineModel
from vqvae_jax.generators.load import load
from vqvae_jax.generators.vqvae.model import Model

__all__ = ["BaselineModel", "Model", "load"]
