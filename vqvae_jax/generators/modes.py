"""The modes of a job that generators share: prior and reconstruct."""

from typing import Any

import numpy as np

from vqvae_jax.config import SampleConfig
from vqvae_jax.generators.base import SAMPLING
from vqvae_jax.generators.labels import labels_of
from vqvae_jax.generators.plan import Origins, Plan
from vqvae_jax.generators.starts import run_images
from vqvae_jax.pixels import to_uint8


def prior(trained: Any, config: SampleConfig) -> Plan:
  """Returns the plan of a job that draws new images.

  Args:
    trained: the `Trained` generator.
    config: settings of the job.

  Raises:
    UserError: if a setting is not one of the generator, or if training images
      that it needs cannot be read.
  """
  asked = {name: getattr(config, name) for name in SAMPLING}
  settings = trained.generator.sampling(asked, flags=True)
  draw = trained.sampler(**settings)
  labels = labels_of(config.labels, np.arange(config.num_images), trained.spec)

  def make_block(numbers, labels):
    return draw(config.seed, int(numbers[0]), labels)

  return Plan(
    labels,
    tuple(trained.spec.image_shape),
    make_block,
    {
      "seed": config.seed,
      "labels_as": config.labels,
      "weights": dict(trained.digests),
      **settings,
    },
  )


def reconstruct(trained: Any, config: SampleConfig) -> Plan:
  """Returns the plan of a job that encodes and decodes validation images."""
  split = run_images(trained.config, trained.spec, "validation")

  def make_block(numbers, labels):
    del labels
    batch = split.gather(np.minimum(numbers, len(split) - 1))
    return to_uint8(trained.reconstruct(batch["image"], batch["label"]))

  def rows(numbers, labels):
    del labels
    return np.asarray(numbers)[:, None]

  first = trained.generator.stages[0].name
  return Plan(
    split.labels[: config.num_images],
    tuple(trained.spec.image_shape),
    make_block,
    {"weights": {first: trained.digests[first]}},
    Origins(split, "validation", ("original",), rows),
  )
