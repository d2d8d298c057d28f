"""Likelihoods of a pixel: what the decoder's output means.

Images are float in [0, 1]. Each loss is a mean over all pixels of the negative
log-likelihood, without the terms that no parameter changes; `log_likelihood` is
the whole sum.
"""

import math

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float


def reconstruction_loss(
  kind: str,
  outputs: Float[Array, "*b h w c"],
  images: Float[Array, "*b h w c"],
  variance: float,
) -> Float[Array, "*b"]:
  """Returns the loss of each image under a likelihood.

  Args:
    kind: "gaussian": squared error over twice the data's variance, times two,
      so that 1 is the error of a constant image. "laplace": absolute error
      over the data's standard deviation. "bernoulli": cross entropy in nats,
      the outputs being logits and the images probabilities.
    outputs: outputs of the decoder.
    images: images in [0, 1].
    variance: variance of the training pixels.
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


def log_likelihood(
  kind: str,
  outputs: Float[Array, "*b h w c"],
  images: Float[Array, "*b h w c"],
  pixel_std: float,
) -> Float[Array, "*b"]:
  """Returns the log-likelihood of each image in nats, summed over pixels.

  Args:
    kind: "gaussian": the log-density of N(outputs + 0.5, pixel_std^2), with
      its constant. "bernoulli": minus the cross entropy, the outputs being
      logits and the images probabilities. That is a log-probability for black
      and white pixels only; for grey ones the density is not normalised
      (Loaiza-Ganem and Cunningham 2019, arXiv 1907.06845).
    outputs: outputs of the decoder.
    images: images in [0, 1].
    pixel_std: standard deviation of the gaussian.
  """
  axes = (-3, -2, -1)
  if kind == "gaussian":
    error = (images - 0.5 - outputs) / pixel_std
    constant = math.log(pixel_std) + 0.5 * math.log(2 * math.pi)
    return (-0.5 * error**2 - constant).sum(axes)
  if kind == "bernoulli":
    return (images * outputs - nn.softplus(outputs)).sum(axes)
  raise ValueError(f"likelihood {kind!r} has no log-likelihood")


def to_pixels(
  kind: str, outputs: Float[Array, "*b h w c"]
) -> Float[Array, "*b h w c"]:
  """Returns the image that the decoder's output means, in [0, 1]."""
  if kind == "bernoulli":
    return nn.sigmoid(outputs)
  return jnp.clip(outputs + 0.5, 0, 1)
