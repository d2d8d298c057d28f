"""What quantizers without a codebook to keep have in common."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key


class FixedCodes(nn.Module):
  """Codes follow from their ids alone: nothing to start, nothing to update."""

  # Ids for each latent.
  ids_per_latent = 1

  def start(self, z: Float[Array, "*n d"], key: Key[Array, ""]):
    """The codes stand where they stand."""

  def update(
    self, z: Float[Array, "*n d"], ids: Int[Array, "*n"], key: Key[Array, ""]
  ):
    """The codes stay where they are."""


def digits_to_ids(
  digits: Int[Array, "n d"], bases: tuple[int, ...]
) -> Int[Array, " n"]:
  """Mixed-radix numbers, the first digit the lowest."""
  places = jnp.cumprod(jnp.array((1, *bases[:-1]), jnp.int32))
  return jnp.sum(digits * places[None], axis=1, dtype=jnp.int32)


def ids_to_digits(
  ids: Int[Array, " n"], bases: tuple[int, ...]
) -> Int[Array, "n d"]:
  """Inverse of `digits_to_ids`."""
  places = jnp.cumprod(jnp.array((1, *bases[:-1]), jnp.int32))
  return ids[:, None] // places[None] % jnp.array(bases, jnp.int32)[None]


def rounded(x: Float[Array, "..."]) -> Float[Array, "..."]:
  """Nearest integers; the gradient passes as if nothing was rounded."""
  return jax.lax.stop_gradient(jnp.round(x)) + (x - jax.lax.stop_gradient(x))
