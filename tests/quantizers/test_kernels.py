"""The Pallas kernel: interpreted here, and compiled for a TPU."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.nearest_kernel import nearest_tpu
from vqvae_jax.quantizers import search


def drawn(shape, seed, dtype=jnp.float32):
  values = np.random.default_rng(seed).normal(size=shape)
  return jnp.asarray(values, dtype)


@pytest.mark.parametrize("n, k", [(64, 48), (65, 49), (5, 100), (100, 3)])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_kernel_equals_the_dense_search(n, k, dtype):
  z, codes = drawn((n, 16), 0, dtype), drawn((k, 16), 1, dtype)
  ids = nearest_tpu(z, codes, tile=(32, 16), interpret=True)
  assert ids.dtype == jnp.int32
  wide = search.at_least_float32(z), search.at_least_float32(codes)
  np.testing.assert_array_equal(ids, search.nearest_dense(*wide))


def test_ties_go_to_the_lower_index_across_tiles():
  codes = jnp.tile(drawn((5, 16), 0), (7, 1))
  z = drawn((40, 16), 1)
  ids = nearest_tpu(z, codes, tile=(16, 16), interpret=True)
  np.testing.assert_array_equal(ids, search.nearest_dense(z, codes))
  assert ids.max() < 5


@pytest.mark.parametrize("k", [512, 65_536])
@pytest.mark.parametrize(
  ("find", "mebibytes"), [(nearest_tpu, 8), (search.nearest_code, 64)]
)
def test_searches_compile_for_tpu(find, mebibytes, k, tpu_devices):
  mesh = jax.sharding.Mesh(np.array(tpu_devices[:1]), ("data",))
  here = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
  shapes = [
    jax.ShapeDtypeStruct((rows, 64), jnp.float32, sharding=here)
    for rows in (65_536, k)
  ]
  compiled = jax.jit(find).lower(*shapes).compile()
  # All distances would be 134 MB at least. How much of a tile is held, if XLA
  # does not fuse it away, depends on the version of libtpu.
  held = compiled.memory_analysis().temp_size_in_bytes
  assert held < mebibytes * 2**20
