"""Draws ids from a prior, in one compiled loop."""

import dataclasses
import math
import numbers
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Key, PyTree

from vqvae_jax.errors import ArgumentError
from vqvae_jax.priors.base import Prior
from vqvae_jax.priors.choice import choose, guide, with_any_class
from vqvae_jax.priors.maskgit import mask_ratio

DECODE_STEPS = 12
# Scale of the noise on the confidence of a masked prior at the first step, as
# in the authors' code.
CHOICE_TEMPERATURE = 4.5


@dataclasses.dataclass(frozen=True)
class Sampling:
  """How ids are drawn from a prior.

  Attributes:
    temperature: number from 0 on; 1 samples the distribution that the prior
      learned, 0 takes the likeliest id each time.
    top_k: number of the likeliest codes to draw among; None draws among all.
    top_p: number in (0, 1]; draws among the smallest set of the likeliest codes
      whose probabilities sum to at least this.
    guidance: number from 0 on; pushes each image towards its class, see
      `choice.guide`.
    decode_steps: number of forward passes of a masked prior, at most one for
      each id; None is 12, or one for each id if there are fewer.
  """

  # Any, because the values come from users: they are checked below, and become
  # numbers of Python.
  temperature: Any = 1.0
  top_k: Any = None
  top_p: Any = 1.0
  guidance: Any = 0.0
  decode_steps: Any = None

  def __post_init__(self):
    for name in ("temperature", "top_p", "guidance"):
      object.__setattr__(self, name, _number(name, getattr(self, name)))
    for name in ("top_k", "decode_steps"):
      if getattr(self, name) is not None:
        object.__setattr__(self, name, _whole(name, getattr(self, name)))
    if not 0 <= self.temperature < math.inf:
      raise ArgumentError(
        f"temperature {self.temperature} is not a finite number from 0 on; "
        "1 samples the prior as learned, 0 takes the likeliest id each time"
      )
    if not 0 < self.top_p <= 1:
      raise ArgumentError(
        f"top_p {self.top_p} is not above 0 and at most 1; "
        "leave it out to sample from all codes"
      )
    if not 0 <= self.guidance < math.inf:
      raise ArgumentError(
        f"guidance {self.guidance} is not a finite number from 0 on; "
        "0 samples each class as learned"
      )

  def check(self, prior: Prior) -> None:
    """Checks the settings that depend on the prior.

    Args:
      prior: the prior to draw from.

    Raises:
      ArgumentError: naming the value and the rule.
    """
    if self.top_k is not None and not 1 <= self.top_k <= prior.num_codes:
      raise ArgumentError(
        f"top_k {self.top_k:g} is not between 1 and the {prior.num_codes} "
        "codes; leave it out to sample from all of them"
      )
    if self.decode_steps is None:
      return
    if prior.exact:
      raise ArgumentError(
        f"decode_steps {self.decode_steps:g} is for maskgit priors; "
        f"a {type(prior).__name__} draws one id at a time"
      )
    if not 1 <= self.decode_steps <= prior.length:
      raise ArgumentError(
        f"decode_steps {self.decode_steps:g} is not a whole number from 1 to "
        f"{prior.length}, the ids of an image"
      )


def _number(name, value):
  """Returns a number as a float, or infinity if it is too large."""
  if not isinstance(value, numbers.Real) or isinstance(value, bool):
    raise ArgumentError(f"{name} {repr(value)[:100]} is not a number")
  try:
    return float(value)
  except OverflowError:
    return math.inf


def _whole(name, value):
  """Returns a whole number as an int."""
  if not isinstance(value, numbers.Integral) or isinstance(value, bool):
    raise ArgumentError(f"{name} {repr(value)[:100]} is not a whole number")
  if not -(2**31) < value < 2**31:
    raise ArgumentError(f"{name} has more than 31 bits, which is too large")
  return int(value)


def sample(
  prior: Prior,
  params: PyTree,
  keys: Key[Array, " b"],
  labels: Int[Array, " b"],
  sampling: Sampling = Sampling(),
  *,
  known: Int[Array, "b t"] | None = None,
  mask: Bool[Array, "b t"] | None = None,
) -> Int[Array, "b t"]:
  """Draws the ids of new images, one row for each key and label.

  A row depends on the parameters, its key and its label, not on its position
  in the batch or on the other rows; another batch size may round differently.
  New values of temperature, top-k, top-p and guidance do not compile again;
  turning one of the last three on does. They cost nothing while they are off,
  and guidance doubles the work.

  Args:
    prior: Flax module of the prior.
    params: parameters of the prior.
    keys: one key for each image, such as `fold_in(key(seed), n)` for image n.
    labels: class of each image.
    sampling: how to draw.
    known: ids of images of which only a part is to be drawn.
    mask: which ids to draw, with `known` only; by default all. Priors in raster
      order know nothing of the ids after the one that they draw.

  Returns:
    Ids in raster order, int32.

  Raises:
    ArgumentError: if the sampling does not fit the prior.
  """
  sampling.check(prior)
  restriction = (
    sampling.temperature,
    sampling.top_k,
    sampling.top_p if sampling.top_p < 1 else None,
  )
  steps = sampling.decode_steps or min(DECODE_STEPS, prior.length)
  guidance = sampling.guidance or None
  return _sample(
    prior, params, keys, labels, restriction, guidance, steps, known, mask
  )


@partial(jax.jit, static_argnames=("prior", "steps"))
def _sample(
  prior, params, keys, labels, restriction, guidance, steps, known, mask
):
  def draw(keys, position, logits):
    return choose(keys, position, logits, *restriction)

  if known is None:
    known = jnp.zeros((len(keys), prior.length), jnp.int32)
    mask = jnp.ones(known.shape, bool)
  if guidance is not None:
    labels = with_any_class(labels, prior.num_classes)
  apply = partial(prior.apply, {"params": params})
  start = known, mask
  if prior.exact:
    return _one_by_one(prior, apply, draw, keys, labels, guidance, start)
  return _in_parallel(prior, apply, draw, keys, labels, guidance, start, steps)


def _one_by_one(model, apply, draw, keys, labels, guidance, start):
  """Draws ids in raster order, each given those before it."""

  def step(carry, now):
    previous, cache = carry
    position, known, mask = now
    if guidance is not None:
      previous = jnp.repeat(previous, 2)
    logits, cache = apply(
      previous, labels, position, cache, method="decode_step"
    )
    if guidance is not None:
      logits = guide(logits, guidance)
    ids = jnp.where(mask, draw(keys, position, logits), known)
    return (ids, cache), ids

  # Ids of all images at each position of a row.
  rows = [x.T.reshape(model.grid[0], -1, len(x)) for x in start]
  positions = jnp.arange(model.length).reshape(model.grid[0], -1)

  def draw_row(carry, now):
    previous, cache = carry
    row, *inputs = now
    if guidance is not None:
      previous = jnp.repeat(previous, 2)
    cache = apply(previous, labels, row, cache, method="begin_row")
    return jax.lax.scan(step, (carry[0], cache), tuple(inputs))

  first = jnp.zeros(len(keys), jnp.int32), model.init_cache(len(labels))
  numbers = jnp.arange(model.grid[0])
  _, ids = jax.lax.scan(draw_row, first, (numbers, positions, *rows))
  return ids.reshape(model.length, -1).T


def _in_parallel(model, apply, draw, keys, labels, guidance, start, steps):
  """Draws all masked ids at once, and masks the least confident ones again.

  Chang et al. 2022, arXiv 2202.04200, section 3.2, with the noise of the
  authors' code on the confidence, which falls to 0 at the last step.
  """
  length = model.length

  def step(carry, now):
    ids, mask = carry
    number, ratio = now
    if guidance is None:
      logits = apply(ids, labels, mask)
    else:
      # The labels come in pairs already.
      pairs = [jnp.repeat(x, 2, axis=0) for x in carry]
      logits = guide(apply(pairs[0], labels, pairs[1]), guidance)
    step_keys = jax.vmap(lambda key: jax.random.fold_in(key, number))(keys)
    drawn = jax.vmap(partial(draw, step_keys), (0, 1), 1)(
      jnp.arange(length), logits
    )
    log_p = jax.nn.log_softmax(logits)
    confidence = jnp.take_along_axis(log_p, drawn[..., None], axis=-1)[..., 0]
    noise = jax.vmap(
      lambda key: jax.random.gumbel(
        jax.random.fold_in(key, length), (length,), jnp.float32
      )
    )(step_keys)
    temperature = CHOICE_TEMPERATURE * (1 - (number + 1) / steps)
    confidence = jnp.where(mask, confidence + temperature * noise, jnp.inf)
    ranks = jnp.argsort(jnp.argsort(confidence, axis=1), axis=1)
    left = jnp.floor(ratio * at_first)
    return (jnp.where(mask, drawn, ids), ranks < left), None

  at_first = start[1].sum(axis=1, keepdims=True)
  numbers = jnp.arange(steps)
  (ids, _), _ = jax.lax.scan(
    step, start, (numbers, mask_ratio((numbers + 1) / steps))
  )
  return ids
