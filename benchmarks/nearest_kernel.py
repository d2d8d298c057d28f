"""The nearest-code search as a Pallas kernel for TPU.

The package does not use it: the kernel has been compiled for a TPU, but not yet
timed on one, and it would have to be faster than XLA's program of the plain
search. `benchmarks/nearest_code.py` times both if it finds a TPU. There is no
kernel for GPU, because Pallas's Triton backend is deprecated since JAX 0.12.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu
from jaxtyping import Array, Float, Int

from vqvae_jax.quantizers import search


def nearest_tpu(
  z: Float[Array, "n d"],
  codebook: Float[Array, "k d"],
  tile: tuple[int, int] = (1024, 1024),
  interpret: bool = False,
) -> Int[Array, " n"]:
  """Returns what `search.nearest_code` does, on one TPU core, in float32.

  For each tile of rows the tiles of codes come in order, and the least
  distance so far stays in VMEM.

  Args:
    z: latents.
    codebook: codes.
    tile: rows and codes of a tile.
    interpret: whether to run as plain JAX, on any device.
  """
  n, d = z.shape
  rows, columns = tile
  z, codebook = z.astype(jnp.float32), codebook.astype(jnp.float32)
  z = jnp.pad(z, ((0, -n % rows), (0, 0)))
  codebook, norms = search.padded(codebook, columns)
  ids = pl.pallas_call(
    partial(_kernel, columns=columns),
    grid=(z.shape[0] // rows, codebook.shape[0] // columns),
    in_specs=[
      pl.BlockSpec((rows, d), lambda i, j: (i, 0)),
      pl.BlockSpec((columns, d), lambda i, j: (j, 0)),
      pl.BlockSpec((1, columns), lambda i, j: (0, j)),
    ],
    out_specs=pl.BlockSpec((rows, 1), lambda i, j: (i, 0)),
    out_shape=jax.ShapeDtypeStruct((z.shape[0], 1), jnp.int32),
    scratch_shapes=[pltpu.VMEM((rows, 1), jnp.float32)],
    compiler_params=pltpu.CompilerParams(
      dimension_semantics=("parallel", "arbitrary")
    ),
    interpret=interpret,
  )(z, codebook, norms)
  return ids[:n, 0]


def _kernel(z, codes, norms, ids, best, *, columns):
  tile = pl.program_id(1)

  @pl.when(tile == 0)
  def _():
    best[...] = jnp.full_like(best, jnp.inf)
    ids[...] = jnp.zeros_like(ids)

  near, local = search.nearest_in(z[...], codes[...], norms[...])
  better = near < best[...]
  best[...] = jnp.where(better, near, best[...])
  ids[...] = jnp.where(better, local + tile * columns, ids[...])
