"""The judging classifiers: dropout in training only, and their quick layers."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqvae_jax.study.classifiers import Classifier, TunedClassifier, max_pool


@pytest.mark.parametrize("build", [Classifier, TunedClassifier])
def test_dropout_only_in_training(build):
  model = build(num_classes=4)
  rng = np.random.default_rng(0)
  images = jnp.asarray(rng.uniform(size=(2, 8, 8, 3)), jnp.float32)
  variables = jax.jit(model.init)(jax.random.key(0), images)
  # Needs no rng, so nothing is random.
  logits = model.apply(variables, images)

  @jax.jit
  def train(keys):
    return jax.vmap(
      lambda key: model.apply(variables, images, True, rngs={"dropout": key})
    )(keys)

  draws = np.asarray(train(jax.random.split(jax.random.key(1), 500)))
  assert np.abs(draws[0] - draws[1]).min() > 1e-5
  # The last layer is linear, so dropout leaves the mean of the logits alone.
  error = draws.std(axis=0) / np.sqrt(len(draws))
  assert (np.abs(draws.mean(axis=0) - logits) < 4 * error).all()
  assert (draws.std(axis=0) > 0.01).all()
  none = build(num_classes=4, dropout=0.0)
  np.testing.assert_array_equal(
    none.apply(variables, images, True, rngs={"dropout": jax.random.key(0)}),
    logits,
  )


def test_the_classifier_is_the_net_of_its_description():
  """The same parameters in Flax's own layers give the same logits."""
  images = jax.random.uniform(jax.random.key(0), (3, 10, 9, 3))
  model = Classifier(num_classes=4)
  variables = jax.jit(model.init)(jax.random.key(1), images)
  params = variables["params"]
  first, second = params["convs_0"]["dense"], params["convs_1"]
  assert second["kernel"].shape == (3, 3, 32, 64)
  x = images - 0.5
  for channels, kernel, bias in (
    (32, first["kernel"].reshape(3, 3, 3, 32), first["bias"]),
    (64, second["kernel"], second["bias"]),
  ):
    conv = nn.Conv(channels, (3, 3))
    x = nn.relu(conv.apply({"params": {"kernel": kernel, "bias": bias}}, x))
    x = nn.max_pool(x, (2, 2), (2, 2))
  x = x.reshape(3, -1)
  x = nn.relu(nn.Dense(128).apply({"params": params["dense"]}, x))
  logits = nn.Dense(4).apply({"params": params["logits"]}, x)
  np.testing.assert_allclose(model.apply(variables, images), logits, atol=1e-5)


def test_max_pool_and_its_gradient_are_flaxs():
  x = jax.random.normal(jax.random.key(0), (2, 7, 6, 3))
  weights = jax.random.normal(jax.random.key(1), (2, 3, 3, 3))

  def ours(x):
    return (max_pool(x) * weights).sum()

  def flaxs(x):
    return (nn.max_pool(x, (2, 2), (2, 2)) * weights).sum()

  np.testing.assert_allclose(ours(x), flaxs(x), rtol=1e-5)
  np.testing.assert_array_equal(jax.grad(ours)(x), jax.grad(flaxs)(x))


def test_the_tuned_classifier_reads_each_image_by_itself():
  images = jax.random.uniform(jax.random.key(0), (4, 8, 8, 1))
  model = TunedClassifier(num_classes=3)
  variables = jax.jit(model.init)(jax.random.key(1), images)
  logits = jax.jit(model.apply)(variables, images)
  others = jax.jit(model.apply)(variables, images.at[1:].set(0.5))
  np.testing.assert_allclose(logits[0], others[0], atol=1e-6)
  assert np.abs(logits - others)[1:].max(axis=1).min() > 1e-3
