"""The encoder and the decoder: what a feature sees, and how sizes follow."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqvae_jax.nn import Decoder, Encoder

SMALL = {"hidden": 6, "residual_layers": 1, "residual_hidden": 3}


def count(params):
  return sum(p.size for p in jax.tree.leaves(params))


@pytest.mark.parametrize("stride", [2, 8, 32])
def test_stride_divides_the_grid_and_the_decoder_restores_it(stride):
  images = jax.random.normal(jax.random.key(0), (2, 2 * stride, stride, 3))
  encoder = Encoder(**SMALL, stride=stride)
  decoder = Decoder(channels=3, **SMALL, stride=stride)
  features, _ = jax.jit(encoder.init_with_output)(jax.random.key(1), images)
  assert features.shape == (2, 2, 1, 6)
  assert (features >= 0).all()
  outputs, _ = jax.jit(decoder.init_with_output)(jax.random.key(2), features)
  assert outputs.shape == images.shape


def test_sizes_are_those_of_the_paper():
  """Hidden 128, residual 2 x 32, stride 4, one channel: weights by hand."""
  net = {"hidden": 128, "residual_layers": 2, "residual_hidden": 32}
  stack = 2 * (9 * 128 * 32 + 32 + 32 * 128 + 128)
  images = jnp.zeros((1, 8, 8, 1))
  encoder = jax.eval_shape(Encoder(**net, stride=4).init, *_key(images))
  assert count(encoder) == (
    (16 * 64 + 64) + (16 * 64 * 128 + 128) + (9 * 128 * 128 + 128) + stack
  )
  latents = jnp.zeros((1, 2, 2, 64))
  decoder = Decoder(channels=1, **net, stride=4)
  assert count(jax.eval_shape(decoder.init, *_key(latents))) == (
    (9 * 64 * 128 + 128) + stack + (16 * 128 * 64 + 64) + (16 * 64 + 1)
  )


def test_a_latent_moves_the_pixels_around_it():
  """Mirror symmetry of the paddings: pixels reached on both sides alike."""
  decoder = Decoder(
    channels=1, hidden=4, residual_layers=0, residual_hidden=2, stride=4
  )
  latents = jax.random.normal(jax.random.key(0), (1, 9, 9, 3))
  variables = jax.jit(decoder.init)(jax.random.key(1), latents)

  def center(latents):
    return decoder.apply(variables, latents)[0, 16:20, 16:20].sum()

  gradient = jnp.abs(jax.jit(jax.grad(center))(latents)).sum(axis=(0, 3))
  # On CPUs a tile's other latents get what rounding leaves of their zeros.
  reach = gradient > 1e-5 * gradient.max()
  rows, cols = np.nonzero(reach)
  assert rows.min() + rows.max() == 8
  assert cols.min() + cols.max() == 8
  assert reach[4, 4]


def test_float64_and_bfloat16():
  images = np.random.default_rng(0).normal(size=(2, 8, 8, 1))
  with jax.enable_x64(True):
    encoder = Encoder(**SMALL, stride=2, dtype=jnp.float64)
    decoder = Decoder(channels=1, **SMALL, stride=2, dtype=jnp.float64)
    features, variables = jax.jit(encoder.init_with_output)(
      jax.random.key(0), images
    )
    assert features.dtype == jnp.float64
    assert {p.dtype for p in jax.tree.leaves(variables)} == {
      jnp.dtype("float64")
    }
    outputs, _ = jax.jit(decoder.init_with_output)(jax.random.key(0), features)
    assert outputs.dtype == jnp.float64
  half = Encoder(**SMALL, stride=2, dtype=jnp.bfloat16)
  features, _ = jax.jit(half.init_with_output)(jax.random.key(0), images)
  assert features.dtype == jnp.bfloat16
  decoder = Decoder(channels=1, **SMALL, stride=2, dtype=jnp.bfloat16)
  outputs, _ = jax.jit(decoder.init_with_output)(jax.random.key(0), features)
  assert outputs.dtype == jnp.float32


def test_a_row_of_a_batch_does_not_depend_on_its_place():
  images = jax.random.normal(jax.random.key(0), (4, 8, 8, 1))
  encoder = Encoder(**SMALL, stride=4)
  variables = jax.jit(encoder.init)(jax.random.key(1), images)
  apply = jax.jit(encoder.apply)
  np.testing.assert_array_equal(
    apply(variables, images)[::-1], apply(variables, images[::-1])
  )


def _key(x):
  return jax.random.key(0), x
