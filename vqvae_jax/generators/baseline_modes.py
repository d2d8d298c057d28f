"""What the images of a job are made of by a baseline; see `modes`.

prior        latents drawn, decoded: of a VAE from its prior, of an autoencoder
             from a Gaussian for each class, fitted to the latents of training
             images; of a DCGAN, noise
walk         a training image, moved by a random walk over a VAE's latents
reconstruct  a validation image, encoded and decoded
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from vqvae_jax.config import SampleConfig
from vqvae_jax.errors import ConfigError
from vqvae_jax.generators.baseline import STEP_SIZE, WALK_STEPS, BaselineModel
from vqvae_jax.generators.labels import labels_of
from vqvae_jax.generators.plan import Origins, Plan, Sources, run_images
from vqvae_jax.generators.vqvae.model import Model
from vqvae_jax.pixels import to_uint8


def plan_baseline(config: SampleConfig, model: BaselineModel) -> Plan:
  """The plan of a job; see `modes.make_plan`.

  Raises:
    UserError: if a setting does not fit the run, or the images that a mode
      starts from are not to be had.
  """
  _check_flags(config, model)
  weights = {"weights": {"baseline": model.digest}}
  if config.mode == "reconstruct":
    model.need_encoder("--mode reconstruct")
    return plan_reconstruction(config, model, model.reconstruct, weights)
  labels = labels_of(config.labels, np.arange(config.num_images), model.spec)
  origins = None
  if config.mode == "walk":
    make_block, settings, origins = _walk(config, model, labels)
  else:
    draw = model.sampler(config.temperature)
    settings = {"temperature": config.temperature}

    def make_block(numbers, labels):
      return draw(config.seed, int(numbers[0]), labels)

  return Plan(
    labels,
    model.spec.image_shape,
    make_block,
    {"seed": config.seed, "labels_as": config.labels, **weights, **settings},
    origins,
  )


def _walk(config, model, labels):
  settings = {
    "walk_steps": config.walk_steps or WALK_STEPS,
    "step_size": config.step_size or STEP_SIZE,
  }
  draw = model.walker(*settings.values())
  train = run_images(model.config, model.spec, "train")
  sources = Sources(train, model.spec, "walk", 1, labels)

  def make_block(numbers, labels):
    (images,) = sources.gather(config.seed, numbers, labels)
    return draw(config.seed, numbers, images, labels)

  return make_block, settings, sources.origins(config.seed)


def plan_reconstruction(
  config: SampleConfig,
  model: Model | BaselineModel,
  reconstruct: Callable[[np.ndarray, np.ndarray], np.ndarray],
  weights: dict[str, Any],
) -> Plan:
  """The plan of a job that encodes and decodes the validation images.

  Args:
    config: of the job.
    model: the run's.
    reconstruct: images and labels to images in [0, 1].
    weights: what goes on record of the model.
  """
  split = run_images(model.config, model.spec, "validation")

  def make_block(numbers, labels):
    del labels
    rows = split.gather(np.minimum(numbers, len(split) - 1))
    return to_uint8(reconstruct(rows["image"], rows["label"]))

  def rows(numbers, labels):
    del labels
    return np.asarray(numbers)[:, None]

  return Plan(
    split.labels[: config.num_images],
    model.spec.image_shape,
    make_block,
    weights,
    Origins(split, "validation", ("original",), rows),
  )


def _check_flags(config, model):
  """Raises `ConfigError` for what a VQ-VAE's prior alone knows."""
  this = f"this one is {model.described}"
  if config.mode in ("perturb", "mix", "inpaint"):
    raise ConfigError(
      f"--mode {config.mode} is for runs of --model=vqvae; {this}"
    )
  given = {
    "--top-k": (config.top_k, None),
    "--top-p": (config.top_p, 1.0),
    "--guidance": (config.guidance, None),
    "--decode-steps": (config.decode_steps, None),
  }
  for name, (value, default) in given.items():
    if value != default:
      raise ConfigError(
        f"{name} {value} is for the priors of --model=vqvae; {this}"
      )
