"""What the images of a job are made of by a baseline; see `modes`.

prior        latents drawn, decoded: of a VAE from its prior, of an autoencoder
             from a Gaussian for each class, fitted to the latents of training
             images; of a DCGAN, noise
walk         a training image, moved by a random walk over a VAE's latents
reconstruct  a validation image, and what the autoencoder makes of it
"""

import numpy as np

from vqvae_jax.config import SampleConfig
from vqvae_jax.errors import ConfigError
from vqvae_jax.generation.baseline import STEP_SIZE, WALK_STEPS, BaselineModel
from vqvae_jax.generation.labels import labels_of
from vqvae_jax.generation.plan import Plan, Sources, run_images
from vqvae_jax.training.pictures import to_uint8


def plan_baseline(config: SampleConfig, model: BaselineModel) -> Plan:
  """The plan of a job; see `modes.make_plan`.

  Raises:
    UserError: if a setting does not fit the run, or the images that a mode
      starts from are not to be had.
  """
  _check_flags(config, model)
  weights = {"weights": {"baseline": model.digest}}
  if config.mode == "reconstruct":
    return _reconstruct(config, model, weights)
  labels = labels_of(config.labels, np.arange(config.num_images), model.spec)
  if config.mode == "walk":
    make_block, settings = _walk(config, model, labels)
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

  return make_block, settings


def _reconstruct(config, model, weights):
  model.need_encoder("--mode reconstruct")
  validation = run_images(model.config, model.spec, "validation")
  height, width, channels = model.spec.image_shape

  def make_block(numbers, labels):
    """Originals, each with its reconstruction to its right."""
    del labels
    rows = validation.gather(np.minimum(numbers, len(validation) - 1))
    others = to_uint8(model.reconstruct(rows["image"], rows["label"]))
    return np.concatenate([rows["image"], others], axis=2)

  return Plan(
    validation.labels[: config.num_images],
    (height, 2 * width, channels),
    make_block,
    weights,
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
