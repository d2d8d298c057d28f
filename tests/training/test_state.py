"""The step and the choice of the best weights, on the simplest task."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqvae_jax.config import StageConfig
from vqvae_jax.training.state import (
  all_finite,
  init_state,
  make_select,
  make_train_step,
)


class Line:
  """The simplest task: y = w x, mean squared error."""

  frozen = ()
  selects = True

  def init(self, key, batch):
    del key, batch
    return {"params": {"w": jnp.array([1.0, -2.0])}}

  def prepare(self, frozen, batch, key):
    del frozen, key
    return batch

  def loss(self, params, collections, inputs, key):
    del collections, key
    error = inputs["x"] @ params["w"] - inputs["y"]
    loss = jnp.mean(error**2)
    return loss, ({"loss": loss}, ())

  def update_collections(self, variables, arrays, key):
    del arrays, key
    return variables

  def evaluate(self, variables, frozen, batch):
    raise NotImplementedError

  def summarize(self, sums):
    raise NotImplementedError

  def warning(self, sums):
    raise NotImplementedError


SGD = StageConfig(
  optimizer="sgd",
  momentum=0.0,
  clip_norm=0.0,
  schedule="plateau",
  learning_rate=0.1,
  warmup_steps=4,
  plateau_patience=2,
  plateau_factor=0.5,
)


def line(config, steps=1, **changes):
  """States and metrics of a few steps on one batch, and that batch."""
  rng = np.random.default_rng(0)
  batch = {
    "x": jnp.asarray(rng.normal(size=(8, 2)), jnp.float32),
    "y": jnp.asarray(rng.normal(size=8), jnp.float32),
  }
  state = init_state(Line(), config, batch, jax.random.key(0))
  state = state.replace(**changes)
  step = jax.jit(make_train_step(Line(), config))
  states, metrics = [state], []
  for _ in range(steps):
    state, measured = step((), state, batch, jax.random.key(0))
    states.append(state)
    metrics.append(measured)
  return states, metrics, batch


def test_step_against_numpy():
  states, metrics, batch = line(SGD, steps=3)
  x, y = np.asarray(batch["x"]), np.asarray(batch["y"])
  w = np.array([1.0, -2.0])
  for n, (state, measured) in enumerate(zip(states[1:], metrics, strict=True)):
    error = x @ w - y
    gradient = 2 * x.T @ error / 8
    np.testing.assert_allclose(measured["loss"], np.mean(error**2), rtol=1e-5)
    np.testing.assert_allclose(
      measured["gradient_norm"], np.linalg.norm(gradient), rtol=1e-5
    )
    rate = 0.1 * (n + 1) / 4
    np.testing.assert_allclose(measured["learning_rate"], rate, rtol=1e-6)
    w = w - rate * gradient
    np.testing.assert_allclose(state.params["w"], w, rtol=1e-5)
    assert int(state.step) == n + 1


def test_plateau_scales_every_update():
  plateau = line(SGD)[0][0].plateau
  whole, _, _ = line(SGD)
  scaled, metrics, _ = line(
    SGD, plateau=plateau._replace(scale=jnp.float32(0.25))
  )
  start = np.asarray(whole[0].params["w"])
  np.testing.assert_allclose(
    scaled[1].params["w"] - start,
    0.25 * (whole[1].params["w"] - start),
    rtol=1e-4,
  )
  np.testing.assert_allclose(
    metrics[0]["learning_rate"], 0.25 * 0.1 / 4, rtol=1e-6
  )


def test_no_two_leaves_of_the_first_state_share_a_buffer():
  """Else they could not both be donated."""
  config = dataclasses.replace(SGD, weights_ema=0.9)
  leaves = jax.tree.leaves(line(config, steps=0)[0][0])
  assert len({leaf.unsafe_buffer_pointer() for leaf in leaves}) == len(leaves)


@pytest.mark.parametrize("decay", [0.2, 0.9])
def test_average_of_the_weights(decay):
  states, _, _ = line(dataclasses.replace(SGD, weights_ema=decay), steps=6)
  average = np.asarray(states[0].params["w"])
  for n, state in enumerate(states[1:]):
    share = min(decay, (1 + n) / (10 + n))
    average = share * average + (1 - share) * np.asarray(state.params["w"])
    np.testing.assert_allclose(state.average["w"], average, rtol=1e-5)
  used = states[-1].variables_to_use["params"]["w"]
  np.testing.assert_array_equal(used, states[-1].average["w"])
  plain, _, _ = line(SGD)
  assert plain[1].average == {}
  np.testing.assert_array_equal(
    plain[1].variables_to_use["params"]["w"], plain[1].params["w"]
  )


def select_all(config, losses, steps=None):
  """The states after each of these validation losses, one step apart."""
  states, _, _ = line(config, steps=len(losses))
  select = jax.jit(make_select(Line(), config))
  kept, selected = None, []
  for state, loss in zip(states[1:], losses, strict=True):
    if kept is not None:
      state = state.replace(
        **{
          name: getattr(kept, name)
          for name in (
            "plateau",
            "best",
            "best_loss",
            "best_step",
            "evals_without_improvement",
          )
        }
      )
    kept = select(state, jnp.float32(loss))
    selected.append(kept)
  return states[1:], selected


LOSSES = [5.0, 4.0, 4.5, 4.0, 3.0, 3.5, np.nan, 3.1]


@pytest.mark.parametrize("weights_ema", [0.0, 0.5])
def test_select_keeps_the_best(weights_ema):
  config = dataclasses.replace(SGD, weights_ema=weights_ema)
  states, selected = select_all(config, LOSSES)
  assert [int(s.best_step) for s in selected] == [1, 2, 2, 2, 5, 5, 5, 5]
  assert [int(s.evals_without_improvement) for s in selected] == [
    0,
    0,
    1,
    2,
    0,
    1,
    2,
    3,
  ]
  np.testing.assert_allclose(
    [float(s.best_loss) for s in selected], [5, 4, 4, 4, 3, 3, 3, 3]
  )
  for state in selected:
    best = states[int(state.best_step) - 1]
    weights = best.average if weights_ema else best.params
    np.testing.assert_array_equal(state.best["params"]["w"], weights["w"])


def test_select_moves_the_plateau_only_when_it_is_chosen():
  _, selected = select_all(SGD, LOSSES)
  scales = [float(s.plateau.scale) for s in selected]
  assert scales == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]
  for schedule in ("constant", "cosine", "exponential"):
    config = dataclasses.replace(SGD, schedule=schedule)
    _, selected = select_all(config, LOSSES)
    assert selected[-1].plateau == {}
    assert int(selected[-1].evals_without_improvement) == 3


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_all_finite(bad, dtype):
  good = {"w": jnp.ones((2, 3), dtype), "n": [jnp.arange(3)], "none": {}}
  assert all_finite(good)
  assert not all_finite(good | {"b": jnp.array([1.0, bad], dtype)})
