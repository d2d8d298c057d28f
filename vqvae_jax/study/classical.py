"""Classical augmentation in strengths, which `data.augment` implements."""

from vqvae_jax.data.augment import STRENGTHS, Strength, classical

__all__ = ["STRENGTHS", "Strength", "classical"]
