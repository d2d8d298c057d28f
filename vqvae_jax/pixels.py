"""Pixels: uint8 in files and batches, floats in [0, 1] inside networks."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8
from numpy.typing import DTypeLike


def to_float(
  images: UInt8[Array | np.ndarray, "*b h w c"], dtype: DTypeLike = np.float32
) -> Float[Array | np.ndarray, "*b h w c"]:
  """Pixels to floats in [0, 1], on the host or on a device as they were."""
  return images.astype(dtype) / 255


def to_uint8(
  images: Float[Array | np.ndarray, "*b h w c"],
) -> UInt8[Array | np.ndarray, "*b h w c"]:
  """Floats in [0, 1] to pixels, rounded to the nearest.

  Values outside of [0, 1] are clipped. The result is where the images were,
  on the host or on a device.
  """
  numpy = jnp if isinstance(images, jax.Array) else np
  return numpy.round(numpy.clip(images, 0, 1) * 255).astype(np.uint8)
