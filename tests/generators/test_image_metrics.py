"""Squared error, PSNR and SSIM against numpy with explicit windows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqvae_jax.generators import metrics


def drawn(shape, noise):
  rng = np.random.default_rng(0)
  images = rng.uniform(size=shape)
  others = np.clip(images + noise * rng.normal(size=shape), 0, 1)
  return images, others


ssim = jax.jit(metrics.ssim)


def slow_ssim(x, y):
  """Of one image [h, w, c]: every window, weight and moment spelt out."""
  height, width, channels = x.shape
  size = min(11, height, width)
  offsets = np.arange(size) - (size - 1) / 2
  weights = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
  weights /= weights.sum()
  values = []
  for channel in range(channels):
    for top in range(height - size + 1):
      for left in range(width - size + 1):
        a = x[top : top + size, left : left + size, channel]
        b = y[top : top + size, left : left + size, channel]
        mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
        var_a = (weights * (a - mean_a) ** 2).sum()
        var_b = (weights * (b - mean_b) ** 2).sum()
        cov = (weights * (a - mean_a) * (b - mean_b)).sum()
        luminance = (2 * mean_a * mean_b + 1e-4) / (
          mean_a**2 + mean_b**2 + 1e-4
        )
        structure = (2 * cov + 9e-4) / (var_a + var_b + 9e-4)
        values.append(luminance * structure)
  return np.mean(values)


def test_squared_error_and_psnr():
  images, others = drawn((3, 6, 5, 2), 0.2)
  mse = metrics.squared_error(jnp.asarray(images), jnp.asarray(others))
  expected = [
    ((a - b) ** 2).mean() for a, b in zip(images, others, strict=True)
  ]
  np.testing.assert_allclose(mse, expected, rtol=1e-5)
  np.testing.assert_allclose(
    metrics.psnr(mse), 20 * np.log10(1 / np.sqrt(expected)), rtol=1e-5
  )
  np.testing.assert_allclose(metrics.psnr(jnp.zeros(1)), [100], rtol=1e-6)


@pytest.mark.parametrize(
  "shape", [(2, 14, 12, 1), (2, 11, 13, 3), (1, 8, 20, 2), (1, 4, 4, 1)]
)
@pytest.mark.parametrize("noise", [0.02, 0.3])
def test_ssim_against_explicit_windows(shape, noise):
  images, others = drawn(shape, noise)
  expected = [slow_ssim(a, b) for a, b in zip(images, others, strict=True)]
  got = ssim(jnp.asarray(images, jnp.float32), jnp.asarray(others, jnp.float32))
  np.testing.assert_allclose(got, expected, atol=2e-5)


def test_ssim_of_equal_and_opposite_images():
  images, _ = drawn((2, 16, 16, 1), 0)
  images = jnp.asarray(images, jnp.float32)
  np.testing.assert_allclose(ssim(images, images), [1, 1], rtol=1e-6)
  black = jnp.zeros((1, 16, 16, 1))
  np.testing.assert_allclose(ssim(black, black), [1])
  # Without contrast only the means count: C1 / (1 + C1).
  np.testing.assert_allclose(
    ssim(black, black + 1), [1e-4 / (1 + 1e-4)], rtol=1e-3
  )
