"""The generators that can be chosen, and the stages that each consists of.

This is the only list of them that settings, flags and checks use.
"""

from typing import Literal

Model = Literal["vqvae", "ae", "vae", "beta_vae", "dcgan"]

# Each stage is a group of settings, a folder of checkpoints and a prefix of
# metrics.
STAGES: dict[str, tuple[str, ...]] = {
  "vqvae": ("tokenizer", "prior"),
  "ae": ("baseline",),
  "vae": ("baseline",),
  "beta_vae": ("baseline",),
  "dcgan": ("baseline",),
}


def stage_names() -> tuple[str, ...]:
  """Returns the names of all stages."""
  return tuple(
    dict.fromkeys(name for names in STAGES.values() for name in names)
  )


def models_with(stage: str) -> tuple[str, ...]:
  """Returns the models that have a stage."""
  return tuple(model for model, names in STAGES.items() if stage in names)
