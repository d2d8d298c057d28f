"""Where the adversarial losses go, and what batch normalisation remembers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqvae_jax.generators.dcgan.network import (
  DCGAN,
  adversarial,
  discriminator_loss,
  generator_loss,
)

MODEL = DCGAN((8, 8, 1), stride=4, latent_dim=3, hidden=6, num_classes=3)


@pytest.fixture(scope="module")
def start():
  """Variables after init, a batch of images and labels, and noise."""
  rng = np.random.default_rng(0)
  labels = jnp.asarray(rng.integers(0, 3, 8))
  images = jnp.asarray(rng.uniform(size=(8, 8, 8, 1)), jnp.float32)
  noise = jnp.asarray(rng.normal(size=(8, 3)), jnp.float32)
  variables = jax.jit(MODEL.init)(jax.random.key(0), noise, labels)
  # The projection is 0 at first, and would hide what the class does.
  embed = variables["params"]["discriminator"]["class"]["embedding"]
  variables["params"]["discriminator"]["class"]["embedding"] = jnp.asarray(
    rng.normal(size=embed.shape), jnp.float32
  )
  return variables, images, labels, noise


def test_losses_against_numpy():
  rng = np.random.default_rng(0)
  real, fake = rng.normal(size=(2, 50)) * 3

  def sigmoid(x):
    return 1 / (1 + np.exp(-x))

  np.testing.assert_allclose(
    generator_loss(jnp.asarray(fake)), -np.log(sigmoid(fake)).mean(), rtol=1e-5
  )
  np.testing.assert_allclose(
    discriminator_loss(jnp.asarray(real), jnp.asarray(fake)),
    -np.log(sigmoid(real)).mean() - np.log(1 - sigmoid(fake)).mean(),
    rtol=1e-5,
  )
  # Non-saturating: a fake found out beyond doubt still has a gradient.
  gradient = jax.grad(generator_loss)(jnp.array([-40.0]))
  np.testing.assert_allclose(gradient, -1.0, rtol=1e-6)


def test_each_loss_moves_its_own_network_only(start):
  variables, images, labels, noise = start

  def term(name):
    def value(params):
      out = adversarial(
        MODEL, params, variables["batch_stats"], images, labels, noise
      )
      return getattr(out, name)

    return jax.jit(jax.grad(value))(variables["params"])

  of = {name: term(f"{name}_loss") for name in ("generator", "discriminator")}
  for own, other in (list(of), list(of)[::-1]):
    for leaf in jax.tree.leaves(of[own][other]):
      assert (np.asarray(leaf) == 0).all()
    # The biases before a batch normalisation are without effect.
    norms = [float(np.abs(x).max()) for x in jax.tree.leaves(of[own][own])]
    assert np.mean(np.array(norms) > 1e-6) > 0.6


def test_gradients_are_those_of_the_plain_losses(start):
  """As if each network were trained by a function of its own."""
  variables, images, labels, noise = start
  statistics = variables["batch_stats"]
  apply = functools.partial(MODEL.apply, train=True, mutable=["batch_stats"])

  def judged(params, images):
    return apply(
      {"params": params, "batch_stats": statistics},
      images,
      labels,
      method="discriminate",
    )[0]

  def drawn(params):
    return apply(
      {"params": params, "batch_stats": statistics},
      noise,
      labels,
      method="generate",
    )[0]

  def both(params):
    out = adversarial(MODEL, params, statistics, images, labels, noise)
    return out.generator_loss + out.discriminator_loss

  params = variables["params"]
  got = jax.jit(jax.grad(both))(params)
  fakes = jax.jit(drawn)(params)
  by_discriminator = jax.jit(
    jax.grad(lambda p: discriminator_loss(judged(p, images), judged(p, fakes)))
  )(params)
  by_generator = jax.jit(
    jax.grad(
      lambda p: generator_loss(
        judged({**p, "discriminator": params["discriminator"]}, drawn(p))
      )
    )
  )(params)
  for name, expected in (
    ("discriminator", by_discriminator),
    ("generator", by_generator),
  ):
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5),
      got[name],
      expected[name],
    )


def test_statistics_move_towards_those_of_the_batch(start):
  variables, images, labels, noise = start
  before = variables["batch_stats"]
  out = adversarial(MODEL, variables["params"], before, images, labels, noise)
  assert jax.tree.structure(out.statistics) == jax.tree.structure(before)
  # The first norm of the generator sees a dense layer of noise and class.
  weights = jax.device_get(variables["params"]["generator"])
  inputs = np.concatenate(
    [noise, weights["class"]["embedding"][labels]], axis=1
  )
  hidden = inputs @ weights["dense"]["kernel"] + weights["dense"]["bias"]
  hidden = hidden.reshape(-1, 6)
  norm = out.statistics["generator"]["norm"]
  np.testing.assert_allclose(norm["mean"], 0.1 * hidden.mean(0), atol=1e-5)
  np.testing.assert_allclose(norm["var"], 0.9 + 0.1 * hidden.var(0), rtol=1e-4)
  # The discriminator's are between those of real and of generated images.
  moved = out.statistics["discriminator"]["norm_1"]["mean"]
  assert np.abs(moved).max() > 1e-4


def test_an_image_does_not_depend_on_its_neighbours(start):
  variables, _, labels, noise = start

  @functools.partial(jax.jit, static_argnums=1)
  def made(noise, train):
    return MODEL.apply(
      variables,
      noise,
      labels,
      train=train,
      method="generate",
      mutable=["batch_stats"] if train else False,
    )

  changed = noise.at[1:].set(-noise[1:])
  alone, beside = made(noise, False), made(changed, False)
  np.testing.assert_allclose(alone[0], beside[0], atol=1e-6)
  assert np.abs(alone[1] - beside[1]).max() > 1e-3
  assert alone.min() >= 0 and alone.max() <= 1
  # In training it does: that is what the running statistics are for.
  (trained, _), (others, _) = made(noise, True), made(changed, True)
  assert np.abs(trained[0] - others[0]).max() > 1e-4


def test_both_networks_see_the_class(start):
  variables, images, labels, noise = start
  other = (labels + 1) % 3

  @jax.jit
  def run(labels):
    return (
      MODEL.apply(variables, noise, labels, method="generate"),
      MODEL.apply(variables, images, labels, method="discriminate"),
    )

  for one, two in zip(run(labels), run(other), strict=True):
    assert (np.abs(one - two).reshape(8, -1).max(axis=1) > 1e-4).all()


def test_no_batch_norm_before_the_first_activation(start):
  statistics = start[0]["batch_stats"]
  assert set(statistics["discriminator"]) == {"norm_1"}
  assert set(statistics["generator"]) == {"norm", "norm_0"}
