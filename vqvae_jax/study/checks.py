"""What would fail only after hours of training is refused before the first."""

from vqvae_jax.config import StudyConfig
from vqvae_jax.data import check_test_split
from vqvae_jax.errors import ConfigError
from vqvae_jax.generators.baseline_tasks import build_baseline
from vqvae_jax.generators.vqvae.prior import build_prior
from vqvae_jax.sharding import check_batch, make_mesh
from vqvae_jax.study import gates, generators
from vqvae_jax.study.arms import Arm, parts
from vqvae_jax.study.crossfit import folds
from vqvae_jax.study.judges import JUDGES
from vqvae_jax.study.parts import batch_rows
from vqvae_jax.study.seed import Seed
from vqvae_jax.training import workdir

# The judges halve the sides of images twice.
SMALLEST_SIDE = 4


def check_seed(config: StudyConfig, seed: Seed):
  """Checks settings and data of one seed; nothing is trained or written.

  Raises:
    UserError: naming the setting or the data that will not do.
  """
  spec = seed.spec
  for generator in config.generators:
    _check_generator(config, seed, generator)
  if seed.num_classes < 2:
    raise ConfigError(
      f"{spec.name} has {seed.num_classes} class: there is nothing "
      "for a classifier to learn"
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
    if count <= gates.NEIGHBOURS:
      raise ConfigError(
        f"{count} {name} images: sets are compared by the nearest "
        f"{gates.NEIGHBOURS} of each image, so a study needs more than that"
      )
  for share in config.real_shares:
    sources = parts(
      Arm("real+"), seed.real, seed.held_out, "none", share, repeated=0
    )
    for judge in config.judges:
      batch_rows(sources, JUDGES[judge].batch_size)
  groups = seed.data["train"].groups
  folds(seed.real.labels, seed=seed.number, groups=groups)


def check_test_images(config: StudyConfig, seed: Seed):
  """Decodes the test images, and throws them away.

  A broken one would else be met after all training.

  Raises:
    DataError: naming the image that cannot be read.
  """
  check_test_split(config.run_config(seed.number, ""), seed.spec)


def _check_generator(config, seed, generator):
  model, _ = generators.split_name(generator)
  run = config.run_config(seed.number, "", model)
  build = build_prior if model == "vqvae" else build_baseline
  # Refuses what its network cannot take.
  build(run, seed.spec)
  mesh = make_mesh()
  for name in workdir.stages(model):
    stage = getattr(run, name)
    batch_size = stage.batch_size or run.batch_size
    check_batch("batch_size", batch_size, stage.accumulate, mesh)
