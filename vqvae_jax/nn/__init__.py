"""Networks: convolutions, the VQ-VAE's encoder and decoder, transformers."""

from vqvae_jax.nn.autoencoder import Decoder, Encoder
from vqvae_jax.nn.conv import Conv, ConvTranspose, conv, conv_transpose

__all__ = [
  "Conv",
  "ConvTranspose",
  "Decoder",
  "Encoder",
  "conv",
  "conv_transpose",
]
