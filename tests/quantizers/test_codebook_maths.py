"""Nearest-code search and counts of ids, against numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqvae_jax.quantizers import codebook, nearest_code


def brute_force(z, codes):
  z, codes = np.asarray(z, np.float64), np.asarray(codes, np.float64)
  return ((z[:, None] - codes[None]) ** 2).sum(axis=-1).argmin(axis=1)


def drawn(shape, seed, dtype=jnp.float32):
  values = np.random.default_rng(seed).normal(size=shape)
  return jnp.asarray(values, dtype)


@pytest.mark.parametrize("n, k, d", [(1, 1, 1), (7, 5, 3), (300, 129, 16)])
def test_nearest_code_against_numpy(n, k, d):
  z, codes = drawn((n, d), 0), drawn((k, d), 1)
  ids = jax.jit(nearest_code)(z, codes)
  assert ids.dtype == jnp.int32
  np.testing.assert_array_equal(ids, brute_force(z, codes))


def test_ties_go_to_the_lower_index():
  codes = jnp.array([[5.0, 5.0], [1.0, 0.0], [-1.0, 0.0], [1.0, 0.0]])
  z = jnp.array([[0.0, 0.0], [0.0, 3.0], [1.0, 0.0], [-2.0, 1.0]])
  np.testing.assert_array_equal(nearest_code(z, codes), [1, 1, 1, 2])


def test_half_precision_searches_as_float32_does():
  # So many codes that their distances differ by less than bfloat16 can tell.
  z = drawn((500, 4), 2, jnp.bfloat16)
  codes = drawn((400, 4), 3, jnp.bfloat16)
  wide = [x.astype(jnp.float32) for x in (z, codes)]
  ids = nearest_code(z, codes)
  np.testing.assert_array_equal(ids, nearest_code(*wide))
  np.testing.assert_array_equal(ids, brute_force(*wide))
  np.testing.assert_array_equal(nearest_code(z, wide[1]), ids)


def test_float16_does_not_overflow():
  # 300 squared is above float16's largest number.
  z = jnp.array([[290.0], [-310.0], [1.0]], jnp.float16)
  codes = jnp.array([[0.0], [-300.0], [300.0]], jnp.float16)
  np.testing.assert_array_equal(nearest_code(z, codes), [2, 1, 0])


def test_straight_through():
  z, vectors, weights = (drawn((6, 3), seed) for seed in range(3))

  def weighted(z, vectors):
    return jnp.sum(weights * codebook.straight_through(z, vectors))

  np.testing.assert_allclose(
    codebook.straight_through(z, vectors), vectors, rtol=1e-6, atol=1e-6
  )
  to_latents, to_codes = jax.grad(weighted, argnums=(0, 1))(z, vectors)
  np.testing.assert_array_equal(to_latents, weights)
  np.testing.assert_array_equal(to_codes, np.zeros((6, 3)))


def test_usage_counts_against_numpy():
  ids = np.random.default_rng(0).integers(0, 9, (4, 5, 6))
  counts = codebook.usage_counts(jnp.asarray(ids), 11)
  np.testing.assert_array_equal(counts, np.bincount(ids.ravel(), minlength=11))
  # An id outside of the codebook counts for no code.
  np.testing.assert_array_equal(
    codebook.usage_counts(jnp.array([0, 3, 1, 3]), 3), [1, 1, 0]
  )


def test_perplexity_against_numpy():
  counts = np.array([0.0, 3, 5, 2, 0, 10])
  p = counts[counts > 0] / counts.sum()
  expected = np.exp(-(p * np.log(p)).sum())
  np.testing.assert_allclose(
    codebook.perplexity(jnp.asarray(counts)), expected, rtol=1e-6
  )
  np.testing.assert_allclose(
    codebook.perplexity(jnp.full(7, 4.0)), 7, rtol=1e-6
  )
  np.testing.assert_allclose(codebook.perplexity(jnp.array([0.0, 9.0])), 1)


def test_code_statistics_against_numpy():
  z = drawn((40, 3), 0)
  ids = np.random.default_rng(1).integers(0, 4, 40)
  counts, sums = codebook.code_statistics(z, jnp.asarray(ids), 6)
  np.testing.assert_array_equal(counts, np.bincount(ids, minlength=6))
  for code in range(6):
    np.testing.assert_allclose(
      sums[code], np.asarray(z)[ids == code].sum(axis=0), rtol=1e-5, atol=1e-6
    )


def rows_of(rows, table):
  """The place of each row in the table; fails where there is none."""
  same = (np.asarray(rows)[:, None] == np.asarray(table)[None]).all(axis=-1)
  assert same.any(axis=1).all()
  return same.argmax(axis=1)


def test_drawn_latents_repeat_only_where_there_are_too_few():
  z = drawn((20, 3), 0)
  enough = rows_of(codebook.draw_latents(jax.random.key(0), z, 20), z)
  assert sorted(enough) == list(range(20))
  assert list(enough) != list(range(20))
  too_few = codebook.draw_latents(jax.random.key(0), z[:3], 20)
  assert set(rows_of(too_few, z)) == {0, 1, 2}
