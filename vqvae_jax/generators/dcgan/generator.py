"""The DCGAN as a generator."""

from vqvae_jax.generators import modes
from vqvae_jax.generators.dcgan.network import DCGAN
from vqvae_jax.generators.dcgan.task import AdversarialTask
from vqvae_jax.generators.vectors import VectorGenerator


class DCGANGenerator(VectorGenerator):
  """A DCGAN, whose latents are noise."""

  modes = {"prior": modes.prior}
  has_encoder = False
  needs_labels = True
  task = AdversarialTask

  def build(self):
    return DCGAN(**self.network_settings)

  def decode(self, variables, latents, labels):
    return self.network.apply(variables, latents, labels, method="generate")
