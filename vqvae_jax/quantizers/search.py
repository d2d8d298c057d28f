"""The nearest code of each latent, without an array of all distances.

Distances are float32 or wider at any precision of the inputs, and of equally
near codes the first is taken.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from vqvae_jax.errors import ConfigError

# Up to this many distances, all of them are held at a time.
DENSE_LIMIT = 2**22
# Rows and codes of a tile. On CPU it stays in the cache of a core.
_CPU_TILE = 256, 2048
_TILE = 8192, 2048


def at_least_float32(x: Float[Array, "..."]) -> Float[Array, "..."]:
  """bfloat16 and float16 become float32; float64 stays."""
  return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def nearest_code(
  z: Float[Array, "n d"], codebook: Float[Array, "k d"]
) -> Int[Array, " n"]:
  """Index of the code nearest to each latent by Euclidean distance.

  Ties go to the lower index. Past `DENSE_LIMIT` distances the work is done in
  tiles of rows and codes with a running minimum, so the memory it takes does
  not grow with n times k.

  Args:
    z: latents.
    codebook: codes.

  Returns:
    int32, each in [0, k).

  Raises:
    ConfigError: if the latents and the codes differ in width.
  """
  if z.shape[1] != codebook.shape[1]:
    raise ConfigError(
      f"latents of width {z.shape[1]} cannot be compared with codes of width "
      f"{codebook.shape[1]}"
    )
  z, codebook = at_least_float32(z), at_least_float32(codebook)
  if z.shape[0] * codebook.shape[0] <= DENSE_LIMIT:
    return nearest_dense(z, codebook)
  return jax.lax.platform_dependent(
    z,
    codebook,
    cpu=partial(nearest_tiled, tile=_CPU_TILE),
    default=partial(nearest_tiled, tile=_TILE),
  )


def nearest_dense(
  z: Float[Array, "n d"], codebook: Float[Array, "k d"]
) -> Int[Array, " n"]:
  """`nearest_code`, holding all n times k distances (or what XLA fuses)."""
  _, ids = _nearest_in(z, codebook, _squared_norms(codebook))
  return ids


def nearest_tiled(
  z: Float[Array, "n d"],
  codebook: Float[Array, "k d"],
  tile: tuple[int, int] = _CPU_TILE,
) -> Int[Array, " n"]:
  """`nearest_code`, holding one tile of distances at a time.

  Args:
    z: latents.
    codebook: codes.
    tile: rows and codes of a tile.
  """
  n, k = z.shape[0], codebook.shape[0]
  rows, columns = min(tile[0], n), min(tile[1], k)
  tiles = -(-n // rows)
  # Tile i holds the rows i, i + tiles, ...: of rows that devices share in
  # blocks, each device has its part of every tile.
  z = jnp.pad(z, ((0, tiles * rows - n), (0, 0)))
  z = z.reshape(rows, tiles, -1).swapaxes(0, 1)
  missing = -k % columns
  # Codes that are not there are infinitely far.
  norms = jnp.pad(
    _squared_norms(codebook), (0, missing), constant_values=jnp.inf
  )
  codebook = jnp.pad(codebook, ((0, missing), (0, 0)))
  codes = (
    codebook.reshape(-1, columns, codebook.shape[1]),
    norms.reshape(-1, columns),
    jnp.arange(0, k, columns, dtype=jnp.int32),
  )

  def search(z):
    def look(best, codes):
      distance, ids = best
      codebook, norms, first = codes
      near, local = _nearest_in(z, codebook, norms)
      better = near < distance
      return (
        jnp.where(better, near, distance),
        jnp.where(better, local + first, ids),
      ), None

    start = jnp.full(rows, jnp.inf, z.dtype), jnp.zeros(rows, jnp.int32)
    (_, ids), _ = jax.lax.scan(look, start, codes)
    return ids

  return jax.lax.map(search, z).swapaxes(0, 1).reshape(-1)[:n]


def _squared_norms(codebook):
  return jnp.sum(codebook**2, axis=1)


def _nearest_in(z, codebook, norms):
  """The least distance, less the latent's own square, and its first index.

  The minimum and then the first index that attains it: XLA's CPU backend
  vectorises both, but not `argmin`.
  """
  products = jnp.matmul(z, codebook.T, precision=jax.lax.Precision.HIGHEST)
  distances = norms[None] - 2 * products
  nearest = jnp.min(distances, axis=1)
  k = codebook.shape[0]
  places = jnp.arange(k, dtype=jnp.int32)[None]
  # A latent that is not a number matches none, and gets the last.
  matches = jnp.where(distances == nearest[:, None], places, k - 1)
  return nearest, jnp.min(matches, axis=1)
