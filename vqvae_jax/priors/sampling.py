"""Samples of ids from a prior, in one compiled loop."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from vqvae_jax.priors.base import Prior
from vqvae_jax.priors.choice import choose, guide, with_any_class
from vqvae_jax.priors.maskgit import hidden_share

DECODE_STEPS = 12
# Scale of the noise on what a masked prior is surest of, at the first step;
# that of the authors' code.
RESTLESSNESS = 4.5


@functools.partial(jax.jit, static_argnums=0, static_argnames="decode_steps")
def sample(
  model: Prior,
  params: Any,
  keys: Key[Array, "b"],
  labels: Int[Array, "b"],
  temperature: float | Float[Array, ""] = 1.0,
  top_k: int | Int[Array, ""] | None = None,
  top_p: float | Float[Array, ""] | None = None,
  guidance: float | Float[Array, ""] | None = None,
  decode_steps: int | None = None,
  known: Int[Array, "b t"] | None = None,
  hidden: Bool[Array, "b t"] | None = None,
) -> Int[Array, "b t"]:
  """Ids of new images, one row per key and label.

  A row depends on the parameters, its key and its label, not on its place or
  the other rows; another batch size may round differently. New values of
  temperature, top-k, top-p and guidance do not compile anew, turning one of the
  last three on does; off they cost nothing, and guidance doubles the work.
  `choice.check_sampling` checks values from users.

  Args:
    model: a prior.
    params: its parameters.
    keys: one key per image, such as `fold_in(key(seed), n)` for image n.
    labels: class of each image.
    temperature: see `choice.choose`.
    top_k: see `choice.restrict`.
    top_p: see `choice.restrict`.
    guidance: see `choice.guide`; None is 0.
    decode_steps: forward passes of a masked prior, at most one for each id;
      None is 12, or as many as ids. The other priors take one for each id.
    known: ids of images of which only a part is to be drawn.
    hidden: that part; with `known` only. By default all is drawn. Priors in
      raster order know nothing of the ids behind the one they draw.

  Returns:
    Ids in raster order, int32.
  """

  def draw(keys, position, logits):
    return choose(keys, position, logits, temperature, top_k, top_p)

  if known is None:
    known = jnp.zeros((len(keys), model.length), jnp.int32)
    hidden = jnp.ones(known.shape, bool)
  if guidance is not None:
    labels = with_any_class(labels, model.num_classes)
  apply = functools.partial(model.apply, {"params": params})
  start = known, hidden
  if model.exact:
    return _one_by_one(model, apply, draw, keys, labels, guidance, start)
  steps = decode_steps or min(DECODE_STEPS, model.length)
  return _in_parallel(model, apply, draw, keys, labels, guidance, start, steps)


def _one_by_one(model, apply, draw, keys, labels, guidance, start):
  """In raster order, each given those before it."""

  def step(carry, now):
    previous, cache = carry
    position, known, hidden = now
    if guidance is not None:
      previous = jnp.repeat(previous, 2)
    logits, cache = apply(
      previous, labels, position, cache, method="decode_step"
    )
    if guidance is not None:
      logits = guide(logits, guidance)
    ids = jnp.where(hidden, draw(keys, position, logits), known)
    return (ids, cache), ids

  # Ids of all images at each place of a row.
  rows = [x.T.reshape(model.grid[0], -1, len(x)) for x in start]
  positions = jnp.arange(model.length).reshape(model.grid[0], -1)

  def draw_row(carry, now):
    previous, cache = carry
    row, *places = now
    if guidance is not None:
      previous = jnp.repeat(previous, 2)
    cache = apply(previous, labels, row, cache, method="begin_row")
    return jax.lax.scan(step, (carry[0], cache), tuple(places))

  first = jnp.zeros(len(keys), jnp.int32), model.init_cache(len(labels))
  numbers = jnp.arange(model.grid[0])
  _, ids = jax.lax.scan(draw_row, first, (numbers, positions, *rows))
  return ids.reshape(model.length, -1).T


def _in_parallel(model, apply, draw, keys, labels, guidance, start, steps):
  """All hidden ids at once; the surest are kept, the others hidden again.

  Chang et al. 2022, arXiv 2202.04200, section 3.2, with the noise of the
  authors' code on what is surest, which falls to 0 at the last step.
  """
  length = model.length

  def step(carry, now):
    ids, hidden = carry
    number, share = now
    if guidance is None:
      logits = apply(ids, labels, hidden)
    else:
      twice = jnp.repeat(ids, 2, axis=0), labels, jnp.repeat(hidden, 2, axis=0)
      logits = guide(apply(*twice), guidance)
    step_keys = jax.vmap(lambda key: jax.random.fold_in(key, number))(keys)
    drawn = jax.vmap(functools.partial(draw, step_keys), (0, 1), 1)(
      jnp.arange(length), logits
    )
    log_p = jax.nn.log_softmax(logits)
    sure = jnp.take_along_axis(log_p, drawn[..., None], axis=-1)[..., 0]
    noise = jax.vmap(
      lambda key: jax.random.gumbel(
        jax.random.fold_in(key, length), (length,), jnp.float32
      )
    )(step_keys)
    sure = sure + RESTLESSNESS * (1 - (number + 1) / steps) * noise
    sure = jnp.where(hidden, sure, jnp.inf)
    ranks = jnp.argsort(jnp.argsort(sure, axis=1), axis=1)
    left = jnp.floor(share * at_first)
    return (jnp.where(hidden, drawn, ids), ranks < left), None

  at_first = start[1].sum(axis=1, keepdims=True)
  numbers = jnp.arange(steps)
  (ids, _), _ = jax.lax.scan(
    step, start, (numbers, hidden_share((numbers + 1) / steps))
  )
  return ids
