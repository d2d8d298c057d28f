"""The modes of a VQ-VAE that vary start images.

perturb  draws the ids of an image again among the codes near by
mix      takes latents between those of two near images of one class
inpaint  draws a part of the ids of an image again by the prior

Start images are augmented first, as both stages saw them.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Key

from vqvae_jax.config import SampleConfig
from vqvae_jax.generators.arrays import image_keys
from vqvae_jax.generators.base import SAMPLING
from vqvae_jax.generators.plan import Plan
from vqvae_jax.generators.starts import Variation, plan_variation

# What the keys of images are folded with here: a number of no position.
_PLACE = 2**31


def perturb(trained, config: SampleConfig) -> Plan:
  """Returns the plan of a job that draws ids again among near codes.

  Args:
    trained: the trained VQ-VAE.
    config: settings of the job.

  Raises:
    UserError: if the training images cannot be read or are too few.
  """
  generator = trained.generator
  temperature = config.temperature

  def vary(weights, keys, labels, images):
    variables = weights["tokenizer"]
    apply = generator.tokenizer.apply
    latents = apply(variables, images, method="latents")

    def resample(image):
      latents, key = image
      return apply(variables, latents, temperature, key, method="resample")

    # A few at a time: each holds its distances to all codes.
    ids = jax.lax.map(resample, (latents, keys), batch_size=16)
    return generator.decode(variables, ids, labels)

  settings = {"temperature": temperature}
  variation = Variation(vary, ("tokenizer",), settings)
  return plan_variation(trained, config, variation)


def mix(trained, config: SampleConfig) -> Plan:
  """Returns the plan of a job that mixes two images; see `perturb`."""
  generator = trained.generator

  def vary(weights, keys, labels, images, others):
    variables = weights["tokenizer"]
    apply = generator.tokenizer.apply
    # Never nearer than a quarter to either: that would be a copy.
    share = jax.vmap(lambda key: jax.random.uniform(key, (), float, 0.25, 0.75))
    share = share(keys)[:, None, None, None]
    mixed = share * apply(variables, images, method="latents") + (
      1 - share
    ) * apply(variables, others, method="latents")
    ids = apply(variables, mixed, method="quantize")
    return generator.decode(variables, ids, labels)

  variation = Variation(vary, ("tokenizer",), {}, count=2)
  return plan_variation(trained, config, variation)


def inpaint(trained, config: SampleConfig) -> Plan:
  """Returns the plan of a job that draws a rectangle again; see `perturb`."""
  generator = trained.generator
  asked = {name: getattr(config, name) for name in SAMPLING}
  settings = generator.sampling(asked, flags=True)
  rectangle = Rectangle(generator.prior.grid, config.share)

  def vary(weights, keys, labels, images):
    variables = weights["tokenizer"]
    ids = generator.encode(variables, images, labels)
    mask = jnp.broadcast_to(jax.vmap(rectangle.mask)(keys), ids.shape)
    drawn = generator.draw_ids(
      weights["prior"],
      keys,
      labels,
      settings,
      known=ids.reshape(len(ids), -1),
      mask=mask.reshape(len(ids), -1),
    )
    return generator.decode(variables, drawn.reshape(ids.shape), labels)

  def outlines(numbers):
    keys = image_keys(config.seed, jnp.asarray(numbers, jnp.int32))
    return rectangle.outlines(keys)

  variation = Variation(
    vary,
    ("tokenizer", "prior"),
    {**settings, "share": config.share},
    outlines=outlines,
  )
  return plan_variation(trained, config, variation)


class Rectangle:
  """A rectangle of ids at a random position, one for each key."""

  def __init__(self, grid: tuple[int, ...], share: float):
    """Decides the sides.

    Args:
      grid: rows and columns of ids, and how many are at each position if more
        than one is.
      share: share of the ids that the rectangle holds, about.
    """
    self._grid = grid
    side = math.sqrt(share)
    self._height = math.ceil(side * grid[0])
    self._width = math.ceil(side * grid[1])

  def corner(
    self, key: Key[Array, ""]
  ) -> tuple[Int[Array, ""], Int[Array, ""]]:
    """Returns the first row and the first column."""
    rows, columns = self._grid[:2]
    top_key, left_key = jax.random.split(jax.random.fold_in(key, _PLACE))
    top = jax.random.randint(top_key, (), 0, rows - self._height + 1)
    left = jax.random.randint(left_key, (), 0, columns - self._width + 1)
    return top, left

  def mask(self, key: Key[Array, ""]) -> Bool[Array, "i j *one"]:
    """Returns which ids are inside, with an axis for those at a position."""
    rows, columns, *several = self._grid
    top, left = self.corner(key)
    down = jnp.arange(rows)[:, None] - top
    across = jnp.arange(columns)[None] - left
    inside = (down >= 0) & (down < self._height)
    inside = inside & (across >= 0) & (across < self._width)
    return inside.reshape(rows, columns, *(1 for _ in several))

  def outlines(self, keys: Key[Array, " n"]) -> np.ndarray:
    """Returns top, left, height and width as shares of the image."""
    rows, columns = self._grid[:2]
    tops, lefts = map(np.asarray, jax.vmap(self.corner)(keys))
    sides = np.broadcast_to(
      [self._height / rows, self._width / columns], (len(tops), 2)
    )
    return np.column_stack([tops / rows, lefts / columns, sides])
