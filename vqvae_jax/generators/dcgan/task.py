"""The task of the DCGAN: one step for both networks at once."""

import jax
import jax.numpy as jnp

from vqvae_jax.generators.dcgan.network import adversarial
from vqvae_jax.generators.vectors import VectorTask, averages
from vqvae_jax.pixels import to_float


class AdversarialTask(VectorTask):
  """Trains a `DCGAN`; see `state.Task`.

  Labels of generated images are those of the real ones beside them. The running
  statistics of batch normalisation are a collection of the state; with several
  micro-batches in a step, each is normalised by its own statistics.
  """

  selects = False

  def init(self, key, batch):
    noise = jnp.zeros((1, self.model.latent_dim))
    return self.model.init(key, noise, batch["label"][:1])

  def loss(self, params, collections, inputs, key):
    labels = inputs["label"]
    out = adversarial(
      self.model,
      params,
      collections["batch_stats"],
      inputs["image"],
      labels,
      self._noise(key, labels),
    )
    loss = out.generator_loss + out.discriminator_loss
    metrics = {
      "loss": loss,
      "generator_loss": out.generator_loss,
      "discriminator_loss": out.discriminator_loss,
      "real_taken_for_real": (out.real_logits > 0).mean(dtype=self._float),
      "fake_taken_for_real": (out.fake_logits > 0).mean(dtype=self._float),
    }
    # With an axis for the micro-batches to be joined along.
    return loss, (metrics, jax.tree.map(lambda x: x[None], out.statistics))

  def update_collections(self, variables, arrays, key):
    del key
    statistics = jax.tree.map(lambda x: x.mean(axis=0), arrays)
    return {**variables, "batch_stats": statistics}

  def evaluate(self, variables, frozen, batch):
    """Measures what the discriminator says of images that it did not learn."""
    del frozen
    images = to_float(batch["image"], self._float)
    labels, mask = batch["label"], batch["mask"]
    # The noise is the same at every evaluation, so that they are comparable.
    noise = self._noise(jax.random.key(0), labels)
    fakes = self.model.apply(variables, noise, labels, method="generate")
    logits = {
      name: self.model.apply(variables, x, labels, method="discriminate")
      for name, x in (("real", images), ("fake", fakes))
    }
    softplus = jax.nn.softplus
    return {
      "count": mask.sum(),
      "generator_loss": (softplus(-logits["fake"]) * mask).sum(),
      "discriminator_loss": (
        (softplus(-logits["real"]) + softplus(logits["fake"])) * mask
      ).sum(),
      **{
        f"{name}_taken_for_real": ((x > 0) * mask).sum()
        for name, x in logits.items()
      },
    }

  def summarize(self, sums):
    metrics = averages(sums)
    loss = metrics["generator_loss"] + metrics["discriminator_loss"]
    return {"loss": loss, **metrics}

  def _noise(self, key, labels):
    shape = len(labels), self.model.latent_dim
    return jax.random.normal(key, shape, self._float)
