"""What each stage draws of its best variables after an evaluation."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from vqvae_jax.config import Config
from vqvae_jax.data import Data, DataSpec
from vqvae_jax.models.autoencoder import class_gaussians
from vqvae_jax.models.dcgan import DCGAN
from vqvae_jax.priors import sample
from vqvae_jax.training import pictures
from vqvae_jax.training.baseline import (
  AdversarialTask,
  AutoencoderTask,
  as_applied,
)
from vqvae_jax.training.loop import Pictures
from vqvae_jax.training.prior import PriorTask, default_guidance
from vqvae_jax.training.tokenizer import TokenizerTask, to_float

PICTURED = 32
SAMPLES_PER_CLASS = 8
MAX_CLASSES_PICTURED = 16
# Training images of a class that a plain autoencoder's Gaussians are fitted to.
FITTED = 64


def tokenizer_pictures(task: TokenizerTask, data: Data) -> Pictures:
  """Reconstructions of validation images, and the usage of the codes."""
  split = data["validation"]
  originals = split.gather(np.arange(min(PICTURED, len(split))))["image"]

  @jax.jit
  def reconstruct(variables, images):
    ids = task.model.apply(variables, images, method="encode")
    return task.model.apply(variables, ids, method="decode")

  def draw(variables, sums):
    others = reconstruct(variables, to_float(jnp.asarray(originals)))
    return {
      "reconstructions": pictures.pairs(
        originals, pictures.to_uint8(jax.device_get(others)), columns=16
      ),
      "codebook_usage": pictures.usage_plot(sums["codes"]),
    }

  return draw


def prior_pictures(task: PriorTask, config: Config, spec: DataSpec) -> Pictures:
  """Samples, a row for each class."""
  classes = min(spec.num_classes, MAX_CLASSES_PICTURED)
  labels = np.repeat(np.arange(classes, dtype=np.int32), SAMPLES_PER_CLASS)
  keys = jax.vmap(lambda n: jax.random.fold_in(jax.random.key(0), n))(
    jnp.arange(len(labels))
  )

  @jax.jit
  def draw_samples(variables, tokenizer_variables):
    ids = sample(
      task.model,
      variables["params"],
      keys,
      jnp.asarray(labels),
      guidance=default_guidance(config, spec) or None,
    )
    ids = ids.reshape(-1, *task.model.grid)
    return task.tokenizer.apply(tokenizer_variables, ids, method="decode")

  def draw(variables, sums):
    del sums
    images = draw_samples(variables, task.frozen)
    return {
      "samples": pictures.grid(
        pictures.to_uint8(jax.device_get(images)), SAMPLES_PER_CLASS
      )
    }

  return draw


def baseline_pictures(
  task: AutoencoderTask | AdversarialTask, data: Data
) -> Pictures:
  """Draws samples, a row for each class, and reconstructions if there are."""
  spec, model = data.spec, task.model
  classes = min(spec.num_classes, MAX_CLASSES_PICTURED)
  labels = np.repeat(np.arange(classes, dtype=np.int32), SAMPLES_PER_CLASS)
  noise = jax.random.normal(jax.random.key(0), (len(labels), model.latent_dim))

  @jax.jit
  def samples(variables, latents):
    if isinstance(model, DCGAN):
      return model.apply(
        as_applied(variables), latents, labels, method="generate"
      )
    return model.apply(
      {"params": variables["params"]}, latents, labels, method="pixels"
    )

  @jax.jit
  def encode(variables, images, labels):
    return model.apply(
      {"params": variables["params"]}, images, labels, method="encode"
    )[0]

  @jax.jit
  def reconstruct(variables, images, labels):
    latents = encode(variables, images, labels)
    return model.apply(
      {"params": variables["params"]}, latents, labels, method="pixels"
    )

  def latents_of(variables) -> Float[np.ndarray, "n d"]:
    """Latents to decode: noise, but of a plain autoencoder."""
    if isinstance(model, DCGAN) or model.variational:
      return noise
    train = data["train"]
    rows = [
      np.flatnonzero(train.labels == label)[:FITTED] for label in range(classes)
    ]
    batch = train.gather(np.concatenate(rows))
    found = encode(variables, to_float(batch["image"]), batch["label"])
    means, factors = class_gaussians(found, batch["label"], classes)
    drawn = np.einsum("nij,nj->ni", factors[labels], np.asarray(noise))
    return (means[labels] + drawn).astype(np.float32)

  validation = data["validation"]
  shown = validation.gather(np.arange(min(PICTURED, len(validation))))

  def draw(variables, sums):
    del sums
    made = samples(variables, latents_of(variables))
    drawn = {
      "samples": pictures.grid(
        pictures.to_uint8(jax.device_get(made)), SAMPLES_PER_CLASS
      )
    }
    if isinstance(model, DCGAN):
      return drawn
    others = reconstruct(
      variables, to_float(shown["image"]), jnp.asarray(shown["label"])
    )
    drawn["reconstructions"] = pictures.pairs(
      shown["image"], pictures.to_uint8(jax.device_get(others)), columns=16
    )
    return drawn

  return draw
