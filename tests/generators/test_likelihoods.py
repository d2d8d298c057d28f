"""Reconstruction losses against the log-densities of scipy."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from vqvae_jax.generators import likelihoods

VARIANCE = 0.07


def drawn(scale=1.0):
  rng = np.random.default_rng(0)
  outputs = rng.normal(size=(3, 4, 5, 2)) * scale
  return outputs, rng.uniform(size=(3, 4, 5, 2))


def loss(kind, outputs, images):
  arrays = (jnp.asarray(x, jnp.float32) for x in (outputs, images))
  return likelihoods.reconstruction_loss(kind, *arrays, VARIANCE)


def test_gaussian():
  outputs, images = drawn()
  density = scipy.stats.norm(outputs + 0.5, VARIANCE**0.5).logpdf(images)
  # Times two, less the constant: 1 is the error of the best constant image.
  constant = 0.5 * np.log(2 * np.pi * VARIANCE)
  expected = 2 * (-density - constant).mean(axis=(1, 2, 3))
  np.testing.assert_allclose(
    loss("gaussian", outputs, images), expected, rtol=1e-5
  )


def test_gaussian_loss_of_a_constant_image_is_one():
  images = np.random.default_rng(0).uniform(size=(1, 9, 9, 1))
  constant = np.full_like(images, images.mean() - 0.5)
  got = likelihoods.reconstruction_loss(
    "gaussian", jnp.asarray(constant), jnp.asarray(images), images.var()
  )
  np.testing.assert_allclose(got, [1.0], rtol=1e-5)


def test_laplace():
  outputs, images = drawn()
  scale = VARIANCE**0.5
  density = scipy.stats.laplace(outputs + 0.5, scale).logpdf(images)
  expected = (-density - np.log(2 * scale)).mean(axis=(1, 2, 3))
  np.testing.assert_allclose(
    loss("laplace", outputs, images), expected, rtol=1e-5
  )


def test_bernoulli():
  outputs, images = drawn(3)
  p = scipy.special.expit(outputs)
  # A grey value is the share of ones.
  expected = -(
    images * scipy.stats.bernoulli(p).logpmf(1)
    + (1 - images) * scipy.stats.bernoulli(p).logpmf(0)
  ).mean(axis=(1, 2, 3))
  np.testing.assert_allclose(
    loss("bernoulli", outputs, images), expected, rtol=1e-5
  )


def test_bernoulli_of_extreme_logits_is_finite():
  outputs = np.array([200.0, -200.0, 200.0, -200.0]).reshape(4, 1, 1, 1)
  images = np.array([1.0, 0.0, 0.0, 1.0]).reshape(4, 1, 1, 1)
  np.testing.assert_allclose(
    loss("bernoulli", outputs, images), [0, 0, 200, 200]
  )


def test_unknown_likelihood():
  with pytest.raises(ValueError, match="'cauchy'"):
    loss("cauchy", *drawn())


@pytest.mark.parametrize("kind", ["gaussian", "laplace"])
def test_pixels_are_the_mean_held_in_range(kind):
  outputs = jnp.array([-2.0, -0.5, -0.1, 0.25, 0.5, 3.0]).reshape(1, 2, 3, 1)
  got = likelihoods.to_pixels(kind, outputs).ravel()
  np.testing.assert_allclose(got, [0, 0, 0.4, 0.75, 1, 1], rtol=1e-6)


def test_pixels_of_logits_are_probabilities():
  outputs, _ = drawn(3)
  np.testing.assert_allclose(
    likelihoods.to_pixels("bernoulli", jnp.asarray(outputs)),
    scipy.special.expit(outputs),
    rtol=1e-5,
  )


@pytest.mark.parametrize("kind", ["gaussian", "laplace", "bernoulli"])
def test_the_true_image_has_the_least_loss(kind):
  _, images = drawn()
  right = scipy.special.logit(images) if kind == "bernoulli" else images - 0.5
  np.testing.assert_allclose(
    likelihoods.to_pixels(kind, jnp.asarray(right)), images, atol=1e-6
  )
  least = np.asarray(loss(kind, right, images))
  for shift in (-0.1, 0.1):
    assert (np.asarray(loss(kind, right + shift, images)) > least).all()
