"""The judging classifier drops out in training only."""

import jax
import jax.numpy as jnp
import numpy as np

from vqvae_jax.models import Classifier


def test_dropout_only_in_training():
  model = Classifier(num_classes=4)
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
  none = Classifier(num_classes=4, dropout=0.0)
  np.testing.assert_array_equal(
    none.apply(variables, images, True, rngs={"dropout": jax.random.key(0)}),
    logits,
  )
