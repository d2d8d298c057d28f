"""A whole training run: folder, data, and the stages of a generator."""

from vqvae_jax.runs.train import train

__all__ = ["train"]
