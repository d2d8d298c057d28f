"""Likelihood of ids under a prior."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int


def prior_loss(
  logits: Float[Array, "b t k"],
  ids: Int[Array, "b t"],
  counted: Bool[Array, "b t"] | None = None,
) -> Float[Array, "b"]:
  """Negative log-likelihood of each image's ids.

  Args:
    logits: over the codes, at every id.
    ids: the true ones.
    counted: of which ids; by default all.

  Returns:
    Nats per image: cross entropies summed over the ids, not averaged.
  """
  chosen = jnp.take_along_axis(logits, ids[..., None], axis=-1)[..., 0]
  nats = jax.nn.logsumexp(logits, axis=-1) - chosen
  return jnp.sum(nats, axis=-1, where=counted)


@functools.partial(jax.jit, static_argnums=0)
def log_prob(
  model: nn.Module,
  params: Any,
  ids: Int[Array, "b t"],
  labels: Int[Array, "b"],
) -> Float[Array, "b"]:
  """Log-probability of each image's ids given its class.

  Args:
    model: a prior whose `__call__` gives logits.
    params: its parameters.
    ids: in raster order.
    labels: class of each image.

  Returns:
    Nats per image, at most 0.
  """
  return -prior_loss(model.apply({"params": params}, ids, labels), ids)
