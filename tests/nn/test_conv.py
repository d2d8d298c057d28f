"""The CPU's convolutions against `jax.lax`'s, values and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from vqvae_jax import nn as networks
from vqvae_jax.nn import conv, conv_transpose

DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def reference_conv(x, kernel, stride):
  return lax.conv_general_dilated(
    x, kernel, (stride, stride), "SAME", dimension_numbers=DIMENSIONS
  )


def reference_transpose(x, kernel):
  return lax.conv_transpose(
    x, kernel, (2, 2), "SAME", dimension_numbers=DIMENSIONS
  )


def normal(*shape, dtype):
  rng = np.random.default_rng(sum(shape))
  return jnp.asarray(rng.normal(size=shape), dtype)


def assert_same_map(f, reference, x, kernel, tolerance):
  """Values and both gradients, relative to the largest entry."""
  expected, pull = jax.vjp(reference, x, kernel)
  g = normal(*expected.shape, dtype=x.dtype)
  ours, our_pull = jax.jit(lambda *a: (f(*a), jax.vjp(f, *a)[1](g)))(x, kernel)
  for a, b in zip((ours, *our_pull), (expected, *pull(g)), strict=True):
    assert a.shape == b.shape
    assert a.dtype == b.dtype
    scale = float(jnp.abs(b).max())
    np.testing.assert_allclose(a / scale, b / scale, atol=tolerance)


# Sizes that tiles of 4 divide and do not; few and many channels, which go
# different ways.
GRIDS = [
  ((7, 7), (5, 4)),
  ((8, 8), (8, 1)),
  ((1, 2), (1, 3)),
  ((5, 13), (6, 5)),
  ((16, 3), (3, 7)),
]


@pytest.mark.parametrize(("size", "channels"), GRIDS)
@pytest.mark.parametrize("kernel", [1, 3])
def test_conv_is_the_direct_sum(size, channels, kernel):
  with jax.enable_x64(True):
    x = normal(3, *size, channels[0], dtype=jnp.float64)
    k = normal(kernel, kernel, *channels, dtype=jnp.float64)
    assert_same_map(conv, lambda x, k: reference_conv(x, k, 1), x, k, 1e-13)


@pytest.mark.parametrize("channels", [(3, 5), (6, 1)])
@pytest.mark.parametrize("size", [(14, 14), (2, 4), (32, 6), (7, 5), (18, 9)])
def test_strided_conv_is_the_direct_sum(size, channels):
  with jax.enable_x64(True):
    x = normal(3, *size, channels[0], dtype=jnp.float64)
    k = normal(4, 4, *channels, dtype=jnp.float64)
    assert_same_map(
      lambda x, k: conv(x, k, 2),
      lambda x, k: reference_conv(x, k, 2),
      x,
      k,
      1e-13,
    )


@pytest.mark.parametrize(("size", "channels"), GRIDS)
def test_conv_transpose_is_the_direct_sum(size, channels):
  with jax.enable_x64(True):
    x = normal(3, *size, channels[0], dtype=jnp.float64)
    k = normal(4, 4, *channels, dtype=jnp.float64)
    assert_same_map(conv_transpose, reference_transpose, x, k, 1e-13)


@pytest.mark.parametrize("size", [7, 16])
def test_float32_loses_a_few_roundings_only(size):
  x = normal(2, size, size, 64, dtype=jnp.float32)
  k3 = normal(3, 3, 64, 32, dtype=jnp.float32)
  k4 = normal(4, 4, 64, 32, dtype=jnp.float32)
  assert_same_map(conv, lambda x, k: reference_conv(x, k, 1), x, k3, 1e-5)
  assert_same_map(conv_transpose, reference_transpose, x, k4, 1e-5)
  big = normal(2, 2 * size, 2 * size, 64, dtype=jnp.float32)
  assert_same_map(
    lambda x, k: conv(x, k, 2),
    lambda x, k: reference_conv(x, k, 2),
    big,
    k4,
    1e-5,
  )


def test_bfloat16_is_left_to_lax():
  x = normal(2, 8, 8, 4, dtype=jnp.bfloat16)
  k = normal(3, 3, 4, 5, dtype=jnp.bfloat16)
  np.testing.assert_array_equal(conv(x, k), reference_conv(x, k, 1))


def test_accelerators_get_plain_convolutions():
  """What a TPU or a GPU is given has no trace of the CPU's form."""

  def loss(x, k3, k4, k_up):
    h = conv(conv(x, k4, 2), k3)
    return (conv_transpose(h, k_up) ** 2).sum()

  x = normal(2, 16, 16, 8, dtype=jnp.float32)
  arguments = (
    x,
    normal(3, 3, 12, 12, dtype=jnp.float32),
    normal(4, 4, 8, 12, dtype=jnp.float32),
    normal(4, 4, 12, 8, dtype=jnp.float32),
  )
  gradients = jax.jit(jax.grad(loss, argnums=(0, 1, 2, 3)))
  for platform in ("tpu", "cuda"):
    text = (
      gradients.trace(*arguments)
      .lower(lowering_platforms=(platform,))
      .as_text()
    )
    assert text.count("stablehlo.convolution") == 9
    assert "dot_general" not in text
  text = gradients.lower(*arguments).as_text()
  assert "stablehlo.convolution" not in text


def test_modules_add_the_bias_and_keep_float32_parameters():
  x = normal(2, 6, 6, 3, dtype=jnp.float32)
  for module, reference in (
    (networks.Conv(5, 4, 2), lambda x, k: reference_conv(x, k, 2)),
    (networks.ConvTranspose(5), reference_transpose),
  ):
    params = module.init(jax.random.key(0), x)["params"]
    params["bias"] = jnp.arange(5.0)
    y = module.apply({"params": params}, x)
    expected = reference(x, params["kernel"]) + params["bias"][None, None, None]
    np.testing.assert_allclose(y, expected, atol=1e-5)
    half = module.clone(dtype=jnp.bfloat16)
    params = half.init(jax.random.key(0), x)["params"]
    assert {p.dtype for p in params.values()} == {jnp.dtype("float32")}
    assert half.apply({"params": params}, x).dtype == jnp.bfloat16
