"""Checks of settings and images before a study trains anything."""

from vqvae_jax.config import StudyConfig
from vqvae_jax.config.generators import stages_of
from vqvae_jax.data import check_test_split
from vqvae_jax.errors import ConfigError
from vqvae_jax.generators import build
from vqvae_jax.sharding import check_batch, make_mesh
from vqvae_jax.study import quality
from vqvae_jax.study.arms import Arm, GeneratorSpec
from vqvae_jax.study.crossfit import folds
from vqvae_jax.study.fitting import CLASSIFIERS
from vqvae_jax.study.parts import batch_counts
from vqvae_jax.study.seed import Seed

# The classifiers halve the sides of images twice.
SMALLEST_SIDE = 4


def check_seed(config: StudyConfig, seed: Seed) -> None:
  """Checks settings and data of one seed; nothing is trained or written.

  Raises:
    UserError: if a setting or the data cannot work; the message names it.
  """
  spec = seed.spec
  generators = [GeneratorSpec.parse(name) for name in config.generators]
  for generator in generators:
    _check_model(config, seed, generator.model)
  if seed.num_classes < 2:
    raise ConfigError(
      f"{spec.name} has {seed.num_classes} class, and a classifier needs two "
      "or more"
    )
  height, width, _ = spec.image_shape
  if min(height, width) < SMALLEST_SIDE:
    raise ConfigError(
      f"images of {width}x{height} pixels are too small for the classifiers; "
      f"--image-size={SMALLEST_SIDE} or more makes them larger"
    )
  counts = {
    "training": len(seed.real),
    "validation": len(seed.held_out),
    "generated": config.num_synthetic,
  }
  for name, count in counts.items():
    if count <= quality.NEIGHBOURS:
      raise ConfigError(
        f"{count} {name} images are too few: sets are compared by the "
        f"{quality.NEIGHBOURS} nearest neighbours of each image, so a study "
        "needs more than that"
      )
  for share in config.real_shares:
    arm = Arm(generator=generators[0], real_share=share)
    parts = arm.parts(seed.real, seed.held_out, repeated=0)
    for classifier in config.classifiers:
      batch_counts(parts, CLASSIFIERS[classifier].batch_size)
  groups = seed.data["train"].groups
  folds(seed.real.labels, seed=seed.number, groups=groups)


def check_test_images(config: StudyConfig, seed: Seed) -> None:
  """Checks that the test images can be read.

  Otherwise a broken image would stop the study after all training.

  Raises:
    DataError: if an image cannot be read; the message names it.
  """
  check_test_split(config.run_config(seed.number, ""), seed.spec)


def _check_model(config, seed, model):
  run = config.run_config(seed.number, "", model)
  # This refuses images that the network cannot take.
  build(run, seed.spec)
  mesh = make_mesh()
  for name in stages_of(model):
    stage = getattr(run, name)
    batch_size = stage.batch_size or run.batch_size
    check_batch("batch_size", batch_size, stage.accumulate, mesh)
