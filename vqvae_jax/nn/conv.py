"""Convolutions, each computed in the way that is fastest on the platform.

TPUs and GPUs run `jax.lax`'s convolutions. On CPUs those of XLA are much slower
than the cores' matrix products, and the gradient of a transposed convolution
takes ten times as long as it must; there `vqvae_jax.nn.winograd` computes the
same maps. Parameters are the same on all platforms, so a checkpoint can move
between them.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vqvae_jax.nn.dtypes import at_least_float32
from vqvae_jax.nn.winograd import cpu_conv, cpu_conv_transpose

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def conv(
  x: Float[Array, "b h w c"],
  kernel: Float[Array, "p q c d"],
  stride: int = 1,
) -> Float[Array, "b i j d"]:
  """Computes a cross-correlation with SAME padding, every `stride` pixels."""

  def default(x, kernel):
    return lax.conv_general_dilated(
      x, kernel, (stride, stride), "SAME", dimension_numbers=_DIMENSIONS
    )

  cpu = cpu_conv(x, kernel, stride)
  if cpu is None:
    return default(x, kernel)
  return lax.platform_dependent(x, kernel, cpu=cpu, default=default)


def conv_transpose(
  x: Float[Array, "b h w c"], kernel: Float[Array, "4 4 c d"]
) -> Float[Array, "b i j d"]:
  """Computes a 4x4 transposed convolution: stride 2, SAME padding."""

  def default(x, kernel):
    return lax.conv_transpose(
      x, kernel, (2, 2), "SAME", dimension_numbers=_DIMENSIONS
    )

  cpu = cpu_conv_transpose(x)
  if cpu is None:
    return default(x, kernel)
  return lax.platform_dependent(x, kernel, cpu=cpu, default=default)


class Conv(nn.Module):
  """`conv` and a bias. Parameters: `kernel` [size, size, c, d], `bias` [d].

  Attributes:
    features: channels of the result, d.
    size: size of the kernel along each side.
    stride: pixels between two results.
    dtype: dtype of the arithmetic; parameters are stored in at least float32.
  """

  features: int
  size: int = 3
  stride: int = 1
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b i j d"]:
    shape = (self.size, self.size, x.shape[-1], self.features)
    kernel, bias = _parameters(self, shape)
    return conv(x.astype(self.dtype), kernel, self.stride) + bias


class ConvTranspose(nn.Module):
  """`conv_transpose` and a bias: `kernel` [4, 4, c, d], `bias` [d].

  Attributes:
    features: channels of the result, d.
    dtype: dtype of the arithmetic; parameters are stored in at least float32.
  """

  features: int
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b i j d"]:
    kernel, bias = _parameters(self, (4, 4, x.shape[-1], self.features))
    return conv_transpose(x.astype(self.dtype), kernel) + bias


def _parameters(module, shape):
  """Returns kernel and bias in the module's dtype; the bias is [1, 1, 1, d]."""
  param_dtype = at_least_float32(module.dtype)
  kernel = module.param(
    "kernel", nn.initializers.lecun_normal(), shape, param_dtype
  )
  bias = module.param("bias", nn.initializers.zeros, shape[-1:], param_dtype)
  kernel, bias = jax.tree.map(lambda p: p.astype(module.dtype), (kernel, bias))
  return kernel, bias.reshape(1, 1, 1, -1)
