"""The VQ-VAE: ids decode to what the forward pass gives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqvae_jax.config import TokenizerConfig
from vqvae_jax.generators import likelihoods
from vqvae_jax.generators.vqvae.network import build_vqvae

CONFIG = {
  "kmeans": 0,
  "codebook_size": 12,
  "code_dim": 6,
  "hidden": 8,
  "residual_layers": 1,
  "residual_hidden": 4,
}


def make(shape, stride, dtype=jnp.float32, **changes):
  """A model, images, and weights that no compiled initializer is needed for."""
  model = build_vqvae(
    TokenizerConfig(**CONFIG | changes), shape[-1], stride, dtype
  )
  rng = np.random.default_rng(0)
  images = jnp.asarray(rng.uniform(size=(3, *shape)), jnp.float32)

  def weight(leaf):
    fan_in = np.prod(leaf.shape[:-1])
    # Large enough that what comes in is seen in what goes out.
    scale = 1.5 / fan_in**0.5
    return jnp.asarray(scale * rng.normal(size=leaf.shape), leaf.dtype)

  shapes = jax.eval_shape(model.init, jax.random.key(0), images)
  return model, jax.tree.map(weight, shapes), images


def codes_of(variables):
  for collection in ("params", "codebook"):
    if "vectors" in variables[collection].get("quantizer", {}):
      return np.asarray(variables[collection]["quantizer"]["vectors"])
  raise KeyError("vectors")


@pytest.mark.parametrize(
  "shape, stride, likelihood, quantizer",
  [
    ((28, 28, 1), 2, "bernoulli", "vq"),
    ((32, 32, 3), 4, "laplace", "ema"),
    ((16, 24, 1), 8, "gaussian", "ema"),
  ],
)
def test_ids_decode_to_the_forward_pass(shape, stride, likelihood, quantizer):
  model, variables, images = make(
    shape, stride, likelihood=likelihood, quantizer=quantizer
  )

  @jax.jit
  def both_ways(variables, images):
    _, started = model.apply(
      variables,
      images,
      jax.random.key(1),
      method="start_codes",
      mutable=["params", "codebook"],
    )
    variables = {**variables, **started}
    out = model.apply(variables, images)
    ids = model.apply(variables, images, method="encode")
    pixels = model.apply(variables, ids, method="decode")
    others = model.apply(variables, (ids + 1) % 12, method="decode")
    return variables, out, ids, pixels, others

  variables, out, ids, pixels, others = both_ways(variables, images)
  grid = (shape[0] // stride, shape[1] // stride)
  assert ids.shape == (3, *grid)
  assert pixels.shape == images.shape
  np.testing.assert_array_equal(ids, out.quantized.ids)
  np.testing.assert_allclose(
    pixels, likelihoods.to_pixels(likelihood, out.outputs), atol=1e-4
  )
  # Every id names the code nearest to the latent at its place.
  codes, latents = codes_of(variables), np.asarray(out.latents)
  distances = ((latents[..., None, :] - codes) ** 2).sum(axis=-1)
  chosen = np.take_along_axis(distances, np.asarray(ids)[..., None], axis=-1)
  np.testing.assert_allclose(
    chosen[..., 0], distances.min(axis=-1), rtol=1e-3, atol=1e-5
  )
  # First codes are latents, and all in use.
  np.testing.assert_allclose(distances.min(axis=(0, 1, 2)), 0, atol=1e-8)
  assert len(np.unique(ids)) == 12
  # The decoder reads the ids.
  assert np.abs(np.asarray(others) - np.asarray(pixels)).mean() > 0.01


def test_an_id_stands_for_its_place_in_the_image():
  model, variables, images = make(
    (32, 32, 1), 4, residual_layers=0, likelihood="bernoulli"
  )

  @jax.jit
  def moved(variables, images, others, ids, other_ids):
    def difference(method, *inputs):
      a, b = (model.apply(variables, x, method=method) for x in inputs)
      return jnp.abs(a - b)[0].max(axis=-1) > 1e-5

    return (
      difference("latents", images, others),
      difference("decode", ids, other_ids),
    )

  others = images.at[:, 4:8, 24:28].add(0.3)
  ids = jnp.zeros((1, 8, 8), jnp.int32)
  latents, pixels = moved(
    variables, images, others, ids, ids.at[0, 1, 6].set(1)
  )
  assert latents[1, 6]
  assert pixels[4:8, 24:28].mean() > 0.8
  # Each side sees one or two ids around.
  for seen, size in ((latents, 1), (pixels, 4)):
    rows, columns = np.nonzero(np.asarray(seen))
    assert rows.max() < (1 + 3) * size
    assert columns.min() >= (6 - 2) * size


@pytest.mark.parametrize("quantizer", ["ema", "vq"])
def test_bfloat16_keeps_weights_and_codebook_in_float32(quantizer):
  shape = (16, 16, 1)
  half, variables, images = make(shape, 4, jnp.bfloat16, quantizer=quantizer)
  exact, _, _ = make(shape, 4, quantizer=quantizer)

  @jax.jit
  def run(variables, images):
    out = half.apply(variables, images)
    _, updated = half.apply(
      variables,
      out.latents,
      out.quantized.ids,
      jax.random.key(0),
      method="update_codes",
      mutable=["params", "codebook"],
    )
    decoded = half.apply(variables, out.quantized.ids, method="decode")
    latents = exact.apply(variables, images, method="latents")
    return out, updated, decoded, latents

  out, updated, decoded, latents = run(variables, images)
  assert out.latents.dtype == jnp.bfloat16
  assert out.outputs.dtype == out.quantized.loss.dtype == jnp.float32
  for leaf in jax.tree.leaves((variables, updated)):
    assert leaf.dtype == jnp.float32
  scale = np.abs(np.asarray(latents)).max()
  np.testing.assert_allclose(
    out.latents.astype(jnp.float32), latents, atol=0.05 * scale
  )
  np.testing.assert_allclose(
    decoded, likelihoods.to_pixels("gaussian", out.outputs), atol=0.02
  )


def test_configuration_reaches_the_quantizer():
  config = TokenizerConfig(
    codebook_size=7,
    code_dim=5,
    commitment=2.0,
    codebook_ema=0.8,
    revive_below=0.2,
  )
  quantizer = build_vqvae(config, 1, 4).quantizer
  assert (quantizer.codebook_size, quantizer.code_dim) == (7, 5)
  assert quantizer.commitment == 2.0
  assert quantizer.codebook_ema == 0.8
  assert quantizer.revive_below == 0.2
