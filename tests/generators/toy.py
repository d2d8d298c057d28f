"""The example of docs/add-a-generator.md: class means plus noise."""

import jax
import jax.numpy as jnp

from vqvae_jax.generators import Generator, Stage, modes
from vqvae_jax.generators.arguments import checked_number, checked_vectors
from vqvae_jax.pixels import to_float


class MeansTask:
  """Learns the mean image of each class; see `training.state.Task`."""

  frozen = ()
  selects = True

  def __init__(self, spec):
    self._shape = (spec.num_classes, *spec.image_shape)

  def init(self, key, batch):
    return {
      "params": {"means": 0.5 + 0.1 * jax.random.normal(key, self._shape)}
    }

  def prepare(self, frozen, batch, key):
    return {"image": to_float(batch["image"]), "label": batch["label"]}

  def loss(self, params, collections, inputs, key):
    loss = self._errors(params, inputs).mean()
    return loss, ({"loss": loss}, ())

  def update_collections(self, variables, arrays, key):
    return variables

  def evaluate(self, variables, frozen, batch):
    errors = self._errors(variables["params"], self.prepare((), batch, None))
    return {"count": batch["mask"].sum(), "mse": (errors * batch["mask"]).sum()}

  def summarize(self, sums):
    mse = sums["mse"] / sums["count"]
    return {"loss": mse, "mse": mse}

  def warning(self, sums):
    return None

  def _errors(self, params, inputs):
    means = params["means"][inputs["label"]]
    return ((means - inputs["image"]) ** 2).mean(axis=(1, 2, 3))


class Means(Generator):
  """Draws the mean image of a class plus noise."""

  modes = {"prior": modes.prior}
  has_encoder = False
  needs_labels = True
  described = introduced = "means of classes"

  def __init__(self, config, spec):
    super().__init__(config, spec)
    task, settings = MeansTask(spec), config.baseline.resolve(config.model)
    self.latent_shape = (1,)
    self.stages = (Stage("baseline", config.model, settings, lambda _: task),)

  def check_latents(self, latents):
    return checked_vectors(latents, 1, "latents")

  def check_sampling(self, values):
    temperature = checked_number("temperature", values["temperature"])
    return {"temperature": temperature}

  def decode(self, variables, latents, labels):
    images = variables["params"]["means"][labels]
    return jnp.clip(images + 0.1 * latents[..., None, None], 0, 1)

  def draw(self, weights, fitted, keys, labels, settings):
    noise = jax.vmap(lambda key: jax.random.normal(key, (1,)))(keys)
    noise = settings["temperature"] * noise
    return self.decode(weights["baseline"], noise, labels)
