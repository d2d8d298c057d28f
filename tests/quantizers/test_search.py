"""Nearest codes in tiles: the same ids, without all distances."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqvae_jax import sharding
from vqvae_jax.quantizers import search


def drawn(shape, seed, dtype=jnp.float32):
  values = np.random.default_rng(seed).normal(size=shape)
  return jnp.asarray(values, dtype)


@pytest.mark.parametrize(
  "n, k, tile",
  [
    (1, 1, (4, 4)),
    (7, 5, (4, 4)),
    (64, 32, (16, 8)),  # Tiles divide both.
    (65, 33, (16, 8)),  # And neither.
    (3, 200, (256, 64)),
    (200, 3, (64, 256)),
  ],
)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_tiles_equal_the_dense_search(n, k, tile, dtype):
  z, codes = drawn((n, 4), 0, dtype), drawn((k, 4), 1, dtype)
  z, codes = search.at_least_float32(z), search.at_least_float32(codes)
  tiled = jax.jit(search.nearest_tiled, static_argnums=2)(z, codes, tile)
  assert tiled.dtype == jnp.int32
  np.testing.assert_array_equal(tiled, search.nearest_dense(z, codes))


def test_ties_go_to_the_lower_index_across_tiles():
  codes = jnp.tile(drawn((5, 3), 0), (7, 1))
  z = drawn((40, 3), 1)
  ids = search.nearest_tiled(z, codes, (8, 4))
  np.testing.assert_array_equal(ids, search.nearest_dense(z, codes))
  assert ids.max() < 5


def test_large_searches_are_tiled(monkeypatch):
  monkeypatch.setattr(search, "DENSE_LIMIT", 100)
  z, codes = drawn((300, 8), 0), drawn((5000, 8), 1)
  find = jax.jit(lambda z, codes: search.nearest_code(z, codes))
  np.testing.assert_array_equal(find(z, codes), search.nearest_dense(z, codes))


def test_temporary_memory_does_not_grow_with_rows_times_codes():
  def temporaries(function, n, k):
    shapes = [jax.ShapeDtypeStruct((x, 64), jnp.float32) for x in (n, k)]
    compiled = jax.jit(function).lower(*shapes).compile()
    return compiled.memory_analysis().temp_size_in_bytes

  # The dense array would be 4.3 GB.
  assert temporaries(search.nearest_code, 65_536, 16_384) < 64 * 2**20
  # Where it is not tiled, the array is there.
  assert temporaries(search.nearest_dense, 4096, 4096) > 60 * 2**20


def test_devices_keep_their_rows():
  mesh = sharding.make_mesh()
  z, codes = drawn((512, 4), 0), drawn((64, 4), 1)
  shared = jax.device_put(z, sharding.split(mesh))
  find = jax.jit(
    lambda z, codes: search.nearest_tiled(z, codes, (64, 16)),
    out_shardings=sharding.split(mesh),
  )
  np.testing.assert_array_equal(
    find(shared, codes), search.nearest_dense(z, codes)
  )
  program = find.lower(shared, codes).compile().as_text()
  for collective in ("all-gather", "all-to-all", "collective-permute"):
    assert collective not in program


def test_widths_must_agree():
  with pytest.raises(ValueError, match="width 3 cannot be compared .* 4"):
    search.nearest_code(jnp.zeros((2, 3)), jnp.zeros((5, 4)))
