"""Step and sampler compiled for eight chips of a TPU that is not there."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from bars import (
  CODES,
  PRIOR,
  TOKENIZER,
  draw_batch,
  prior_task,
  tokenizer_task,
)
from jax.sharding import AxisType, Mesh

from vqvae_jax.priors import Sampling, sample
from vqvae_jax.sharding import replicated, split
from vqvae_jax.training import state as st

BATCH = 64
COLLECTIVES = (
  "all-reduce|all-gather|all-to-all|reduce-scatter|collective-permute"
)


@pytest.fixture
def mesh(tpu_devices):
  return Mesh(np.array(tpu_devices), ("data",), axis_types=(AxisType.Auto,))


def shapes(tree, sharding):
  return jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree
  )


def collectives(compiled):
  """Name of each collective, and how many numbers it gives."""
  found = []
  pattern = rf"= (.*?) ({COLLECTIVES})(?:-start)?\("
  for shape, name in re.findall(pattern, compiled.as_text()):
    arrays = re.findall(r"[a-z]+\d+\[([\d,]*)\]", shape)
    sizes = [np.prod([int(n) for n in a.split(",") if n]) for a in arrays]
    found.append((name, int(sum(sizes))))
  return found


def compiled_step(task, config, mesh):
  batch = draw_batch(0, BATCH)
  key = jax.eval_shape(lambda: jax.random.key(0))
  state = jax.eval_shape(
    lambda batch, key: st.init_state(task, config, batch, key), batch, key
  )
  everywhere = replicated(mesh)
  step = jax.jit(st.make_train_step(task, config), donate_argnums=1)
  compiled = step.lower(
    shapes(task.frozen, everywhere),
    shapes(state, everywhere),
    shapes(batch, split(mesh)),
    shapes(key, everywhere),
  ).compile()
  return compiled, state


def size(tree):
  return sum(x.size for x in jax.tree.leaves(tree))


# Losses, norms and counts of codes, each a few numbers, are summed, too.
FEW = 2 * CODES + 10


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("revive_below", [0.0, 0.3])
def test_a_tokenizer_step_sums_gradients_and_codes(mesh, dtype, revive_below):
  config = dataclasses.replace(TOKENIZER, revive_below=revive_below)
  task = tokenizer_task(config, dtype=dtype)
  compiled, state = compiled_step(task, config, mesh)
  found = collectives(compiled)
  assert {name for name, _ in found} == {"all-reduce"}
  book = state.codebook["quantizer"]
  least = size(state.params) + size((book["count"], book["sum"]))
  if revive_below:
    # The latents that may replace dead codes, drawn from all devices.
    least += size(book["vectors"])
  assert least <= sum(count for _, count in found) <= least + FEW


def test_a_prior_step_sums_gradients(mesh):
  task = prior_task()
  compiled, state = compiled_step(task, PRIOR, mesh)
  found = collectives(compiled)
  assert {name for name, _ in found} == {"all-reduce"}
  least = size(state.params)
  # Gradients of rows and columns are summed by position, before they part.
  most = least + task.model.length * task.model.width + FEW
  assert least <= sum(count for _, count in found) <= most


def test_the_sampler_needs_no_collective(mesh):
  task = prior_task()
  labels = jnp.zeros(BATCH, jnp.int32)
  params = task.init(jax.random.key(0), {"label": labels})["params"]
  rows = split(mesh)

  def draw(tokenizer, params, keys, labels):
    ids = sample(task.model, params, keys, labels, Sampling(guidance=0.3))
    ids = ids.reshape(-1, *task.model.grid)
    return task.tokenizer.apply(tokenizer, ids, method="decode")

  keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), BATCH))
  compiled = (
    jax.jit(draw, out_shardings=rows)
    .lower(
      shapes(task.frozen, replicated(mesh)),
      shapes(params, replicated(mesh)),
      shapes(keys, rows),
      shapes(labels, rows),
    )
    .compile()
  )
  assert collectives(compiled) == []
