"""The transformer prior: what it may see, its cache, its precision."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from vqvae_jax.priors import TransformerPrior


def make(num_codes=12, num_classes=3, grid=(2, 3), seed=0, **options):
  options = dict(layers=2, width=16, heads=2) | options
  model = TransformerPrior(num_codes, num_classes, grid, **options)
  ids = jnp.zeros((1, model.length), jnp.int32)
  params = jax.jit(model.init)(jax.random.key(seed), ids, ids[:, 0])["params"]
  return model, params


def decode_all(model, params, ids, labels):
  @jax.jit
  def step(params, previous, t, cache):
    return model.apply(
      {"params": params}, previous, labels, t, cache, method="decode_step"
    )

  cache, rows = model.init_cache(ids.shape[0]), []
  for t in range(ids.shape[1]):
    # At 0 the last id: nothing may depend on what is passed there.
    logits, cache = step(params, ids[:, t - 1], jnp.int32(t), cache)
    rows.append(logits)
  return jnp.stack(rows, axis=1)


def test_causality_by_gradients():
  model, params = make()
  # All different, so each row of the embedding stands at one position.
  ids = jnp.array([[7, 2, 9, 0, 4, 11]])
  label = 1

  def logit(embeddings, t):
    changed = params | {
      name: {"embedding": table} for name, table in embeddings.items()
    }
    logits = model.apply({"params": changed}, ids, jnp.array([label]))
    return jnp.sum(logits[0, t] * jnp.arange(12))

  embeddings = {
    name: params[name]["embedding"]
    for name in ("code_embedding", "class_embedding")
  }
  gradient = jax.jit(jax.grad(logit))
  for t in range(6):
    got = gradient(embeddings, t)
    codes = np.abs(got["code_embedding"]).sum(axis=1)
    classes = np.abs(got["class_embedding"]).sum(axis=1)
    seen = np.asarray(ids[0, :t])
    assert (codes[seen] > 1e-6).all()
    assert (np.delete(codes, seen) == 0).all()
    assert classes[label] > 1e-6
    assert (np.delete(classes, label) == 0).all()


def test_cached_logits_equal_uncached():
  model, params = make()
  ids = jax.random.randint(jax.random.key(1), (5, 6), 0, 12)
  labels = jnp.array([0, 1, 2, 0, 1])
  full = jax.jit(model.apply)({"params": params}, ids, labels)
  assert jnp.std(full) > 0.1
  np.testing.assert_allclose(
    decode_all(model, params, ids, labels), full, rtol=0, atol=2e-5
  )


def test_several_ids_at_each_place():
  model, params = make(grid=(2, 2, 3))
  ids = jax.random.randint(jax.random.key(1), (5, 12), 0, 12)
  labels = jnp.array([0, 1, 2, 0, 1])
  run = jax.jit(model.apply)
  full = run({"params": params}, ids, labels)
  np.testing.assert_allclose(
    decode_all(model, params, ids, labels), full, rtol=0, atol=2e-5
  )
  # Each slot has codes of its own. Slot 1 is read by the blocks from the next
  # place on, and by the ids after it at its own.
  for name, reached in (
    ("code_embedding", jnp.arange(12) >= 3),
    ("prefix_embedding", jnp.arange(12) % 3 == 2),
  ):
    table = params[name]["embedding"]
    assert table.shape == (3 * 12, 16)
    other = {name: {"embedding": table.at[12:24].multiply(3.0)}}
    changed = run({"params": params | other}, ids, labels)
    difference = jnp.abs(changed - full).max(axis=(0, 2))
    np.testing.assert_array_equal(difference > 1e-3, reached)


def test_ids_of_a_place_see_those_before_them():
  model, params = make(grid=(2, 2, 3))
  ids = jnp.full((1, 12), 4)
  run = jax.jit(model.apply)
  full = run({"params": params}, ids, jnp.array([1]))
  for t in range(12):
    changed = run({"params": params}, ids.at[0, t].set(7), jnp.array([1]))
    difference = jnp.abs(changed - full).max(axis=(0, 2))
    np.testing.assert_array_equal(difference > 1e-5, jnp.arange(12) > t)


def test_cached_logits_equal_uncached_in_float64():
  with jax.enable_x64():
    model, params = make(dtype=jnp.float64)
    assert params["head"]["kernel"].dtype == jnp.float32
    ids = jax.random.randint(jax.random.key(1), (5, 6), 0, 12)
    labels = jnp.array([0, 1, 2, 0, 1])
    full = jax.jit(model.apply)({"params": params}, ids, labels)
    assert full.dtype == jnp.float64
    # No step falls back to float32.
    np.testing.assert_allclose(
      decode_all(model, params, ids, labels), full, rtol=0, atol=1e-13
    )


def test_float64_stays_float64_inside():
  with jax.enable_x64():
    model, params = make(dtype=jnp.float64)
    params = jax.tree.map(lambda x: x.astype(jnp.float64), params)
    ids = jax.random.randint(jax.random.key(1), (2, 6), 0, 12)

    @jax.jit
    def run(shift):
      table = params["class_embedding"]["embedding"]
      table = table + shift * jnp.arange(16.0)[None]
      changed = params | {"class_embedding": {"embedding": table}}
      return model.apply({"params": changed}, ids, jnp.array([0, 1]))

    # One rounding to float32 on the way would swallow so small a change.
    once, twice = run(1e-9) - run(0.0), run(2e-9) - run(0.0)
    assert jnp.max(jnp.abs(once)) > 1e-9
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-4, atol=1e-13)


def test_bfloat16_keeps_wide_logits_near_float32():
  model, params = make()
  ids = jax.random.randint(jax.random.key(1), (5, 6), 0, 12)
  labels = jnp.zeros(5, jnp.int32)
  exact = jax.jit(model.apply)({"params": params}, ids, labels)
  half = model.clone(dtype=jnp.bfloat16)
  rounded = jax.jit(half.apply)({"params": params}, ids, labels)
  assert rounded.dtype == jnp.float32
  # Logits rounded to bfloat16 at the end would equal their own rounding.
  again = rounded.astype(jnp.bfloat16).astype(jnp.float32)
  assert jnp.mean(again == rounded) < 0.1
  assert jnp.mean(jnp.abs(rounded - exact)) < 0.05 * jnp.std(exact)
  cached = decode_all(half, params, ids, labels)
  assert cached.dtype == jnp.float32
  assert jnp.mean(jnp.abs(cached - rounded)) < 0.05 * jnp.std(exact)


def test_position_is_row_and_column():
  model, params = make(grid=(2, 3))
  ids = jnp.array([[4, 4, 4, 4, 4, 4]])

  @jax.jit
  def run(rows, columns):
    changed = params | {
      "row_embedding": {"embedding": rows},
      "column_embedding": {"embedding": columns},
    }
    return model.apply({"params": changed}, ids, jnp.array([0]))[0]

  rows = params["row_embedding"]["embedding"]
  columns = params["column_embedding"]["embedding"]
  first = run(rows, columns)
  # The second row starts with id 3: what is before it stays.
  got = run(rows.at[1].multiply(-1), columns)
  np.testing.assert_array_equal(got[:3], first[:3])
  assert (jnp.max(jnp.abs(got[3:] - first[3:]), axis=1) > 1e-2).all()
  # The last column starts with id 2.
  got = run(rows, columns.at[2].multiply(-1))
  np.testing.assert_array_equal(got[:2], first[:2])
  assert (jnp.max(jnp.abs(got[2:] - first[2:]), axis=1) > 1e-2).all()


def test_one_class_and_one_row():
  # The smallest tables: a set without labels, a single row of ids.
  model, params = make(num_classes=1, grid=(1, 4))
  ids = jax.random.randint(jax.random.key(1), (3, 4), 0, 12)
  labels = jnp.zeros(3, jnp.int32)
  full = jax.jit(model.apply)({"params": params}, ids, labels)
  np.testing.assert_allclose(
    decode_all(model, params, ids, labels), full, rtol=0, atol=2e-5
  )


def test_dropout_in_training_alone():
  model, params = make(layers=1, dropout=0.5)
  ids = jax.random.randint(jax.random.key(1), (4, 6), 0, 12)
  labels = jnp.zeros(4, jnp.int32)
  plain = model.clone(dropout=0.0).apply({"params": params}, ids, labels)

  @functools.partial(jax.jit, static_argnums=0)
  def run(train, seed):
    rngs = {"dropout": jax.random.key(seed)}
    return model.apply({"params": params}, ids, labels, train, rngs=rngs)

  np.testing.assert_allclose(run(False, 0), plain, rtol=0, atol=2e-5)
  np.testing.assert_array_equal(run(True, 0), run(True, 0))
  np.testing.assert_array_equal(run(False, 0), run(False, 1))
  assert jnp.mean(run(True, 0) == run(True, 1)) < 0.1
  assert jnp.mean(jnp.isclose(run(True, 0), plain, atol=1e-3)) < 0.1
