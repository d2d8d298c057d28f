"""Models that map images to something and back, and how well they do it."""

from vqvae_jax.models.classifier import Classifier, TunedClassifier
from vqvae_jax.models.vqvae import VQVAE, VQVAEOutput, build_vqvae

__all__ = [
  "Classifier",
  "TunedClassifier",
  "VQVAE",
  "VQVAEOutput",
  "build_vqvae",
]
