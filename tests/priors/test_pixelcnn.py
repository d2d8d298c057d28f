"""The gated PixelCNN: what it may see, and its cache."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqvae_jax.priors import PixelCNNPrior


def make(num_codes=30, num_classes=3, grid=(5, 6), **options):
  options = dict(layers=2, width=8, kernel=3) | options
  model = PixelCNNPrior(num_codes, num_classes, grid, **options)
  ids = jnp.zeros((1, int(np.prod(grid))), jnp.int32)
  params = jax.jit(model.init)(jax.random.key(0), ids, ids[:, 0])["params"]
  return model, params


def sees(model, params, places):
  """Which ids the logits at each place depend on, by gradients."""
  rows, columns = model.grid
  # All different, so that each row of the table stands at one place.
  ids = jnp.arange(rows * columns)[None]
  weights = jax.random.normal(jax.random.key(1), (model.num_codes,))

  @jax.jit
  def gradient(table, place):
    def logit(table):
      changed = params | {"code_embedding": {"embedding": table}}
      logits = model.apply({"params": changed}, ids, jnp.array([1]))
      return logits[0, place] @ weights

    return jax.grad(logit)(table)

  table = params["code_embedding"]["embedding"]
  return [
    np.abs(gradient(table, row * columns + column))
    .sum(axis=1)
    .reshape(rows, columns)
    > 0
    for row, column in places
  ]


def test_no_blind_spot():
  """With enough layers, all that comes before, and nothing else."""
  model, params = make(layers=5)
  places = [(0, 0), (0, 4), (2, 3), (3, 0), (4, 5)]
  for (row, column), seen in zip(
    places, sees(model, params, places), strict=True
  ):
    before = np.arange(30).reshape(5, 6) < row * 6 + column
    np.testing.assert_array_equal(seen, before)


@pytest.mark.parametrize("layers, kernel", [(1, 3), (2, 3), (1, 5), (2, 1)])
def test_how_far_layers_see(layers, kernel):
  model, params = make(layers=layers, kernel=kernel, grid=(5, 6))
  far = layers * (kernel - 1) // 2
  row, column = 4, 3
  expected = np.zeros((5, 6), bool)
  top, left = max(row - 1 - far, 0), max(column - far, 0)
  expected[top:row, left : column + far + 1] = True
  expected[row, max(column - 1 - far, 0) : column] = True
  (seen,) = sees(model, params, [(row, column)])
  np.testing.assert_array_equal(seen, expected)


@pytest.mark.parametrize(
  "grid, options",
  [
    ((5, 6), {}),
    ((3, 4), {"kernel": 5, "layers": 3}),
    ((1, 7), {}),
    ((6, 1), {"kernel": 1}),
    ((3, 2, 3), {}),
  ],
)
def test_cached_logits_equal_uncached(grid, options):
  model, params = make(num_codes=12, grid=grid, **options)
  ids = jax.random.randint(jax.random.key(1), (5, model.length), 0, 12)
  labels = jnp.array([0, 1, 2, 3, 1])
  full = jax.jit(model.apply)({"params": params}, ids, labels)
  assert jnp.std(full) > 0.05

  def call(method):
    return jax.jit(
      lambda *args: model.apply({"params": params}, *args, method=method)
    )

  begin, step = call("begin_row"), call("decode_step")
  columns = model.length // grid[0]
  cache, rows = model.init_cache(5), []
  for t in range(model.length):
    # At 0 the last id: nothing may depend on what is passed there.
    previous = ids[:, t - 1]
    if t % columns == 0:
      cache = begin(previous, labels, jnp.int32(t // columns), cache)
    logits, cache = step(previous, labels, jnp.int32(t), cache)
    rows.append(logits)
  np.testing.assert_allclose(jnp.stack(rows, axis=1), full, atol=2e-5)


def test_the_class_reaches_every_logit():
  model, params = make(grid=(3, 4), num_codes=12)
  ids = jnp.zeros((4, 12), jnp.int32)
  logits = jax.jit(model.apply)({"params": params}, ids, jnp.arange(4))
  # The last label is any class.
  for other in range(1, 4):
    changed = jnp.abs(logits[other] - logits[0]).max(axis=-1)
    assert (changed > 1e-3).all()


def test_slots_have_codes_of_their_own():
  model, params = make(grid=(2, 2, 3), num_codes=12)
  table = params["code_embedding"]["embedding"]
  assert table.shape == (36, 8)
  ids = jnp.full((1, 12), 5)
  run = jax.jit(model.apply)
  full = run({"params": params}, ids, jnp.zeros(1, jnp.int32))
  # Slot 1 of the first place is read from the second id on.
  other = {"code_embedding": {"embedding": table.at[12:24].multiply(3.0)}}
  changed = run({"params": params | other}, ids, jnp.zeros(1, jnp.int32))
  np.testing.assert_array_equal(changed[:, :2], full[:, :2])
  assert (jnp.abs(changed - full)[:, 2:].max(axis=(0, 2)) > 1e-4).all()
