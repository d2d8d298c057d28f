"""The closed forms of the VAE, the Gaussians of the autoencoder, its sizes."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf

from vqvae_jax.errors import ConfigError
from vqvae_jax.generators import likelihoods
from vqvae_jax.generators.autoencoder.network import (
  Autoencoder,
  class_gaussians,
  kl_nats,
  reparameterize,
  shrunk_covariance,
)
from vqvae_jax.generators.vectors import coarsest_stride


def log_normal(x, mean, variance):
  """Of a diagonal Gaussian, summed over the last axis."""
  terms = (x - mean) ** 2 / variance + np.log(2 * np.pi * variance)
  return -0.5 * terms.sum(-1)


def test_kl_is_the_integral_that_it_stands_for():
  rng = np.random.default_rng(0)
  mean, log_variance = rng.normal(size=(2, 3, 4))
  got = kl_nats(jnp.asarray(mean), jnp.asarray(log_variance))
  variance = np.exp(log_variance)
  closed = 0.5 * (mean**2 + variance - 1 - np.log(variance)).sum(-1)
  np.testing.assert_allclose(got, closed, rtol=1e-5)
  draws = mean + np.sqrt(variance) * rng.normal(size=(200_000, 3, 4))
  ratio = log_normal(draws, mean, variance) - log_normal(draws, 0, 1 + 0 * mean)
  error = ratio.std(0) / math.sqrt(len(draws))
  assert (np.abs(ratio.mean(0) - got) < 5 * error).all()
  assert float(kl_nats(jnp.zeros((1, 2)), jnp.zeros((1, 2)))[0]) == 0


def test_draws_have_the_moments_and_gradients_they_should():
  mean, log_variance = jnp.array([[0.5, -2.0]]), jnp.array([[0.0, -3.0]])
  many = jnp.broadcast_to(mean, (100_000, 2))
  spread = jnp.broadcast_to(log_variance, (100_000, 2))
  draws = np.asarray(reparameterize(jax.random.key(0), many, spread))
  std = np.exp(log_variance[0] / 2)
  np.testing.assert_allclose(draws.mean(0), mean[0], atol=0.02)
  np.testing.assert_allclose(draws.std(0), std, rtol=0.02)
  by_mean, by_log_variance = jax.grad(
    lambda m, v: reparameterize(jax.random.key(0), m, v).sum(), argnums=(0, 1)
  )(many, spread)
  np.testing.assert_allclose(by_mean, 1.0)
  # d sigma / d log sigma^2 is sigma / 2, times the noise.
  np.testing.assert_allclose(by_log_variance, (draws - many) / 2, atol=1e-5)


def test_log_likelihoods_against_numpy():
  rng = np.random.default_rng(0)
  images = rng.uniform(size=(3, 4, 4, 2)).astype(np.float32)
  outputs = rng.normal(size=images.shape).astype(np.float32)
  flat = images.reshape(3, -1)
  arrays = jnp.asarray(outputs), jnp.asarray(images)
  got = likelihoods.log_likelihood("gaussian", *arrays, 0.3)
  expected = log_normal(flat, outputs.reshape(3, -1) + 0.5, 0.09 + 0 * flat)
  np.testing.assert_allclose(got, expected, rtol=1e-5)
  p = 1 / (1 + np.exp(-outputs.reshape(3, -1)))
  got = likelihoods.log_likelihood("bernoulli", *arrays, 0.3)
  expected = (flat * np.log(p) + (1 - flat) * np.log(1 - p)).sum(1)
  np.testing.assert_allclose(got, expected, rtol=1e-5)
  # Of black and white pixels it is a probability: over all images, 1 in sum.
  every = jnp.array(list(itertools.product([0, 1], repeat=4)), jnp.float32)
  every = every.reshape(16, 2, 2, 1)
  logits = jnp.broadcast_to(jnp.asarray(outputs[:1, :2, :2, :1]), every.shape)
  nats = likelihoods.log_likelihood("bernoulli", logits, every, 0.3)
  np.testing.assert_allclose(np.exp(nats).sum(), 1, rtol=1e-5)
  with pytest.raises(ValueError, match="'laplace' has no log-likelihood"):
    likelihoods.log_likelihood("laplace", *arrays, 0.3)


@pytest.fixture
def float64():
  with jax.enable_x64(True):
    yield


@pytest.mark.usefixtures("float64")
def test_elbo_of_a_linear_gaussian_model_is_its_evidence():
  """x = W z + b + noise: with the true posterior the bound is tight.

  The columns of W are orthogonal, so that the posterior's covariance is
  diagonal, as a VAE's is.
  """
  rng = np.random.default_rng(0)
  width, std = 3, 0.4
  orthogonal, _ = np.linalg.qr(rng.normal(size=(8, width)))
  weights = orthogonal * [0.5, 1.5, 3.0]
  offset = rng.normal(size=8)
  x = rng.normal(size=8)
  evidence = np.linalg.slogdet(
    2 * np.pi * (weights @ weights.T + std**2 * np.eye(8))
  )[1]
  residual = x - offset
  evidence = -0.5 * (
    evidence
    + residual
    @ np.linalg.solve(weights @ weights.T + std**2 * np.eye(8), residual)
  )
  variance = 1 / (1 + (weights**2).sum(0) / std**2)
  mean = variance * (weights.T @ residual) / std**2

  def elbo(mean, variance):
    # The expectation of a quadratic function is its mean over these points.
    signs = np.array(list(itertools.product([-1, 1], repeat=width)))
    latents = mean + signs * np.sqrt(variance)
    outputs = (latents @ weights.T + offset - 0.5).reshape(-1, 2, 4, 1)
    images = jnp.broadcast_to(x.reshape(2, 4, 1), outputs.shape)
    likelihood = likelihoods.log_likelihood(
      "gaussian", jnp.asarray(outputs), images, std
    ).mean()
    divergence = kl_nats(jnp.asarray(mean), jnp.log(variance))
    return float(likelihood - divergence)

  np.testing.assert_allclose(elbo(mean, variance), evidence, rtol=1e-10)
  # Any other posterior is a bound from below.
  for scale, shift in ((1.3, 0.0), (0.7, 0.0), (1.0, 0.1)):
    assert elbo(mean + shift, variance * scale) < evidence - 1e-3


def test_gaussians_of_each_class():
  rng = np.random.default_rng(0)
  mix = rng.normal(size=(3, 3))
  latents = np.concatenate(
    [
      rng.normal(size=(5000, 3)) @ mix.T + 4,
      rng.normal(size=(40, 3)),
      [[1.0] * 3],
    ]
  )
  labels = np.repeat([0, 1, 2], [5000, 40, 1])
  means, factors = class_gaussians(latents, labels, 3)
  assert np.allclose(means[0], 4, atol=0.15)
  np.testing.assert_allclose(factors[0] @ factors[0].T, mix @ mix.T, atol=0.2)
  for label in (0, 1):
    rows = latents[labels == label]
    expected, _ = ledoit_wolf(rows)
    np.testing.assert_allclose(
      factors[label] @ factors[label].T, expected, rtol=1e-9
    )
  # One image says nothing of how its class varies.
  assert (factors[2] == 0).all()
  np.testing.assert_allclose(means[2], 1.0)


def test_few_rows_give_a_covariance_of_full_rank():
  rows = np.random.default_rng(0).normal(size=(4, 16))
  assert np.linalg.matrix_rank(np.cov(rows.T)) == 3
  assert np.linalg.eigvalsh(shrunk_covariance(rows)).min() > 0.1


@pytest.mark.parametrize(
  "height, width, stride",
  [
    (4, 4, 4),
    (8, 8, 4),
    (28, 28, 4),
    (32, 32, 8),
    (64, 64, 16),
    (128, 128, 32),
    (100, 60, 4),
    (64, 96, 16),
  ],
)
def test_grids_of_all_sizes(height, width, stride):
  assert coarsest_stride(height, width) == stride
  assert height % stride == width % stride == 0


@pytest.mark.parametrize("height, width", [(30, 28), (28, 30), (27, 27)])
def test_sides_that_cannot_be_halved_twice(height, width):
  with pytest.raises(ConfigError, match=f"images are {width}x{height}; .*=28"):
    coarsest_stride(height, width)


@pytest.mark.parametrize("variational", [False, True])
def test_only_a_variational_one_is_given_the_class(variational):
  model = Autoencoder((8, 12, 3), 4, 2, 6, 3, variational)
  rng = np.random.default_rng(0)
  images = jnp.asarray(rng.uniform(size=(2, 8, 12, 3)), jnp.float32)
  first, second = jnp.array([0, 0]), jnp.array([0, 2])
  variables = model.init(jax.random.key(0), images, first)

  @jax.jit
  def run(labels):
    mean, log_variance = model.apply(variables, images, labels, method="encode")
    fixed = jnp.ones((2, 2))
    pixels = model.apply(variables, fixed, labels, method="pixels")
    return mean, log_variance, pixels

  mean, log_variance, pixels = run(first)
  assert mean.shape == (2, 2)
  assert pixels.shape == images.shape
  assert pixels.min() >= 0 and pixels.max() <= 1
  other_mean, _, other_pixels = run(second)
  for one, other in ((mean, other_mean), (pixels, other_pixels)):
    np.testing.assert_allclose(one[0], other[0], rtol=1e-5, atol=1e-6)
    assert (np.abs(one[1] - other[1]).max() > 1e-4) == variational
  assert (log_variance is not None) == variational
