"""The contract that every quantizer keeps."""

import functools
import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqvae_jax.quantizers import (
  FSQ,
  LFQ,
  EMAQuantizer,
  GumbelQuantizer,
  ProductQuantizer,
  Projected,
  ResidualQuantizer,
  SimVQ,
  VectorQuantizer,
)

RECIPE = pathlib.Path(__file__).parents[2] / "docs" / "add-a-quantizer.md"


def from_recipe(*args):
  """Returns the quantizer of the recipe in the documentation."""
  code = re.search(r"```python\n(.*?)```", RECIPE.read_text(), re.DOTALL)[1]
  names = {"__name__": "recipe"}
  exec(compile(code, RECIPE.name, "exec"), names)
  return names["GridQuantizer"](*args)


FAMILY = {
  "ema": EMAQuantizer(12, 6),
  "ema l2": EMAQuantizer(12, 6, codebook_norm="l2", entropy=0.1),
  "vq": VectorQuantizer(12, 6),
  "vq rotation": VectorQuantizer(12, 6, gradient="rotation"),
  "vq l2": VectorQuantizer(12, 6, codebook_norm="l2", orthogonality=0.5),
  "simvq": SimVQ(12, 6),
  "residual": ResidualQuantizer(12, 6, 3),
  "residual shared": ResidualQuantizer(12, 6, 3, shared_codebook=True),
  "product": ProductQuantizer(12, 6, 2),
  "fsq": FSQ((8, 5, 4)),
  "lfq": LFQ(5),
  "gumbel": GumbelQuantizer(12, 6),
  "projected": Projected(EMAQuantizer(12, 3), 6),
  "recipe": from_recipe(6),
  "projected fsq": Projected(FSQ((8, 5, 4)), 6),
}
EACH = pytest.mark.parametrize("name", FAMILY)
BOTH = ["params", "codebook"]


def latents(quantizer, shape=(4, 3, 5), seed=0):
  rng = np.random.default_rng(seed)
  return jnp.asarray(rng.normal(size=(*shape, quantizer.width)), jnp.float32)


@functools.cache
def variables(name):
  """Returns variables whose codes come from latents, as in training."""
  quantizer = FAMILY[name]

  @jax.jit
  def start(z):
    first = quantizer.init(jax.random.key(1), z)
    _, started = quantizer.apply(
      first, z, jax.random.key(2), method="start", mutable=BOTH
    )
    return {**first, **started}

  return start(latents(quantizer, seed=3))


@functools.partial(jax.jit, static_argnums=(0, 3))
def apply(quantizer, values, z, train=False):
  return quantizer.apply(values, z, train, rngs={"codes": jax.random.key(5)})


@EACH
def test_ids_decode_to_the_vectors(name):
  quantizer, values = FAMILY[name], variables(name)
  z = latents(quantizer)
  out = apply(quantizer, values, z)
  several = quantizer.ids_per_latent
  assert out.ids.shape == z.shape[:-1] + (several,) * (several > 1)
  assert out.ids.dtype == jnp.int32
  assert out.ids.min() >= 0 and out.ids.max() < quantizer.num_codes
  # Not all alike, or this would show nothing.
  assert len(np.unique(out.ids)) > 5
  vectors = jax.jit(quantizer.apply, static_argnames="method")(
    values, out.ids, method="ids_to_vectors"
  )
  assert vectors.shape == z.shape
  np.testing.assert_allclose(out.vectors, vectors, rtol=0, atol=1e-6)


@EACH
def test_ids_out_of_range_are_refused(name):
  quantizer, values = FAMILY[name], variables(name)
  ids = apply(quantizer, values, latents(quantizer)).ids
  for bad in (ids + quantizer.num_codes, ids - quantizer.num_codes):
    with pytest.raises(ValueError, match=r"are not all in \[0, \d+\)"):
      quantizer.apply(values, bad, method="ids_to_vectors")


@EACH
def test_resampled_ids_are_near(name):
  quantizer, values = FAMILY[name], variables(name)
  z = latents(quantizer, (6, 6))
  ids = apply(quantizer, values, z).ids

  @jax.jit
  def resample(temperature, key):
    return quantizer.apply(values, z, temperature, key, method="resample")

  # Several codes may be equally near.
  cold = resample(0.0, jax.random.key(0))
  nearest, drawn = (
    quantizer.apply(values, x, method="ids_to_vectors") for x in (ids, cold)
  )
  np.testing.assert_allclose(drawn, nearest, atol=1e-6)
  changed = []
  for temperature in (0.1, 1.0, 100.0):
    drawn = resample(temperature, jax.random.key(0))
    assert drawn.shape == ids.shape and drawn.dtype == jnp.int32
    assert drawn.min() >= 0 and drawn.max() < quantizer.num_codes
    changed.append((drawn != ids).mean())
  assert changed[0] < changed[1] < changed[2]
  assert changed[1] > 0.05
  others = resample(1.0, jax.random.key(1))
  assert (others != resample(1.0, jax.random.key(0))).any()


@EACH
def test_the_loss_is_a_mean(name):
  quantizer, values = FAMILY[name], variables(name)
  z = latents(quantizer)
  once = apply(quantizer, values, z)
  twice = apply(quantizer, values, jnp.concatenate([z, z]))
  np.testing.assert_allclose(once.loss, twice.loss, rtol=1e-5)
  for metric, value in once.metrics.items():
    assert value.shape == ()
    np.testing.assert_allclose(value, twice.metrics[metric], rtol=1e-4)


@EACH
def test_gradients_reach_every_latent(name):
  quantizer, values = FAMILY[name], variables(name)
  z = latents(quantizer)
  weights = latents(quantizer, seed=8)

  @jax.jit
  def gradient(z):
    def loss(z):
      out = quantizer.apply(values, z, True, rngs={"codes": jax.random.key(0)})
      return jnp.sum(out.vectors * weights)

    return jax.grad(loss)(z)

  got = np.asarray(gradient(z))
  assert np.isfinite(got).all()
  assert (np.abs(got).sum(axis=-1) > 1e-4).all()
  plain = ("ema", "vq", "simvq", "residual", "residual shared", "product")
  if name in (*plain, "lfq"):
    # Straight through: what comes in goes out.
    np.testing.assert_allclose(got, weights, rtol=1e-6)


@EACH
def test_half_precision_is_searched_in_full(name):
  quantizer, values = FAMILY[name], variables(name)
  half = latents(quantizer, (16, 4)).astype(jnp.bfloat16)
  out = apply(quantizer, values, half)
  full = apply(quantizer, values, half.astype(jnp.float32))
  np.testing.assert_array_equal(out.ids, full.ids)
  assert out.vectors.dtype == jnp.bfloat16
  assert out.loss.dtype == jnp.float32


@EACH
def test_update_keeps_shapes_and_types(name):
  quantizer, values = FAMILY[name], variables(name)
  z = latents(quantizer)
  ids = apply(quantizer, values, z, True).ids
  _, changed = jax.jit(
    lambda values, z, ids: quantizer.apply(
      values, z, ids, jax.random.key(0), method="update", mutable=BOTH
    )
  )(values, z, ids)

  def kinds(tree):
    return jax.tree.map(lambda x: (x.shape, x.dtype), tree)

  assert kinds({**values, **changed}) == kinds(values)
  moved = {"ema", "ema l2", "residual", "residual shared", "product"}
  moved |= {"projected"}
  still = jax.tree.map(
    lambda a, b: bool((a == b).all()),
    changed.get("codebook", {}),
    values.get("codebook", {}),
  )
  if name in moved | {"vq", "vq rotation", "vq l2", "gumbel"}:
    assert not all(jax.tree.leaves(still))
  else:
    assert all(jax.tree.leaves(still))


@EACH
def test_latents_of_another_width_are_named(name):
  quantizer, values = FAMILY[name], variables(name)
  z = jnp.zeros((2, quantizer.width + 1))
  message = f"width {quantizer.width + 1}, but the quantizer's is "
  with pytest.raises(ValueError, match=message):
    quantizer.apply(values, z)


@pytest.mark.parametrize(
  ("make", "message"),
  [
    (lambda: FSQ((8, 1)), r"levels \(8, 1\) are not all 2 or more"),
    (lambda: FSQ(()), r"levels \(\) are not"),
    (lambda: LFQ(0), "bits 0 is not between 1 and 20"),
    (lambda: LFQ(21), "bits 21 is not"),
    (lambda: ResidualQuantizer(8, 4, 0), "depth 0 is below 1"),
    (
      lambda: ProductQuantizer(8, 6, 4),
      "groups 4 does not divide the code dimension 6",
    ),
  ],
)
def test_impossible_quantizers_are_refused(make, message):
  with pytest.raises(ValueError, match=message):
    make()
