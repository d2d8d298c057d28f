"""The encoder and the decoder of the VQ-VAE.

Van den Oord, Vinyals, Kavukcuoglu: "Neural Discrete Representation Learning",
arXiv 1711.00937, section 4.1, with the widths of the authors' example in
Sonnet.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vqvae_jax.nn.conv import Conv, ConvTranspose
from vqvae_jax.nn.dtypes import at_least_float32


class ResidualStack(nn.Module):
  """Residual blocks (ReLU, 3x3, ReLU, 1x1, add) and a last ReLU.

  Attributes:
    layers: number of blocks.
    hidden: channels inside a block.
    dtype: dtype of the arithmetic.
  """

  layers: int
  hidden: int
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    for i in range(self.layers):
      h = Conv(self.hidden, dtype=self.dtype, name=f"conv3_{i}")(nn.relu(x))
      h = Conv(x.shape[-1], 1, dtype=self.dtype, name=f"conv1_{i}")(nn.relu(h))
      x = x + h
    return nn.relu(x)


class Coder(nn.Module):
  """The settings that the encoder and the decoder share.

  Attributes:
    hidden: channels of the features.
    residual_layers: number of residual blocks.
    residual_hidden: channels inside a residual block.
    stride: pixels per feature and side, a power of two from 2 on.
    dtype: dtype of the arithmetic; parameters are stored in at least float32.
  """

  hidden: int
  residual_layers: int
  residual_hidden: int
  stride: int
  dtype: DTypeLike = jnp.float32

  @property
  def halvings(self) -> int:
    """Number of convolutions of stride 2."""
    return self.stride.bit_length() - 1

  @property
  def half(self) -> int:
    """Channels at all scales but the smallest."""
    return max(self.hidden // 2, 1)

  def residual_stack(self) -> ResidualStack:
    """Returns the residual stack."""
    return ResidualStack(
      self.residual_layers, self.residual_hidden, self.dtype, name="residual"
    )


class Encoder(Coder):
  """Encodes images to features, one for each `stride` x `stride` pixels.

  For stride 4 and images [b, 28, 28, 1]: 4x4 convolutions of stride 2 to
  [b, 14, 14, hidden / 2] and [b, 7, 7, hidden], a 3x3 convolution and the
  residual stack.
  """

  @nn.compact
  def __call__(
    self, images: Float[Array, "b h w c"]
  ) -> Float[Array, "b i j k"]:
    x = images
    for i in range(self.halvings):
      width = self.hidden if i == self.halvings - 1 else self.half
      down = Conv(width, 4, 2, dtype=self.dtype, name=f"down_{i}")
      x = nn.relu(down(x))
    x = Conv(self.hidden, dtype=self.dtype, name="conv")(x)
    return self.residual_stack()(x)


class Decoder(Coder, kw_only=True):
  """Decodes latents to pixels: the encoder's mirror image.

  For stride 4 and latents [b, 7, 7, d]: a 3x3 convolution, the residual stack,
  and 4x4 transposed convolutions of stride 2 to [b, 14, 14, hidden / 2] and
  [b, 28, 28, channels].

  Attributes:
    channels: channels of the result, which is in at least float32.
  """

  channels: int

  @nn.compact
  def __call__(
    self, latents: Float[Array, "b h w d"]
  ) -> Float[Array, "b i j c"]:
    x = Conv(self.hidden, dtype=self.dtype, name="conv")(latents)
    x = self.residual_stack()(x)
    for i in range(self.halvings - 1):
      up = ConvTranspose(self.half, dtype=self.dtype, name=f"up_{i}")
      x = nn.relu(up(x))
    x = ConvTranspose(self.channels, dtype=self.dtype, name="pixels")(x)
    return x.astype(at_least_float32(x.dtype))
