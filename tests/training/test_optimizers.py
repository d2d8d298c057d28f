"""Schedules, weight decay, clipping and momentum, in numbers."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqvae_jax.config import StageConfig, TokenizerConfig
from vqvae_jax.generators.vqvae.network import build_vqvae
from vqvae_jax.training import optimizers


def rates(at, **settings):
  schedule = optimizers.learning_rate_schedule(StageConfig(**settings))
  return [float(schedule(step)) for step in at]


@pytest.mark.parametrize(
  "schedule", ["constant", "cosine", "exponential", "plateau"]
)
def test_warmup_is_linear_and_its_first_step_counts(schedule):
  got = rates(range(5), schedule=schedule, learning_rate=0.8, warmup_steps=4)
  np.testing.assert_allclose(got, [0.2, 0.4, 0.6, 0.8, 0.8], rtol=1e-6)


def test_no_warmup_and_warmup_of_one_step():
  for warmup in (0, 1):
    got = rates([0], learning_rate=0.8, warmup_steps=warmup)
    np.testing.assert_allclose(got, [0.8], rtol=1e-6)


@pytest.mark.parametrize("schedule", ["constant", "plateau"])
def test_constant(schedule):
  got = rates(
    [10, 99, 5000], schedule=schedule, learning_rate=0.3, warmup_steps=10
  )
  np.testing.assert_allclose(got, [0.3] * 3, rtol=1e-6)


def test_cosine():
  got = rates(
    [20, 45, 70, 95, 120, 500],
    schedule="cosine",
    steps=120,
    warmup_steps=20,
    learning_rate=0.4,
  )
  expected = [
    0.4 * (1 + math.cos(math.pi * min(x, 1))) / 2
    for x in (0, 0.25, 0.5, 0.75, 1, 4.8)
  ]
  np.testing.assert_allclose(got, expected, atol=1e-7)


def test_cosine_of_a_run_shorter_than_its_warmup():
  got = rates(
    range(3), schedule="cosine", steps=3, warmup_steps=10, learning_rate=1.0
  )
  np.testing.assert_allclose(got, [0.1, 0.2, 0.3], rtol=1e-6)


def test_exponential():
  got = rates(
    [5, 15, 25, 30],
    schedule="exponential",
    warmup_steps=5,
    decay_steps=10,
    decay_rate=0.5,
    learning_rate=0.4,
  )
  np.testing.assert_allclose(got, [0.4, 0.2, 0.1, 0.4 * 0.5**2.5], rtol=1e-6)


PARAMS = {
  "dense": {"kernel": np.full((3, 2), 2.0), "bias": np.full(2, 3.0)},
  "norm": {"scale": np.full(2, 4.0)},
  "quantizer": {"vectors": np.full((4, 2), 5.0)},
}
NO_GRADIENT = jax.tree.map(np.zeros_like, PARAMS)


def first_update(grads, params=PARAMS, **settings):
  config = StageConfig(**{"warmup_steps": 0, "schedule": "constant"} | settings)
  params, grads = jax.tree.map(jnp.asarray, (params, grads))
  tx = optimizers.optimizer(config)
  updates, _ = jax.jit(tx.update)(grads, tx.init(params), params)
  return updates


def test_weight_decay_is_for_kernels_only():
  updates = first_update(
    NO_GRADIENT, optimizer="adamw", learning_rate=0.1, weight_decay=0.01
  )
  np.testing.assert_allclose(
    updates["dense"]["kernel"], np.full((3, 2), -0.1 * 0.01 * 2), rtol=1e-6
  )
  assert not np.any(updates["dense"]["bias"])
  assert not np.any(updates["norm"]["scale"])
  assert not np.any(updates["quantizer"]["vectors"])


def test_weight_decay_of_the_real_tokenizer():
  """That its parameters are called what the rule looks for."""
  config = TokenizerConfig(
    quantizer="vq", codebook_size=4, hidden=4, residual_hidden=2
  )
  model = build_vqvae(config, 1, 4)
  shapes = jax.eval_shape(
    model.init, jax.random.key(0), jnp.zeros((1, 8, 8, 1))
  )
  params = jax.tree.map(lambda leaf: np.ones(leaf.shape), shapes["params"])
  grads = jax.tree.map(np.zeros_like, params)
  updates = first_update(
    grads, params, optimizer="adamw", learning_rate=0.1, weight_decay=0.01
  )
  decayed = 0
  for path, update in jax.tree_util.tree_leaves_with_path(updates):
    name = jax.tree_util.keystr(path)
    if "kernel" in name:
      decayed += 1
      np.testing.assert_allclose(
        update, np.full(update.shape, -1e-3), rtol=1e-5
      )
    else:
      assert "bias" in name or "vectors" in name
      assert not np.any(update), name
  assert decayed > 5


def test_adam_has_no_weight_decay():
  updates = first_update(NO_GRADIENT, optimizer="adam", weight_decay=0.5)
  assert not any(np.any(leaf) for leaf in jax.tree.leaves(updates))


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_first_step_of_adam_is_the_sign(optimizer):
  rng = np.random.default_rng(0)
  grads = jax.tree.map(lambda p: rng.normal(size=p.shape), PARAMS)
  updates = first_update(
    grads, optimizer=optimizer, learning_rate=0.1, weight_decay=0.0
  )
  for grad, update in zip(
    jax.tree.leaves(grads), jax.tree.leaves(updates), strict=True
  ):
    np.testing.assert_allclose(update, -0.1 * np.sign(grad), rtol=1e-4)


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_adam_remembers_as_long_as_it_is_told(optimizer):
  """The second update for gradients 1, then 0, without weight decay."""
  params = {"w": jnp.zeros(1)}
  config = StageConfig(
    optimizer=optimizer,
    adam_b1=0.5,
    learning_rate=0.1,
    warmup_steps=0,
    weight_decay=0.0,
    clip_norm=0.0,
    schedule="constant",
  )
  tx = optimizers.optimizer(config)
  state = tx.init(params)
  for gradient in (1.0, 0.0):
    updates, state = tx.update({"w": jnp.full(1, gradient)}, state, params)
  mean = 0.5 * 0.5 / (1 - 0.5**2)
  square = 0.999 * 0.001 / (1 - 0.999**2)
  np.testing.assert_allclose(
    updates["w"], -0.1 * mean / math.sqrt(square), rtol=1e-4
  )


@pytest.mark.parametrize(
  "clip_norm, expected", [(1.0, 1.0), (4.0, 4.0), (7.0, 5.0), (0.0, 5.0)]
)
def test_clipping_by_the_global_norm(clip_norm, expected):
  params = {"a": np.zeros(2), "b": np.zeros((1, 2))}
  grads = {"a": np.array([3.0, 0.0]), "b": np.array([[0.0, -4.0]])}
  updates = first_update(
    grads,
    params,
    optimizer="sgd",
    momentum=0.0,
    learning_rate=0.1,
    clip_norm=clip_norm,
  )
  for name, grad in grads.items():
    np.testing.assert_allclose(
      updates[name], -0.1 * grad * expected / 5, rtol=1e-6
    )


def test_momentum():
  config = StageConfig(
    optimizer="sgd",
    momentum=0.8,
    learning_rate=0.5,
    schedule="constant",
    warmup_steps=2,
    clip_norm=0.0,
  )
  tx = optimizers.optimizer(config)
  params = jnp.zeros(2)
  state, velocity = tx.init(params), np.zeros(2)
  for step, gradient in enumerate([[1.0, -2.0], [0.5, 0.0], [3.0, 1.0]]):
    updates, state = tx.update(jnp.array(gradient), state, params)
    velocity = 0.8 * velocity + np.array(gradient)
    rate = 0.25 if step == 0 else 0.5
    np.testing.assert_allclose(updates, -rate * velocity, rtol=1e-6)


def test_plateau_acts_after_the_patience_and_not_before():
  config = StageConfig(plateau_patience=3, plateau_factor=0.5)
  plateau = optimizers.plateau(config)
  params = {"w": jnp.ones(2)}
  state = plateau.init(params)
  scales = []
  losses = [5.0, 4.0, 4.0, 4.5, 3.0, 3.0, 3.1, 3.2, 3.2, 3.2, 3.2, 2.0]
  for loss in losses:
    updates, state = plateau.update(params, state, value=jnp.float32(loss))
    scales.append(float(state.scale))
    np.testing.assert_allclose(updates["w"], [scales[-1]] * 2)
  # Improved at 5, 4 and 3; then each third evaluation without.
  assert scales == [1.0] * 7 + [0.5] * 3 + [0.25] * 2
