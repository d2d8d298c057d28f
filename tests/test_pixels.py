"""Pixels between files and networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqvae_jax.pixels import to_float, to_uint8


@pytest.mark.parametrize("numpy", [np, jnp])
def test_to_uint8_rounds_and_clips(numpy):
  values = np.array([-1.0, 0.0, 0.4 / 255, 0.6 / 255, 0.5, 254.6 / 255, 1, 9])
  images = numpy.asarray(values.reshape(1, 2, 4, 1))
  pixels = to_uint8(images)
  assert isinstance(pixels, np.ndarray if numpy is np else jax.Array)
  np.testing.assert_array_equal(
    np.ravel(pixels), [0, 0, 0, 1, 128, 255, 255, 255]
  )


def test_every_value_comes_back_from_floats():
  every = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
  for pixels in (every, jnp.asarray(every)):
    assert to_float(pixels).dtype == np.float32
    np.testing.assert_array_equal(to_uint8(to_float(pixels)), every)
    np.testing.assert_array_equal(jax.jit(to_uint8)(to_float(pixels)), every)
