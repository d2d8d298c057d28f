"""Chooses one id from logits: temperature, top-k, top-p, guidance."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key


def restrict(
  logits: Float[Array, "b k"],
  temperature: float | Float[Array, ""],
  top_k: int | Int[Array, ""] | None,
  top_p: float | Float[Array, ""] | None,
) -> Float[Array, "b k"]:
  """Sets the logits of codes that may not be sampled to minus infinity.

  Top-p is nucleus sampling (Holtzman et al. 2020, section 3.1), on the
  probabilities at this temperature and, with top-k, among the top k. Codes
  whose logits equal the last allowed one are allowed, too.

  Args:
    logits: logits over the codes.
    temperature: temperature, from 0 on.
    top_k: number of the likeliest codes to allow; None allows all.
    top_p: probability of the likeliest codes to allow; None allows all.
  """
  if top_k is None and top_p is None:
    return logits
  ranked = jnp.sort(logits, descending=True, stable=False)
  allowed = jnp.ones(ranked.shape, bool)
  if top_k is not None:
    allowed &= (jnp.arange(ranked.shape[-1]) < top_k)[None]
  if top_p is not None:
    # At temperature 0 the best code takes all: 0 / tiny is 0, and any
    # difference / tiny overflows to minus infinity.
    tiny = jnp.finfo(ranked.dtype).tiny
    scaled = (ranked - ranked[:, :1]) / jnp.maximum(temperature, tiny)
    probs = jax.nn.softmax(jnp.where(allowed, scaled, -jnp.inf))
    mass_before = jnp.cumsum(probs, axis=-1) - probs
    allowed &= mass_before < top_p
  last = jnp.min(jnp.where(allowed, ranked, jnp.inf), axis=-1, keepdims=True)
  return jnp.where(logits >= last, logits, -jnp.inf)


def choose(
  keys: Key[Array, " b"],
  position: int | Int[Array, ""],
  logits: Float[Array, "b k"],
  temperature: float | Float[Array, ""] = 1.0,
  top_k: int | Int[Array, ""] | None = None,
  top_p: float | Float[Array, ""] | None = None,
) -> Int[Array, " b"]:
  """Draws one id for each image by Gumbel-max, from noise of the image's own.

  Args:
    keys: one key for each image.
    position: position of the id in raster order; folded into the keys.
    logits: logits over the codes.
    temperature: 1 samples the distribution as it is, 0 takes its maximum.
    top_k: see `restrict`.
    top_p: see `restrict`.
  """
  num_codes = logits.shape[-1]
  noise = jax.vmap(
    lambda key: jax.random.gumbel(
      jax.random.fold_in(key, position), (num_codes,), jnp.float32
    )
  )(keys)
  # argmax(logits / temperature + noise), in a form that holds at 0.
  scores = restrict(logits, temperature, top_k, top_p) + temperature * noise
  # The lowest index of the maximum. XLA's argmax does not vectorise on CPU
  # and would make the noise there cost four times as much.
  best = jnp.max(scores, axis=-1, keepdims=True)
  index = jax.lax.broadcasted_iota(jnp.int32, scores.shape, 1)
  return jnp.min(jnp.where(scores == best, index, num_codes - 1), axis=-1)


def with_any_class(
  labels: Int[Array, " b"], num_classes: int
) -> Int[Array, " 2*b"]:
  """Returns each label, and after it the one that stands for any class.

  They are side by side, so that devices that divide the batch need only their
  part of it.
  """
  pairs = jnp.stack([labels, jnp.full_like(labels, num_classes)], axis=1)
  return pairs.reshape(-1)


def guide(
  logits: Float[Array, "pairs *t k"], guidance: float | Float[Array, ""]
) -> Float[Array, "b *t k"]:
  """Applies classifier-free guidance to logits for `with_any_class`'s labels.

  Ho and Salimans: "Classifier-Free Diffusion Guidance", arXiv 2207.12598,
  equation 6: logits + guidance * (logits - logits of any class).
  """
  pairs = logits.reshape(-1, 2, *logits.shape[1:])
  return pairs[:, 0] + guidance * (pairs[:, 0] - pairs[:, 1])
