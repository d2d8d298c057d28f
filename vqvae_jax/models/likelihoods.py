"""Likelihoods of a pixel: what the decoder's output means.

Images are float in [0, 1]. Each loss is a mean over all pixels of the negative
log-likelihood, less the terms that no parameter changes.
"""

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float


def reconstruction_loss(
  kind: str,
  outputs: Float[Array, "*b h w c"],
  images: Float[Array, "*b h w c"],
  variance: float,
) -> Float[Array, "*b"]:
  """Loss of each image under the likelihood `kind`.

  Args:
    kind: "gaussian": squared error over twice the data's variance, times two,
      so that 1 is the error of a constant image. "laplace": absolute error
      over the data's standard deviation. "bernoulli": cross entropy in nats,
      the outputs being logits and the images probabilities.
    outputs: of the decoder.
    images: in [0, 1].
    variance: of the training pixels.
  """
  axes = (-3, -2, -1)
  if kind == "gaussian":
    error = (outputs - (images - 0.5)) ** 2 / variance
  elif kind == "laplace":
    error = jnp.abs(outputs - (images - 0.5)) / variance**0.5
  elif kind == "bernoulli":
    error = nn.softplus(outputs) - images * outputs
  else:
    raise ValueError(f"likelihood {kind!r} is unknown")
  return error.mean(axes)


def to_pixels(
  kind: str, outputs: Float[Array, "*b h w c"]
) -> Float[Array, "*b h w c"]:
  """The image that the decoder's output stands for: its mean, in [0, 1]."""
  if kind == "bernoulli":
    return nn.sigmoid(outputs)
  return jnp.clip(outputs + 0.5, 0, 1)
