"""The generators by name: the stages of each, and where its code is.

This is the line that a new generator adds (see docs/add-a-generator.md).
Settings, the run folder and `generators.GENERATORS` read it; the code is
imported when a generator is used, so settings need nothing above them.
"""

import dataclasses
from typing import Annotated


@dataclasses.dataclass(frozen=True)
class Registered:
  """What settings need to know about a generator.

  Attributes:
    stages: names of its stages in the order in which they are fitted; each is
      the name of a group of settings in `Config`.
    code: module and class of the generator, as `module:Class`.
  """

  stages: tuple[str, ...]
  code: str


REGISTERED = {
  "vqvae": Registered(
    ("tokenizer", "prior"), "vqvae_jax.generators.vqvae:VQVAEGenerator"
  ),
  "ae": Registered(
    ("baseline",), "vqvae_jax.generators.autoencoder:AutoencoderGenerator"
  ),
  "vae": Registered(
    ("baseline",), "vqvae_jax.generators.autoencoder:VAEGenerator"
  ),
  "beta_vae": Registered(
    ("baseline",), "vqvae_jax.generators.autoencoder:VAEGenerator"
  ),
  "dcgan": Registered(
    ("baseline",), "vqvae_jax.generators.dcgan:DCGANGenerator"
  ),
}

# The type of a setting that names a generator. What it may be is looked up
# when a value is checked, so a generator may be registered at any time.
GeneratorName = Annotated[str, "a name in REGISTERED"]


def stages_of(generator: str) -> tuple[str, ...]:
  """Returns the names of the stages of a generator, in their order."""
  return REGISTERED[generator].stages


def all_stages() -> tuple[str, ...]:
  """Returns the names of the stages of all generators, each once."""
  return tuple(
    dict.fromkeys(
      stage for entry in REGISTERED.values() for stage in entry.stages
    )
  )


def with_stage(stage: str) -> tuple[str, ...]:
  """Returns the names of the generators that have a stage."""
  return tuple(
    name for name, entry in REGISTERED.items() if stage in entry.stages
  )
