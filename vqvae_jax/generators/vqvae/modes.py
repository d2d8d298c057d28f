"""What the images of a job are made of: the ways of `sample.py --mode`.

prior        ids from the prior, decoded
perturb      a training image, its ids drawn anew among the codes near by
mix          between two near training images of one class
inpaint      a training image, a part of its ids drawn anew by the prior
reconstruct  a validation image, encoded and decoded

Training images are augmented before they are varied, as both stages saw them.
These are a VQ-VAE's; for the others see `baseline_modes`.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from vqvae_jax.config import SampleConfig
from vqvae_jax.data.augment import augment_each
from vqvae_jax.errors import ConfigError
from vqvae_jax.generators.arrays import image_keys
from vqvae_jax.generators.baseline import BaselineModel
from vqvae_jax.generators.baseline_modes import (
  plan_baseline,
  plan_reconstruction,
)
from vqvae_jax.generators.labels import labels_of
from vqvae_jax.generators.plan import Plan, Sources, run_images
from vqvae_jax.generators.vqvae.model import Model
from vqvae_jax.pixels import to_float, to_uint8
from vqvae_jax.priors import sample
from vqvae_jax.sharding import split as split_rows

# What the keys of images are folded with: numbers of no position.
_PLACE, _AUGMENT = 2**31, 2**31 + 1


def make_plan(config: SampleConfig, model: Model | BaselineModel) -> Plan:
  """The plan of a job.

  Raises:
    UserError: if a setting does not fit the run, or the images that a mode
      starts from are not to be had.
  """
  if isinstance(model, BaselineModel):
    return plan_baseline(config, model)
  if config.mode == "walk":
    raise ConfigError(
      "--mode walk is for runs of --model=vae and beta_vae; this one is a vqvae"
    )
  if config.mode == "reconstruct":
    return _reconstruct(config, model)
  labels = labels_of(config.labels, np.arange(config.num_images), model.spec)
  make = {
    "prior": _prior,
    "perturb": _perturb,
    "mix": _mix,
    "inpaint": _inpaint,
  }[config.mode]
  make_block, settings, origins = make(config, model, labels)
  return Plan(
    labels,
    model.spec.image_shape,
    make_block,
    {"seed": config.seed, "labels_as": config.labels, **settings},
    origins,
  )


def _prior(config, model, labels):
  del labels
  options, settings = _sampling(config, model)
  draw = model.sampler(**options)

  def make_block(numbers, labels):
    return draw(config.seed, int(numbers[0]), labels)

  return make_block, settings, None


def _perturb(config, model, labels):
  def vary(variables, numbers, seed, images):
    tokenizer, _ = variables
    latents = model.tokenizer.apply(tokenizer, images, method="latents")

    def resample(row):
      latents, key = row
      return model.tokenizer.apply(
        tokenizer, latents, config.temperature, key, method="resample"
      )

    # A few at a time: each holds its distances to all codes.
    keys = image_keys(seed, numbers)
    return jax.lax.map(resample, (latents, keys), batch_size=16)

  settings = {"weights": _weights(model), "temperature": config.temperature}
  make_block, sources = _varied(config, model, vary, labels, count=1)
  return make_block, settings, sources.origins(config.seed)


def _mix(config, model, labels):
  def vary(variables, numbers, seed, images, others):
    tokenizer, _ = variables
    latents = partial(model.tokenizer.apply, tokenizer, method="latents")
    # Never nearer than a quarter to either: that would be a copy.
    share = jax.vmap(lambda key: jax.random.uniform(key, (), float, 0.25, 0.75))
    share = share(image_keys(seed, numbers))[:, None, None, None]
    mixed = share * latents(images) + (1 - share) * latents(others)
    return model.tokenizer.apply(tokenizer, mixed, method="quantize")

  make_block, sources = _varied(config, model, vary, labels, count=2)
  settings = {"weights": _weights(model)}
  return make_block, settings, sources.origins(config.seed)


def _inpaint(config, model, labels):
  options, settings = _sampling(config, model)
  sampling = model.sampling(**options)
  rows, columns = model.prior.grid[:2]
  side = math.sqrt(config.share)
  height, width = math.ceil(side * rows), math.ceil(side * columns)

  def corner(key):
    top_key, left_key = jax.random.split(jax.random.fold_in(key, _PLACE))
    top = jax.random.randint(top_key, (), 0, rows - height + 1)
    return top, jax.random.randint(left_key, (), 0, columns - width + 1)

  def outlines(numbers):
    keys = image_keys(config.seed, np.asarray(numbers, np.int32))
    tops, lefts = map(np.asarray, jax.vmap(corner)(keys))
    sides = np.broadcast_to([height / rows, width / columns], (len(tops), 2))
    return np.column_stack([tops / rows, lefts / columns, sides])

  def vary(variables, numbers, seed, images, labels):
    tokenizer, prior = variables
    ids = model.tokenizer.apply(tokenizer, images, method="encode")
    keys = image_keys(seed, numbers)

    def rectangle(key):
      top, left = corner(key)
      down = jnp.arange(rows)[:, None] - top
      across = jnp.arange(columns)[None] - left
      inside = (down >= 0) & (down < height) & (across >= 0) & (across < width)
      return inside.reshape(rows, columns, *(1,) * (ids.ndim - 3))

    mask = jnp.broadcast_to(jax.vmap(rectangle)(keys), ids.shape)
    drawn = sample(
      model.prior,
      prior,
      keys,
      labels,
      sampling,
      known=ids.reshape(len(ids), -1),
      mask=mask.reshape(len(ids), -1),
    )
    return drawn.reshape(ids.shape)

  settings = settings | {"share": config.share}
  make_block, sources = _varied(
    config, model, vary, labels, count=1, prior=True
  )
  return make_block, settings, sources.origins(config.seed, outlines)


def _reconstruct(config, model):
  def reconstruct(images, labels):
    del labels
    return model.decode(model.encode(images))

  return plan_reconstruction(
    config, model, reconstruct, {"weights": _weights(model)}
  )


def _sampling(config, model):
  """Options of `Sampling`, and what the record says of them."""
  options = {
    "temperature": config.temperature,
    "top_k": config.top_k,
    "top_p": config.top_p,
    "guidance": model.resolve_guidance(config.guidance),
    "decode_steps": config.decode_steps,
  }
  return options, {"weights": _weights(model, prior=True), **options}


def _varied(config, model, vary, labels, *, count, prior=False):
  """How to make blocks of varied training images, and which images.

  Args:
    config: of the job.
    model: the run's.
    vary: (variables, numbers, seed, images, ...) to ids; with `prior`, it is
      also given the labels.
    labels: of all new images.
    count: training images that an image is made of.
    prior: whether `vary` needs the prior's weights.
  """
  split = run_images(model.config, model.spec, "train")
  chosen = Sources(split, model.spec, config.mode, count, labels)
  rows = split_rows(model.mesh)

  def make(variables, numbers, seed, *arrays):
    # Two images are moved alike, so that they stay near.
    arrays = [
      start_from(seed, numbers, x, model.spec.augment) if x.ndim == 4 else x
      for x in arrays
    ]
    ids = vary(variables, numbers, seed, *arrays)
    made = model.tokenizer.apply(variables[0], ids, method="decode")
    return to_uint8(made)

  compiled = jax.jit(make, out_shardings=rows)
  variables = (
    model.tokenizer_variables,
    model.prior_variables if prior else None,
  )

  def make_block(numbers, labels):
    arrays = chosen.gather(config.seed, numbers, labels)
    arrays += [np.asarray(labels, np.int32)] * prior
    arrays = [jax.device_put(x, rows) for x in arrays]
    numbers = jax.device_put(np.asarray(numbers, np.int32), rows)
    return compiled(variables, numbers, config.seed, *arrays)

  return make_block, chosen


def start_from(
  seed: int | Int[Array, ""],
  numbers: Int[Array, "b"],
  images: UInt8[Array, "b h w c"],
  kind: str,
) -> Float[Array, "b h w c"]:
  """Training images, in [0, 1], augmented for the new images' numbers."""
  keys = image_keys(seed, numbers)
  keys = jax.vmap(lambda key: jax.random.fold_in(key, _AUGMENT))(keys)
  return augment_each(keys, to_float(images), kind)


def _weights(model, *, prior=False):
  digests = {"tokenizer": model.tokenizer_digest}
  return digests | ({"prior": model.prior_digest} if prior else {})
