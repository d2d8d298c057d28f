"""Classical augmentation on the device, with a key for each image.

Two kinds of use share `warp`: `augment` changes the images of a training by a
named kind, and `classical` by a strength for each image, as a study compares
them. Labels stay true: mirror images occur only with the kind `flip`.
"""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

# Sets of centred characters on an even ground.
_CHARACTERS = (
  "mnist5k",
  "mnist",
  "emnist",
  "kmnist",
  "binarized_mnist",
  "mnist_corrupted",
)
# The kind `affine`: degrees, relative scale, degrees, share of the side.
_ROTATION = 8.0
_SCALE = 0.08
_SHEAR = 5.0
_SHIFT = 1 / 28
# The kinds `weak` and `flip`: share of the side, relative contrast, brightness
# of a range of 1.
_WEAK_SHIFT = 0.04
_WEAK_CONTRAST = 0.1
_WEAK_BRIGHTNESS = 0.05


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


# Strengths of `classical`, from weak to strong.
STRENGTHS = {
  "none": Strength(0.0, 0.0, 0.0, 0.0, 0.0),
  "light": Strength(0.04, 5.0, 0.05, 0.05, 0.02),
  "medium": Strength(0.07, 10.0, 0.1, 0.1, 0.05),
  "strong": Strength(0.1, 15.0, 0.15, 0.2, 0.1),
}


def resolve_augment(choice: str, dataset: str) -> str:
  """Returns the kind of augmentation that `--augment` means for a data set.

  `auto` is `affine` for sets of centred digits and letters on black (mnist5k,
  and TFDS's mnist, emnist, ...), and `weak` for all others.

  Args:
    choice: value of `--augment`.
    dataset: value of `--dataset`.
  """
  if choice != "auto":
    return choice
  base = dataset.partition("/")[0].partition(":")[0]
  return "affine" if base in _CHARACTERS else "weak"


def augment(
  key: Key[Array, ""], images: Float[Array, "b h w c"], kind: str
) -> Float[Array, "b h w c"]:
  """Changes each image at random.

  Image i depends on its pixels, on `key` and on i, never on other images.

  Args:
    key: random key of the batch.
    images: pixels in [0, 1].
    kind: `none`; `affine`, which rotates, scales, shears and shifts, with black
      outside; `weak`, which shifts a little with repeated edges, and changes
      contrast and brightness; `flip`, which is weak and mirrors with
      probability 1/2.

  Returns:
    Images of the same shape and type, in [0, 1].

  Raises:
    ValueError: for another kind.
  """
  return augment_each(jax.random.split(key, images.shape[0]), images, kind)


def augment_each(
  keys: Key[Array, " b"], images: Float[Array, "b h w c"], kind: str
) -> Float[Array, "b h w c"]:
  """Does the same as `augment`, but with one key for each image."""
  if kind == "none":
    return images
  if kind not in _CHANGES:
    kinds = ", ".join(("none", *_CHANGES))
    raise ValueError(f"augment {kind!r} is not one of {kinds}")
  return jax.vmap(_CHANGES[kind])(keys, images)


def classical(
  key: Key[Array, ""],
  images: Float[Array, "b h w c"],
  magnitudes: Float[Array, "b 5"],
) -> Float[Array, "b h w c"]:
  """Changes each image at random, up to its own strength.

  Image i depends on its pixels, its strength, `key` and i. Beyond the border
  of an image, its border is repeated. A strength is an array and not a program,
  so one compiled training step serves batches of images of many strengths.

  Args:
    key: random key of the batch.
    images: pixels in [0, 1].
    magnitudes: a `Strength` for each image; zeros leave the image unchanged.

  Returns:
    Images of the same shape and type, in [0, 1].
  """
  keys = jax.random.split(key, images.shape[0])
  return jax.vmap(_classical)(keys, images, magnitudes)


def _affine(key, image):
  angle, scale_x, scale_y, shear, shift_y, shift_x = jax.random.uniform(
    key, (6,), minval=-1.0, maxval=1.0
  )
  height, width, _ = image.shape
  shear = jnp.tan(shear * math.radians(_SHEAR))
  stretch = jnp.array(
    [
      [1 / (1 + _SCALE * scale_y), 0.0],
      [shear, 1 / (1 + _SCALE * scale_x)],
    ]
  )
  shift = _SHIFT * jnp.array([shift_y * height, shift_x * width])
  rotation = _rotation(angle * math.radians(_ROTATION))
  return warp(image, rotation @ stretch, shift, outside="zero")


def _weak(key, image, flip):
  shift_key, tone_key, flip_key = jax.random.split(key, 3)
  height, width, _ = image.shape
  side = jnp.array([height, width], image.dtype)
  shift = side * jax.random.uniform(
    shift_key, (2,), minval=-_WEAK_SHIFT, maxval=_WEAK_SHIFT
  )
  image = warp(image, jnp.eye(2), shift, outside="edge")
  contrast, brightness = jax.random.uniform(
    tone_key, (2,), minval=-1.0, maxval=1.0
  )
  mean = image.mean()
  image = mean + (image - mean) * (1 + _WEAK_CONTRAST * contrast)
  image = jnp.clip(image + _WEAK_BRIGHTNESS * brightness, 0, 1)
  if flip:
    mirrored = jax.random.bernoulli(flip_key)
    image = jnp.where(mirrored, image[:, ::-1], image)
  return image


# Functions of a key and an image, by the kinds of `--augment`.
_CHANGES = {
  "affine": _affine,
  "weak": partial(_weak, flip=False),
  "flip": partial(_weak, flip=True),
}


def _classical(key, image, magnitudes):
  strength = Strength(*magnitudes)
  place_key, amount_key, noise_key = jax.random.split(key, 3)
  down, right, turn, size, crop_down, crop_right = jax.random.uniform(
    place_key, (6,), minval=-1.0, maxval=1.0
  )
  cut, loud = jax.random.uniform(amount_key, (2,))
  rest = 1 - strength.crop * cut
  # The rest of a crop is enlarged by `1 / rest`, and its centre may be
  # `(1 - rest) / 2` of the side away from that of the image.
  room = (1 - rest) / (2 * rest)
  share = strength.shift * jnp.array([down, right]) + room * jnp.array(
    [crop_down, crop_right]
  )
  height, width, _ = image.shape
  image = warp(
    image,
    _rotation(turn * strength.rotation * (math.pi / 180))
    * (rest / (1 + strength.scale * size)),
    share * jnp.array([height, width], image.dtype),
    outside="edge",
  )
  noise = jax.random.normal(noise_key, image.shape, image.dtype)
  return jnp.clip(image + strength.noise * loud * noise, 0, 1)


def _rotation(angle):
  return jnp.array(
    [
      [jnp.cos(angle), -jnp.sin(angle)],
      [jnp.sin(angle), jnp.cos(angle)],
    ]
  )


def warp(
  image: Float[Array, "h w c"],
  matrix: Float[Array, "2 2"],
  shift: Float[Array, "2"],
  outside: str,
) -> Float[Array, "h w c"]:
  """Bilinear samples of an image under an affine map about its centre.

  Pixel p of the result, counted from the centre as (y, x), is the image at
  `matrix @ (p - shift)`: a shift of (1, 0) moves the picture one pixel down.

  Args:
    image: image to sample.
    matrix: matrix of the inverse map.
    shift: shift of the picture in pixels, down and to the right.
    outside: `zero`, black beyond the border, or `edge`, the nearest pixel.
  """
  height, width, channels = image.shape
  y, x = jnp.meshgrid(
    jnp.arange(height) - (height - 1) / 2,
    jnp.arange(width) - (width - 1) / 2,
    indexing="ij",
  )
  y, x = y - shift[0], x - shift[1]
  rows = matrix[0, 0] * y + matrix[0, 1] * x + (height - 1) / 2
  columns = matrix[1, 0] * y + matrix[1, 1] * x + (width - 1) / 2
  top, left = jnp.floor(rows), jnp.floor(columns)
  down, right = rows - top, columns - left
  pixels = image.reshape(height * width, channels)
  total = jnp.zeros_like(image)
  for step_y, weight_y in ((0, 1 - down), (1, down)):
    for step_x, weight_x in ((0, 1 - right), (1, right)):
      row = top.astype(jnp.int32) + step_y
      column = left.astype(jnp.int32) + step_x
      weight = weight_y * weight_x
      if outside == "zero":
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        weight = jnp.where(inside, weight, 0)
      place = jnp.clip(row, 0, height - 1) * width + jnp.clip(
        column, 0, width - 1
      )
      total += weight[..., None].astype(image.dtype) * pixels[place]
  return total
