"""The one stage of a baseline: autoencoder, VAE, beta-VAE or DCGAN."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree
from numpy.typing import DTypeLike

from vqvae_jax.config import Config
from vqvae_jax.data import DataSpec
from vqvae_jax.data.augment import augment
from vqvae_jax.generators import likelihoods
from vqvae_jax.generators import metrics as image_metrics
from vqvae_jax.generators.autoencoder.network import (
  Autoencoder,
  coarsest_stride,
  kl_nats,
  reparameterize,
)
from vqvae_jax.generators.dcgan.network import DCGAN, adversarial
from vqvae_jax.pixels import to_float


def build_baseline(
  config: Config, spec: DataSpec, dtype: DTypeLike | None = None
) -> Autoencoder | DCGAN:
  """The network of `config.model` for a run's images.

  Raises:
    ConfigError: if it cannot take images of their size.
  """
  baseline = config.baseline
  net = {
    "image_shape": tuple(spec.image_shape),
    "stride": coarsest_stride(*spec.image_shape[:2]),
    "latent_dim": baseline.latent_dim,
    "hidden": baseline.hidden,
    "num_classes": spec.num_classes,
    "dtype": dtype or jnp.dtype(config.dtype),
  }
  if config.model == "dcgan":
    return DCGAN(**net)
  return Autoencoder(
    **net,
    variational=config.model != "ae",
    likelihood=baseline.likelihood,
  )


def init_baseline(model: Autoencoder | DCGAN, key: Array) -> PyTree:
  """First variables, as the state keeps them."""
  labels = jnp.zeros(1, jnp.int32)
  if isinstance(model, DCGAN):
    variables = model.init(key, jnp.zeros((1, model.latent_dim)), labels)
    statistics = variables["batch_stats"]
  else:
    variables = model.init(key, jnp.zeros((1, *model.image_shape)), labels)
    statistics = {}
  return {"params": variables["params"], "codebook": statistics}


def baseline_task(
  config: Config, spec: DataSpec, dtype: DTypeLike | None = None
) -> "AutoencoderTask | AdversarialTask":
  """The task that trains `config.model`."""
  kind = AdversarialTask if config.model == "dcgan" else AutoencoderTask
  return kind(config, spec, dtype)


class _BaselineTask:
  """What the two kinds have in common; see `state.Task`."""

  frozen = ()

  def __init__(
    self, config: Config, spec: DataSpec, dtype: DTypeLike | None = None
  ):
    self.model = build_baseline(config, spec, dtype)
    self._config = config.baseline.resolve(config.model)
    self._augment = spec.augment
    self._float = jnp.promote_types(self.model.dtype, jnp.float32)

  def init(self, key, batch):
    del batch
    return init_baseline(self.model, key)

  def prepare(self, frozen, batch, key):
    del frozen
    images = to_float(batch["image"], self._float)
    return {
      "image": augment(key, images, self._augment),
      "label": batch["label"],
    }

  def warning(self, sums):
    del sums


class AutoencoderTask(_BaselineTask):
  """Trains an `Autoencoder`: least loss, or largest evidence lower bound.

  The loss is the negative log-likelihood, of a variational one plus `beta`
  times the divergence, in nats, over the image's numbers. So learning rates fit
  images of any size, and what is best does not change.
  """

  selects = True

  def loss(self, params, codebook, inputs, key):
    del codebook
    by_image, _ = self._measure(params, inputs, key)
    metrics = jax.tree.map(jnp.mean, by_image)
    return metrics["loss"], (metrics, ())

  def update_codes(self, variables, arrays, key):
    del arrays, key
    return variables

  def evaluate(self, variables, frozen, batch):
    del frozen
    inputs = batch | {"image": to_float(batch["image"], self._float)}
    # The same noise at every evaluation, so that they compare.
    by_image, mean = self._measure(
      variables["params"], inputs, jax.random.key(0)
    )
    pixels = self.model.apply(
      {"params": variables["params"]}, mean, batch["label"], method="pixels"
    )
    by_image["mse"] = image_metrics.squared_error(inputs["image"], pixels)
    mask = batch["mask"]
    return {
      "count": mask.sum(),
      **{name: (value * mask).sum() for name, value in by_image.items()},
    }

  def summarize(self, sums):
    return {
      name: value / sums["count"]
      for name, value in sums.items()
      if name != "count"
    }

  def _measure(self, params, inputs, key):
    """Loss and its terms of each image; the means of the latents."""
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
      self._config.likelihood, outputs, images, self._config.pixel_std
    )
    numbers = np.prod(self.model.image_shape)
    terms = {"reconstruction_nats": -likelihood}
    if not self.model.variational:
      return {"loss": -likelihood / numbers, **terms}, mean
    kl = kl_nats(mean, log_variance)
    beta = 1.0 if self._config.beta is None else self._config.beta
    loss = (beta * kl - likelihood) / numbers
    terms |= {"kl_nats": kl, "elbo_nats": likelihood - kl}
    return {"loss": loss, **terms}, mean


class AdversarialTask(_BaselineTask):
  """Trains a `DCGAN`: one step for both networks at once.

  Labels of generated images are those of the real ones beside them. The running
  statistics of batch normalisation take the place of the codebook's; with
  several micro-batches in a step, each is normalised by its own statistics.
  """

  selects = False

  def loss(self, params, codebook, inputs, key):
    out = self._play(params, codebook, inputs, key)
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

  def update_codes(self, variables, arrays, key):
    del key
    statistics = jax.tree.map(lambda x: x.mean(axis=0), arrays)
    return {**variables, "codebook": statistics}

  def evaluate(self, variables, frozen, batch):
    """What the discriminator says of images that it has not learnt from."""
    del frozen
    images = to_float(batch["image"], self._float)
    labels, mask = batch["label"], batch["mask"]
    ready = as_applied(variables)
    # The same noise at every evaluation, so that they compare.
    noise = self._noise(jax.random.key(0), labels)
    fakes = self.model.apply(ready, noise, labels, method="generate")
    logits = {
      "real": self.model.apply(ready, images, labels, method="discriminate"),
      "fake": self.model.apply(ready, fakes, labels, method="discriminate"),
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
    metrics = {
      name: value / sums["count"]
      for name, value in sums.items()
      if name != "count"
    }
    loss = metrics["generator_loss"] + metrics["discriminator_loss"]
    return {"loss": loss, **metrics}

  def _noise(self, key, labels):
    shape = len(labels), self.model.latent_dim
    return jax.random.normal(key, shape, self._float)

  def _play(self, params, statistics, inputs, key):
    labels = inputs["label"]
    noise = self._noise(key, labels)
    return adversarial(
      self.model, params, statistics, inputs["image"], labels, noise
    )


def as_applied(variables: PyTree) -> PyTree:
  """The state's variables as Flax's batch normalisation wants them."""
  return {
    "params": variables["params"],
    "batch_stats": variables["codebook"],
  }
