"""Likelihoods of ids against numpy, and that they are probabilities."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from vqvae_jax.priors import TransformerPrior, log_prob, prior_loss


def tiny(num_codes=3, grid=(2, 2)):
  model = TransformerPrior(num_codes, 2, grid, layers=1, width=8, heads=2)
  ids = jnp.zeros((1, grid[0] * grid[1]), jnp.int32)
  params = jax.jit(model.init)(jax.random.key(0), ids, ids[:, 0])["params"]
  return model, jax.tree.map(lambda x: 10 * x, params)


def test_prior_loss_against_numpy():
  rng = np.random.default_rng(0)
  logits = rng.normal(size=(4, 5, 7)).astype(np.float32) * 3
  ids = rng.integers(0, 7, size=(4, 5))
  probs = np.exp(logits.astype(np.float64))
  probs /= probs.sum(-1, keepdims=True)
  expected = [
    -sum(np.log(probs[b, t, ids[b, t]]) for t in range(5)) for b in range(4)
  ]
  got = prior_loss(jnp.asarray(logits), jnp.asarray(ids))
  np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_prior_loss_of_extreme_logits_is_finite():
  logits = jnp.array([[[1e4, -1e4, 0.0]]])
  np.testing.assert_array_equal(prior_loss(logits, jnp.array([[0]])), [0.0])
  np.testing.assert_array_equal(prior_loss(logits, jnp.array([[1]])), [2e4])


def test_log_prob_is_minus_loss_and_depends_on_the_label():
  model, params = tiny()
  ids = jnp.array([[0, 1, 2, 0], [0, 1, 2, 0]])
  labels = jnp.array([0, 1])
  got = log_prob(model, params, ids, labels)
  logits = jax.jit(model.apply)({"params": params}, ids, labels)
  np.testing.assert_allclose(got, -prior_loss(logits, ids), rtol=1e-6)
  assert abs(got[0] - got[1]) > 1e-2


def test_probabilities_of_all_sequences_sum_to_one():
  model, params = tiny()
  ids = jnp.array(list(itertools.product(range(3), repeat=4)))
  for label in range(2):
    labels = jnp.full(len(ids), label)
    probs = np.exp(np.asarray(log_prob(model, params, ids, labels), float))
    assert probs.max() > 3 * probs.min()
    np.testing.assert_allclose(probs.sum(), 1, atol=1e-5)
