"""The task of the autoencoders: least loss, or largest evidence lower bound."""

import jax
import jax.numpy as jnp
import numpy as np

from vqvae_jax.generators import likelihoods
from vqvae_jax.generators import metrics as image_metrics
from vqvae_jax.generators.autoencoder.network import (
  kl_nats,
  reparameterize,
)
from vqvae_jax.generators.vectors import VectorTask, averages
from vqvae_jax.pixels import to_float


class AutoencoderTask(VectorTask):
  """Trains an `Autoencoder`; see `state.Task`.

  The loss is the negative log-likelihood, of a variational one plus `beta`
  times the divergence, in nats, over the image's numbers. So learning rates fit
  images of any size, and what is best does not change.
  """

  selects = True

  def init(self, key, batch):
    images = jnp.zeros((1, *self.model.image_shape))
    variables = self.model.init(key, images, batch["label"][:1])
    # Runs on disk have this collection, which is empty.
    return {"codebook": {}, **variables}

  def loss(self, params, collections, inputs, key):
    del collections
    by_image, _ = self._measure(params, inputs, key)
    metrics = jax.tree.map(jnp.mean, by_image)
    return metrics["loss"], (metrics, ())

  def evaluate(self, variables, frozen, batch):
    del frozen
    inputs = batch | {"image": to_float(batch["image"], self._float)}
    # The noise is the same at every evaluation, so that they are comparable.
    by_image, mean = self._measure(
      variables["params"], inputs, jax.random.key(0)
    )
    pixels = self.model.apply(variables, mean, batch["label"], method="pixels")
    by_image["mse"] = image_metrics.squared_error(inputs["image"], pixels)
    mask = batch["mask"]
    return {
      "count": mask.sum(),
      **{name: (value * mask).sum() for name, value in by_image.items()},
    }

  def summarize(self, sums):
    return averages(sums)

  def _measure(self, params, inputs, key):
    """Returns the loss and its terms of each image, and the latents' means."""
    images, labels = inputs["image"], inputs["label"]
    variables = {"params": params}
    mean, log_variance = self.model.apply(
      variables, images, labels, method="encode"
    )
    latents = mean
    if self.model.variational:
      latents = reparameterize(key, mean, log_variance)
    outputs = self.model.apply(variables, latents, labels, method="decode")
    likelihood = likelihoods.log_likelihood(
      self.settings.likelihood, outputs, images, self.settings.pixel_std
    )
    numbers = np.prod(self.model.image_shape)
    terms = {"reconstruction_nats": -likelihood}
    if not self.model.variational:
      return {"loss": -likelihood / numbers, **terms}, mean
    kl = kl_nats(mean, log_variance)
    beta = 1.0 if self.settings.beta is None else self.settings.beta
    loss = (beta * kl - likelihood) / numbers
    terms |= {"kl_nats": kl, "elbo_nats": likelihood - kl}
    return {"loss": loss, **terms}, mean
