"""The nearest code of each latent, without an array of all distances.

Distances are float32 or wider at any precision of the inputs, and of equally
near codes the first is taken.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float, Int

from vqvae_jax.quantizers.axes import spec_of, with_auto_axes

# Up to this many distances, all of them are held at a time.
DENSE_LIMIT = 2**22
# Rows and codes of a tile. On CPU it stays in the cache of a core.
_CPU_TILE = 256, 2048
_TILE = 8192, 2048


def at_least_float32(x: Float[Array, "..."]) -> Float[Array, "..."]:
  """Returns bfloat16 and float16 as float32; float64 stays."""
  return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def nearest_code(
  z: Float[Array, "n d"], codebook: Float[Array, "k width"]
) -> Int[Array, " n"]:
  """Returns the index of the code with the least distance to each latent.

  Ties go to the lower index. Past `DENSE_LIMIT` distances the work is done in
  tiles of rows and codes with a running minimum, so the memory that it takes
  does not grow with n times k.

  Args:
    z: latents.
    codebook: codes.

  Returns:
    int32, each in [0, k).

  Raises:
    ValueError: if the latents and the codes differ in width.
  """
  if z.shape[1] != codebook.shape[1]:
    raise ValueError(
      f"latents of width {z.shape[1]} cannot be compared with codes of width "
      f"{codebook.shape[1]}"
    )
  z, codebook = at_least_float32(z), at_least_float32(codebook)
  out_spec = PartitionSpec(spec_of(z)[0])
  return with_auto_axes(_nearest, out_spec, z, codebook)


def _nearest(z, codebook):
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
  _, ids = nearest_in(z, codebook, squared_norms(codebook))
  return ids[:, 0]


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
  codebook, norms = padded(codebook, columns)
  codes = (
    codebook.reshape(-1, columns, codebook.shape[1]),
    norms.reshape(-1, 1, columns),
    jnp.arange(0, k, columns, dtype=jnp.int32),
  )

  def search(z):
    def look(best, codes):
      distance, ids = best
      codebook, norms, first = codes
      near, local = nearest_in(z, codebook, norms)
      better = near < distance
      return (
        jnp.where(better, near, distance),
        jnp.where(better, local + first, ids),
      ), None

    # Made from both, so that inside of `shard_map` they vary as both do.
    both = z[:, :1] + codebook[:1, :1]
    far = jnp.full_like(both, jnp.inf)
    first = jnp.zeros_like(both, jnp.int32)
    (_, ids), _ = jax.lax.scan(look, (far, first), codes)
    return ids[:, 0]

  return jax.lax.map(search, z).swapaxes(0, 1).reshape(-1)[:n]


def squared_norms(codebook: Float[Array, "k d"]) -> Float[Array, "1 k"]:
  """Returns the squared norms of the codes, as a row."""
  return jnp.sum(codebook**2, axis=1)[None]


def padded(
  codebook: Float[Array, "k d"], columns: int
) -> tuple[Float[Array, "p d"], Float[Array, "1 p"]]:
  """Returns codes and their squared norms, padded to a multiple of `columns`.

  The codes that are added are infinitely far.
  """
  missing = -codebook.shape[0] % columns
  norms = squared_norms(codebook)
  return (
    jnp.pad(codebook, ((0, missing), (0, 0))),
    jnp.pad(norms, ((0, 0), (0, missing)), constant_values=jnp.inf),
  )


def nearest_in(
  z: Float[Array, "n d"],
  codebook: Float[Array, "k d"],
  norms: Float[Array, "1 k"],
) -> tuple[Float[Array, "n 1"], Int[Array, "n 1"]]:
  """Returns the least distance, less the latent's square, and its first index.

  It takes the minimum, and then the first index that attains it: XLA's CPU
  backend vectorises both, but not `argmin`.
  """
  products = jax.lax.dot_general(
    z,
    codebook,
    (((1,), (1,)), ((), ())),
    precision=jax.lax.Precision.HIGHEST,
  )
  distances = norms - 2 * products
  nearest = jnp.min(distances, axis=1, keepdims=True)
  places = jax.lax.broadcasted_iota(jnp.int32, distances.shape, 1)
  # A latent that is not a number matches no code, and gets the last.
  last = distances.shape[1] - 1
  matches = jnp.where(distances == nearest, places, last)
  return nearest, jnp.min(matches, axis=1, keepdims=True)
