"""What devices, micro-batches and the size of a batch may not change."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from bars import (
  CODES,
  DECAY,
  PRIOR,
  SPEC,
  TOKENIZER,
  draw_batch,
  prior_task,
  tokenizer_task,
)

from vqvae_jax.sharding import make_mesh, replicated, to_global
from vqvae_jax.training.state import init_state, make_select, make_train_step

pytestmark = pytest.mark.usefixtures("drawn_weights")
KEY = 7


def snapshot(tree):
  """A copy: on CPU, a view of a buffer would keep it from being donated."""
  return jax.tree.map(lambda x: np.array(jax.device_get(x), copy=True), tree)


def run(task, config, batches, mesh=None):
  """The states before each step and after the last, and each step's metrics."""
  mesh = mesh or make_mesh(jax.devices()[:1])
  init = jax.jit(
    lambda batch, key: init_state(task, config, batch, key),
    out_shardings=replicated(mesh),
  )
  key = jax.device_put(jax.random.key(KEY), replicated(mesh))
  frozen = jax.device_put(task.frozen, replicated(mesh))
  state = init(to_global(batches[0], mesh), key)
  step = jax.jit(make_train_step(task, config), donate_argnums=1)
  states, metrics = [snapshot(state)], []
  for batch in batches:
    before = state
    state, measured = step(frozen, state, to_global(batch, mesh), key)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(before))
    states.append(snapshot(state))
    metrics.append(snapshot(measured))
  assert step._cache_size() == 1
  return states, metrics


def assert_same(a, b, tolerance=1e-9):
  for (path, x), y in zip(
    jax.tree_util.tree_leaves_with_path(a), jax.tree.leaves(b), strict=True
  ):
    np.testing.assert_allclose(
      x,
      y,
      rtol=tolerance,
      atol=tolerance,
      err_msg=jax.tree_util.keystr(path),
    )


def largest_difference(a, b):
  pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
  return max(np.abs(x - y).max() for x, y in pairs)


def count_revived(states):
  """Codes whose running count is neither kept nor raised by whole latents."""

  def counts(state):
    leaves = jax.tree_util.tree_leaves_with_path(state.collections)
    return [x for path, x in leaves if path[-1].key == "count"]

  total = 0
  for before, after in zip(states[:-1], states[1:], strict=True):
    for old, new in zip(counts(before), counts(after), strict=True):
      chosen = (new - DECAY * old) / (1 - DECAY)
      total += (np.abs(chosen - np.round(chosen)) > 1e-6).sum()
  return total


def with_quantizer(quantizer, **changes):
  if quantizer == "residual":
    changes = {"depth": 2} | changes
  return dataclasses.replace(TOKENIZER, quantizer=quantizer, **changes)


QUANTIZERS = pytest.mark.parametrize("quantizer", ["ema", "vq"])
REVIVED = "ema", "vq", "residual", "product"


# Gumbel has no codebook to revive, but draws.
@pytest.mark.parametrize("quantizer", [*REVIVED, "gumbel"])
def test_one_device_equals_eight_after_fifty_steps(quantizer, float64):
  config = with_quantizer(quantizer)
  spec = dataclasses.replace(SPEC, augment="affine")
  batches = [draw_batch(n) for n in range(50)]
  task = tokenizer_task(config, spec, jnp.float64)
  one, metrics_one = run(task, config, batches)
  eight, metrics_eight = run(task, config, batches, make_mesh())
  for leaf in jax.tree.leaves(one[-1].variables):
    assert leaf.dtype in (np.float64, np.int32)
  assert int(one[-1].step) == 50
  assert_same(one[-1], eight[-1])
  assert_same(metrics_one, metrics_eight)
  # It went somewhere, and codes were revived on the way.
  assert largest_difference(one[-1].params, one[0].params) > 0.02
  assert count_revived(one) >= (5 if quantizer in REVIVED else 0)
  assert metrics_one[-1]["loss"] < metrics_one[0]["loss"]


def test_one_device_equals_eight_for_the_prior(float64):
  spec = dataclasses.replace(SPEC, augment="affine")
  task = prior_task(spec=spec, dtype=jnp.float64)
  batches = [draw_batch(n) for n in range(8)]
  one, metrics_one = run(task, PRIOR, batches)
  eight, metrics_eight = run(task, PRIOR, batches, make_mesh())
  assert_same(one[-1], eight[-1])
  assert_same(metrics_one, metrics_eight)
  assert largest_difference(one[-1].params, one[0].params) > 0.01


@pytest.mark.parametrize("quantizer", REVIVED)
def test_four_micro_batches_equal_one_batch(quantizer, float64):
  config = with_quantizer(quantizer)
  batches = [draw_batch(n) for n in range(6)]
  task = tokenizer_task(config, dtype=jnp.float64)
  whole, metrics_whole = run(task, config, batches)
  parts, metrics_parts = run(
    task, dataclasses.replace(config, accumulate=4), batches
  )
  assert_same(whole, parts)
  assert count_revived(whole) >= 2
  for a, b in zip(metrics_whole, metrics_parts, strict=True):
    # The perplexity of a part is not that of the whole.
    for name in a.keys() - {"perplexity"}:
      np.testing.assert_allclose(a[name], b[name], rtol=1e-9, err_msg=name)


def test_codebook_follows_once_per_step(float64):
  config = with_quantizer("ema", accumulate=4, revive_below=0.0)
  task = tokenizer_task(config, dtype=jnp.float64)
  states, _ = run(task, config, [draw_batch(0), draw_batch(1)])
  latents = 16 * 4 * 4
  expected = CODES
  for state in states[1:]:
    expected = DECAY * expected + (1 - DECAY) * latents
    np.testing.assert_allclose(
      state.collections["codebook"]["quantizer"]["count"].sum(),
      expected,
      rtol=1e-12,
    )


@QUANTIZERS
def test_a_batch_twice_gives_the_same_update(quantizer, float64):
  config = with_quantizer(quantizer, revive_below=0.0)
  once = draw_batch(0)
  twice = {name: np.concatenate([x, x]) for name, x in once.items()}
  task = tokenizer_task(config, dtype=jnp.float64)
  state = jax.jit(functools.partial(init_state, task, config))(
    once, jax.random.key(KEY)
  )
  step = jax.jit(make_train_step(task, config))
  results = [step((), state, b, jax.random.key(KEY)) for b in (once, twice)]
  (a, metrics_a), (b, metrics_b) = jax.device_get(results)
  assert largest_difference(a.params, jax.device_get(state.params)) > 5e-4
  assert_same(
    (a.params, a.opt_state, metrics_a), (b.params, b.opt_state, metrics_b)
  )


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@QUANTIZERS
def test_types_of_the_state_never_change(quantizer, dtype):
  """Else the second step would compile anew, and a restored one too."""
  config = with_quantizer(
    quantizer, accumulate=2, weights_ema=0.9, schedule="plateau"
  )
  task = tokenizer_task(config, dtype=dtype)
  batch, key = draw_batch(0), jax.random.key(KEY)
  init = functools.partial(init_state, task, config)
  state = jax.eval_shape(init, batch, key)
  stepped, _ = jax.eval_shape(
    make_train_step(task, config), (), state, batch, key
  )
  loss = jax.ShapeDtypeStruct((), jnp.float32)
  selected = jax.eval_shape(make_select(task, config), stepped, loss)

  def types(tree):
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [(path, x.shape, x.dtype, x.weak_type) for path, x in leaves]

  assert types(state) == types(stepped) == types(selected)
  for path, _, kind, weak in types(state):
    assert kind in (jnp.float32, jnp.int32), path
    assert not weak, path
