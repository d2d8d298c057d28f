"""Networks: convolutions, the VQ-VAE's encoder and decoder, transformers."""

from vqvae_jax.nn.conv import Conv, ConvTranspose, conv, conv_transpose
from vqvae_jax.nn.encoder_decoder import Decoder, Encoder

__all__ = [
  "Conv",
  "ConvTranspose",
  "Decoder",
  "Encoder",
  "conv",
  "conv_transpose",
]
