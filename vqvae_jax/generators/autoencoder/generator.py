"""The autoencoder, the VAE and the beta-VAE as generators."""

import jax
import jax.numpy as jnp
import numpy as np

from vqvae_jax.config import SampleConfig
from vqvae_jax.generators import modes
from vqvae_jax.generators.autoencoder.network import (
  Autoencoder,
  class_gaussians,
)
from vqvae_jax.generators.autoencoder.task import AutoencoderTask
from vqvae_jax.generators.autoencoder.walk import walk
from vqvae_jax.generators.plan import Plan
from vqvae_jax.generators.starts import Variation, plan_variation
from vqvae_jax.generators.vectors import STAGE, VectorGenerator


class AutoencoderGenerator(VectorGenerator):
  """An autoencoder, and a Gaussian for each class fitted to its latents."""

  modes = {"prior": modes.prior, "reconstruct": modes.reconstruct}
  fits_latents = True
  task = AutoencoderTask
  variational = False

  def build(self):
    return Autoencoder(
      **self.network_settings,
      variational=self.variational,
      likelihood=self.config.baseline.likelihood,
    )

  def encode(self, variables, images, labels):
    return self.network.apply(variables, images, labels, method="encode")[0]

  def decode(self, variables, latents, labels):
    return self.network.apply(variables, latents, labels, method="pixels")

  def fit(self, latents, labels):
    """Returns the mean, and a factor of the covariance, of each class."""
    fitted = class_gaussians(latents, labels, self.spec.num_classes)
    return jax.tree.map(lambda x: np.asarray(x, np.float32), fitted)

  def place(self, noise, fitted, labels):
    means, factors = fitted
    spread = jnp.einsum("bij,bj->bi", factors[labels], noise)
    return means[labels] + spread


def wander(trained, config: SampleConfig) -> Plan:
  """Returns the plan of a job whose images end random walks; see `walk`.

  Args:
    trained: the trained VAE.
    config: settings of the job.

  Raises:
    UserError: if the training images cannot be read or are too few.
  """
  settings = {
    "walk_steps": config.walk_steps,
    "step_size": config.step_size,
  }
  generator = trained.generator

  def vary(weights, keys, labels, images):
    variables = weights[STAGE]
    means = generator.encode(variables, images, labels)

    def end(image):
      start, label, key = image

      def pixels(latents):
        return generator.decode(variables, latents[None], label[None])[0]

      return pixels(walk(pixels, start, key, *settings.values()))

    # A few at a time: each holds a Jacobian.
    return jax.lax.map(end, (means, labels, keys), batch_size=16)

  variation = Variation(vary, (STAGE,), settings, augmented=False)
  return plan_variation(trained, config, variation)


class VAEGenerator(AutoencoderGenerator):
  """A VAE or a beta-VAE, whose latents are drawn from their prior."""

  modes = AutoencoderGenerator.modes | {"walk": wander}
  fits_latents = False
  needs_labels = True
  variational = True

  def place(self, noise, fitted, labels):
    return noise
