"""The settings of the prior."""

import dataclasses
from typing import ClassVar

from vqvae_jax.config import checks
from vqvae_jax.config.stage import StageConfig
from vqvae_jax.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class PriorConfig(StageConfig):
  """The class-conditional transformer over the raster of ids."""

  PREFIX: ClassVar[str] = "prior."

  # Optimizer steps in all; a finished run may be asked for more.
  steps: int = 2000
  # Peak learning rate.
  learning_rate: float = 3e-3
  # Steps over which the learning rate rises linearly from 0.
  warmup_steps: int = 100
  # Evaluations without improvement before the stage ends early; 0 is off.
  patience: int = 5
  # Transformer blocks.
  layers: int = 4
  # Channels of the residual stream.
  width: int = 128
  # Attention heads; must divide the width.
  heads: int = 4
  # Dropout rate on embeddings, attention and MLP outputs, in [0, 1).
  dropout: float = 0.05
  # Share of labels hidden in training, in [0, 1), so that sample.py can guide
  # by the difference that the class makes.
  label_dropout: float = 0.1

  def __post_init__(self):
    super().__post_init__()
    for name in ("layers", "width", "heads"):
      checks.at_least(self, name, 1)
    if self.width % self.heads:
      raise ConfigError(
        f"--prior.width {self.width} is not divisible by "
        f"--prior.heads {self.heads}"
      )
    checks.in_range(self, "dropout", 0, 1)
    checks.in_range(self, "label_dropout", 0, 1)
