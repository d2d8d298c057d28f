"""How close two images are. All images are float in [0, 1]."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def squared_error(
  images: Float[Array, "b h w c"], others: Float[Array, "b h w c"]
) -> Float[Array, " b"]:
  """Returns the mean squared error of each image."""
  return jnp.mean((images - others) ** 2, axis=(1, 2, 3))


def psnr(mse: Float[Array, " b"]) -> Float[Array, " b"]:
  """Returns the peak signal-to-noise ratio in decibels, for a peak of 1.

  An exact copy has no finite ratio; the error is held above 1e-10 (100 dB).
  """
  return -10 * jnp.log10(jnp.maximum(mse, 1e-10))


def ssim(
  images: Float[Array, "b h w c"], others: Float[Array, "b h w c"]
) -> Float[Array, " b"]:
  """Returns the structural similarity of each image, 1 for equal ones.

  Wang, Bovik, Sheikh, Simoncelli: "Image quality assessment: from error
  visibility to structural similarity", IEEE TIP 2004, section III.B and C: a
  Gaussian window of 11 pixels with standard deviation 1.5 (smaller where the
  image is), K1 = 0.01, K2 = 0.03, averaged over windows that lie inside the
  image and over channels.
  """
  size = min(11, images.shape[1], images.shape[2])
  offsets = jnp.arange(size) - (size - 1) / 2
  window = jnp.exp(-(offsets**2) / (2 * 1.5**2))
  window = window / window.sum()

  def blur(x):
    # Channels become images: the window is the same for all.
    b, h, w, c = x.shape
    x = x.transpose(0, 3, 1, 2).reshape(b * c, 1, h, w)
    for axis in (0, 1):
      shape = (1, 1, size, 1) if axis == 0 else (1, 1, 1, size)
      x = jax.lax.conv(
        x,
        window.astype(x.dtype).reshape(shape),
        (1, 1),
        "VALID",
        precision=jax.lax.Precision.HIGHEST,
      )
    return x.reshape(b, -1)

  mean_x, mean_y = blur(images), blur(others)
  var_x = blur(images**2) - mean_x**2
  var_y = blur(others**2) - mean_y**2
  cov = blur(images * others) - mean_x * mean_y
  c1, c2 = 0.01**2, 0.03**2
  similarity = (2 * mean_x * mean_y + c1) * (2 * cov + c2)
  similarity /= (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
  return similarity.mean(axis=1)
