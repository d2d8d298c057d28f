"""The autoencoder and the VAEs: one vector stands for an image.

Kingma and Welling: "Auto-encoding variational Bayes", arXiv 1312.6114, section
3; Higgins et al.: "beta-VAE", ICLR 2017, for the weight of the divergence. The
convolutions are the VQ-VAE's, without residual blocks.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Key

from vqvae_jax.generators import likelihoods
from vqvae_jax.nn import Decoder, Encoder

# Width of the class embeddings beside features and latents.
_CLASS_WIDTH = 16


class Autoencoder(nn.Module):
  """Images in [0, 1] to latents [b, d] and back.

  For images [b, 28, 28, 1] and stride 4: the encoder's features [b, 7, 7,
  hidden], flattened, a dense layer to the latents, one back to [b, 7, 7,
  hidden], and the decoder.

  A variational one is given the class at both ends, as an embedding beside the
  features and beside the latents, and encodes to a mean and a log-variance. A
  deterministic one ignores the class, and its log-variance is None.

  Attributes:
    image_shape: height, width, channels.
    stride: pixels of a position of the coarsest grid, along each side.
    latent_dim: width of the latents, d.
    hidden: channels of the coarsest grid.
    num_classes: labels are from 0 to this, exclusive.
    variational: whether it encodes to a distribution, and reads the class.
    likelihood: what the outputs mean, bernoulli or gaussian.
    dtype: type of the arithmetic; parameters and latents stay in float32.
  """

  image_shape: tuple[int, int, int]
  stride: int
  latent_dim: int
  hidden: int
  num_classes: int
  variational: bool
  likelihood: str = "bernoulli"
  dtype: DTypeLike = jnp.float32

  def setup(self):
    height, width, channels = self.image_shape
    net = {
      "hidden": self.hidden,
      "residual_layers": 0,
      "residual_hidden": 1,
      "stride": self.stride,
      "dtype": self.dtype,
    }
    self.grid = (height // self.stride, width // self.stride, self.hidden)
    self.encoder = Encoder(**net)
    self.to_mean = nn.Dense(self.latent_dim, dtype=self.dtype)
    if self.variational:
      self.to_log_variance = nn.Dense(self.latent_dim, dtype=self.dtype)
      self.encoder_class = nn.Embed(self.num_classes, _CLASS_WIDTH)
      # As large as the latents, so that the class is heard from the start.
      self.decoder_class = nn.Embed(
        self.num_classes,
        _CLASS_WIDTH,
        embedding_init=nn.initializers.normal(1.0),
      )
    self.from_latents = nn.Dense(int(np.prod(self.grid)), dtype=self.dtype)
    self.decoder = Decoder(channels=channels, **net)

  def __call__(
    self, images: Float[Array, "b h w c"], labels: Int[Array, "b"]
  ) -> Float[Array, "b h w c"]:
    """Returns the outputs for the latents' mean, by way of every parameter."""
    mean, _ = self.encode(images, labels)
    return self.decode(mean, labels)

  def encode(
    self, images: Float[Array, "b h w c"], labels: Int[Array, "b"]
  ) -> tuple[Float[Array, "b d"], Float[Array, "b d"] | None]:
    """Returns the latents' mean and log-variance, or None without one."""
    features = self.encoder(images - 0.5).reshape(len(images), -1)
    if self.variational:
      features = _beside(features, self.encoder_class(labels))
    at_least_float32 = jnp.promote_types(self.dtype, jnp.float32)
    mean = self.to_mean(features).astype(at_least_float32)
    if not self.variational:
      return mean, None
    return mean, self.to_log_variance(features).astype(at_least_float32)

  def decode(
    self, latents: Float[Array, "b d"], labels: Int[Array, "b"]
  ) -> Float[Array, "b h w c"]:
    """Returns outputs, which `likelihoods` reads."""
    if self.variational:
      latents = _beside(latents, self.decoder_class(labels))
    features = nn.relu(self.from_latents(latents))
    return self.decoder(features.reshape(-1, *self.grid))

  def pixels(
    self, latents: Float[Array, "b d"], labels: Int[Array, "b"]
  ) -> Float[Array, "b h w c"]:
    """Returns the images in [0, 1] that latents stand for."""
    return likelihoods.to_pixels(self.likelihood, self.decode(latents, labels))


def kl_nats(
  mean: Float[Array, "*b d"], log_variance: Float[Array, "*b d"]
) -> Float[Array, "*b"]:
  """Returns the divergence of N(mean, diag(variance)) from N(0, I), in nats.

  Kingma and Welling, appendix B.
  """
  terms = mean**2 + jnp.exp(log_variance) - log_variance - 1
  return 0.5 * terms.sum(-1)


def reparameterize(
  key: Key[Array, ""],
  mean: Float[Array, "b d"],
  log_variance: Float[Array, "b d"],
) -> Float[Array, "b d"]:
  """Draws from N(mean, diag(variance)), differentiable in both."""
  noise = jax.random.normal(key, mean.shape, mean.dtype)
  return mean + jnp.exp(0.5 * log_variance) * noise


def class_gaussians(
  latents: Float[np.ndarray, "n d"],
  labels: Int[np.ndarray, " n"],
  num_classes: int,
) -> tuple[Float[np.ndarray, "k d"], Float[np.ndarray, "k d d"]]:
  """Fits a Gaussian to each class: means, and factors of covariances.

  Covariances are shrunk towards a multiple of the identity (Ledoit and Wolf:
  "A well-conditioned estimator for large-dimensional covariance matrices",
  2004, section 3.2), which few images of a class need. The covariance of a
  class with one image is 0. The factors are Cholesky factors.
  """
  means, factors = [], []
  for label in range(num_classes):
    of_class = np.asarray(latents, np.float64)[labels == label]
    covariance = shrunk_covariance(of_class)
    means.append(of_class.mean(axis=0))
    # Where all latents are equal the covariance is 0, and has no factor.
    vary = np.trace(covariance) > 0
    factors.append(np.linalg.cholesky(covariance) if vary else covariance)
  return np.stack(means), np.stack(factors)


def shrunk_covariance(
  latents: Float[np.ndarray, "n d"],
) -> Float[np.ndarray, "d d"]:
  """Returns the Ledoit-Wolf estimate; see `class_gaussians`."""
  count, width = latents.shape
  latents = latents - latents.mean(axis=0)
  sample = latents.T @ latents / count
  target = np.trace(sample) / width * np.eye(width)
  distance = np.sum((sample - target) ** 2)
  error = np.sum(np.sum(latents**2, axis=1) ** 2) / count - np.sum(sample**2)
  share = min(error / count / distance, 1.0) if distance > 0 else 0.0
  return share * target + (1 - share) * sample


def _beside(features, embedded):
  return jnp.concatenate([features, embedded.astype(features.dtype)], axis=-1)
