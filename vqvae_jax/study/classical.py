"""Classical augmentation in strengths: shift, rotate, scale, crop, noise.

A strength is an array and not a program. One compiled training step therefore
serves batches in which some images are augmented and others are not.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from vqvae_jax.data.augment import warp


class Strength(NamedTuple):
  """The largest change of each kind; changes are uniform up to it.

  Attributes:
    shift: share of the side, down or up and right or left.
    rotation: degrees in either direction.
    scale: relative change of the size, larger or smaller.
    crop: share of the side that is cut off at any position; the rest fills the
      image.
    noise: standard deviation of Gaussian noise, of a range of 1.
  """

  shift: float
  rotation: float
  scale: float
  crop: float
  noise: float


# From weak to strong.
STRENGTHS = {
  "none": Strength(0.0, 0.0, 0.0, 0.0, 0.0),
  "light": Strength(0.04, 5.0, 0.05, 0.05, 0.02),
  "medium": Strength(0.07, 10.0, 0.1, 0.1, 0.05),
  "strong": Strength(0.1, 15.0, 0.15, 0.2, 0.1),
}


def classical(
  key: Key[Array, ""],
  images: Float[Array, "b h w c"],
  magnitudes: Float[Array, "b 5"],
) -> Float[Array, "b h w c"]:
  """Changes each image at random, up to its own strength.

  Image i depends on its pixels, its strength, `key` and i. Beyond the border
  of an image, its border is repeated.

  Args:
    key: random key of the batch.
    images: pixels in [0, 1].
    magnitudes: a `Strength` for each image; zeros leave the image unchanged.

  Returns:
    Images of the same shape and type, in [0, 1].
  """
  keys = jax.random.split(key, images.shape[0])
  return jax.vmap(_change)(keys, images, magnitudes)


def _change(key, image, magnitudes):
  strength = Strength(*magnitudes)
  place_key, amount_key, noise_key = jax.random.split(key, 3)
  down, right, turn, size, crop_down, crop_right = jax.random.uniform(
    place_key, (6,), minval=-1.0, maxval=1.0
  )
  cut, loud = jax.random.uniform(amount_key, (2,))
  rest = 1 - strength.crop * cut
  angle = turn * strength.rotation * (math.pi / 180)
  rotation = jnp.array(
    [
      [jnp.cos(angle), -jnp.sin(angle)],
      [jnp.sin(angle), jnp.cos(angle)],
    ]
  )
  # The rest of a crop is enlarged by `1 / rest`, and its centre may be
  # `(1 - rest) / 2` of the side away from that of the image.
  room = (1 - rest) / (2 * rest)
  share = strength.shift * jnp.array([down, right]) + room * jnp.array(
    [crop_down, crop_right]
  )
  height, width, _ = image.shape
  image = warp(
    image,
    rotation * (rest / (1 + strength.scale * size)),
    share * jnp.array([height, width], image.dtype),
    outside="edge",
  )
  noise = jax.random.normal(noise_key, image.shape, image.dtype)
  return jnp.clip(image + strength.noise * loud * noise, 0, 1)
