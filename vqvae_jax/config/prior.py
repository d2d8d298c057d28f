"""The settings of the prior."""

import dataclasses
from typing import ClassVar, Literal

from vqvae_jax.config import checks
from vqvae_jax.config.stage import StageConfig
from vqvae_jax.errors import ConfigError

Kind = Literal["transformer", "pixelcnn", "maskgit"]


@dataclasses.dataclass(frozen=True)
class PriorConfig(StageConfig):
  """The class-conditional model of the ids."""

  PREFIX: ClassVar[str] = "prior."

  # The model of the ids: transformer (one id after the other), pixelcnn (the
  # same by masked convolutions), maskgit (a transformer that draws many ids at
  # once, without a likelihood).
  kind: Kind = "transformer"
  # Optimizer steps in all; a finished run may be asked for more.
  steps: int = 2000
  # Peak learning rate.
  learning_rate: float = 3e-3
  # Steps over which the learning rate rises linearly from 0.
  warmup_steps: int = 100
  # Evaluations without improvement before the stage ends early; 0 is off.
  patience: int = 5
  # Transformer blocks, or gated layers.
  layers: int = 4
  # Channels of the residual stream, or of each stack.
  width: int = 128
  # Attention heads of transformer and maskgit; must divide the width.
  heads: int = 4
  # Ids that pixelcnn's convolutions reach across, odd.
  kernel: int = 3
  # Dropout rate, in [0, 1).
  dropout: float = 0.05
  # Share of labels hidden in training, in [0, 1), so that sample.py can guide
  # by the difference that the class makes.
  label_dropout: float = 0.1

  def __post_init__(self):
    super().__post_init__()
    for name in ("layers", "width", "heads", "kernel"):
      checks.at_least(self, name, 1)
    if self.kernel % 2 == 0:
      raise ConfigError(f"--prior.kernel {self.kernel} is not odd")
    # An option that would change nothing is a misunderstanding.
    if self.kernel != PriorConfig.kernel and self.kind != "pixelcnn":
      raise ConfigError(
        f"--prior.kernel {self.kernel} is for pixelcnn; --prior.kind is "
        f"{self.kind}"
      )
    if self.kind != "pixelcnn" and self.width % self.heads:
      raise ConfigError(
        f"--prior.width {self.width} is not divisible by "
        f"--prior.heads {self.heads}"
      )
    checks.in_range(self, "dropout", 0, 1)
    checks.in_range(self, "label_dropout", 0, 1)
