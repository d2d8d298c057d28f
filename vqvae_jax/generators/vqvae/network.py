"""The VQ-VAE: encoder, quantizer, decoder.

Van den Oord, Vinyals, Kavukcuoglu: "Neural Discrete Representation Learning",
arXiv 1711.00937, sections 3 and 4.1.
"""

import flax.linen as nn
import flax.struct
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Key

from vqvae_jax import quantizers
from vqvae_jax.config import TokenizerConfig
from vqvae_jax.generators import likelihoods
from vqvae_jax.nn import Decoder, Encoder
from vqvae_jax.quantizers import Quantizer, QuantizerOutput


@flax.struct.dataclass
class VQVAEOutput:
  """The results of a forward pass.

  Attributes:
    outputs: outputs of the decoder; `likelihoods.to_pixels` reads them.
    latents: latents before quantization.
    quantized: vectors, ids [b, h', w'] or [b, h', w', m] where the quantizer
      gives m ids for each latent, loss and metrics.
  """

  outputs: Float[Array, "b h w c"]
  latents: Float[Array, "b i j d"]
  quantized: QuantizerOutput


class VQVAE(nn.Module):
  """Turns images in [0, 1] into ids, and back.

  Attributes:
    quantizer: an unbound quantizer; the latents are as wide as it says.
    channels: channels of the images.
    stride: pixels of a latent, along each side.
    hidden: channels of the convolutions.
    residual_layers: residual blocks on each side.
    residual_hidden: channels inside a residual block.
    likelihood: what the outputs mean: gaussian, laplace or bernoulli.
    dtype: type of the convolutions' arithmetic; parameters stay in float32.
  """

  quantizer: Quantizer
  channels: int
  stride: int
  hidden: int = 128
  residual_layers: int = 2
  residual_hidden: int = 32
  likelihood: str = "gaussian"
  dtype: DTypeLike = jnp.float32

  def setup(self):
    net = {
      "hidden": self.hidden,
      "residual_layers": self.residual_layers,
      "residual_hidden": self.residual_hidden,
      "stride": self.stride,
      "dtype": self.dtype,
    }
    self.encoder = Encoder(**net)
    self.to_latents = nn.Dense(self.quantizer.width, dtype=self.dtype)
    self.decoder = Decoder(channels=self.channels, **net)

  def __call__(
    self, images: Float[Array, "b h w c"], train: bool = False
  ) -> VQVAEOutput:
    """Encodes, quantizes and decodes images in [0, 1]."""
    latents = self.latents(images)
    quantized = self.quantizer(latents, train=train)
    outputs = self.decoder(quantized.vectors)
    return VQVAEOutput(outputs, latents, quantized)

  def latents(self, images: Float[Array, "b h w c"]) -> Float[Array, "b i j d"]:
    """Returns the quantizer's inputs, one for each `stride` x `stride`."""
    return self.to_latents(self.encoder(images - 0.5))

  def encode(self, images: Float[Array, "b h w c"]) -> Int[Array, "b i j *m"]:
    """Encodes images in [0, 1] to ids."""
    return self.quantizer(self.latents(images)).ids

  def quantize(
    self, latents: Float[Array, "b i j d"]
  ) -> Int[Array, "b i j *m"]:
    """Returns the ids of latents."""
    return self.quantizer(latents).ids

  def resample(
    self,
    latents: Float[Array, "i j d"],
    temperature: float | Float[Array, ""],
    key: Key[Array, ""],
  ) -> Int[Array, "i j *m"]:
    """Draws ids for the latents of one image among the codes near them."""
    return self.quantizer.resample(latents, temperature, key)

  def decode(self, ids: Int[Array, "b i j *m"]) -> Float[Array, "b h w c"]:
    """Decodes ids to images in [0, 1]."""
    vectors = self.quantizer.ids_to_vectors(ids)
    outputs = self.decoder(vectors.astype(self.dtype))
    return likelihoods.to_pixels(self.likelihood, outputs)

  def start_codes(self, images: Float[Array, "b h w c"], key: Key[Array, ""]):
    """Takes the first codes from the latents of images."""
    self.quantizer.start(self.latents(images), key)

  def update_codes(
    self,
    latents: Float[Array, "b i j d"],
    ids: Int[Array, "b i j *m"],
    key: Key[Array, ""],
  ):
    """Lets the codebook follow the latents of one optimizer step."""
    self.quantizer.update(latents, ids, key)


def build_vqvae(
  config: TokenizerConfig,
  channels: int,
  stride: int,
  dtype: DTypeLike = jnp.float32,
) -> VQVAE:
  """Returns the VQ-VAE that a configuration describes."""
  return VQVAE(
    quantizer=build_quantizer(config),
    channels=channels,
    stride=stride,
    hidden=config.hidden,
    residual_layers=config.residual_layers,
    residual_hidden=config.residual_hidden,
    likelihood=config.likelihood,
    dtype=dtype,
  )


def build_quantizer(config: TokenizerConfig) -> Quantizer:
  """Returns the quantizer that a configuration describes."""
  return quantizers.build(config.quantizer, vars(config))
