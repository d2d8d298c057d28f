"""Precision of what must not be computed in half precision."""

import jax.numpy as jnp
from jax.typing import DTypeLike


def at_least_float32(dtype: DTypeLike) -> jnp.dtype:
  """Returns float32 for half precision and `dtype` for wider types."""
  return jnp.promote_types(dtype, jnp.float32)
