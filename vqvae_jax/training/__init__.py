"""Training: state, steps, one loop for every stage, checkpoints, reports."""

from vqvae_jax.training.run import train

__all__ = ["train"]
