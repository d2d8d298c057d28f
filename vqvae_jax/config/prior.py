"""The settings of the prior."""

import dataclasses
from typing import ClassVar, Literal

from vqvae_jax.config.fields import setting
from vqvae_jax.config.stage import StageConfig
from vqvae_jax.errors import ConfigError

Kind = Literal["transformer", "pixelcnn", "maskgit"]


@dataclasses.dataclass(frozen=True)
class PriorConfig(StageConfig):
  """The class-conditional model of the ids."""

  PREFIX: ClassVar[str] = "prior."
  HEADING: ClassVar[str] = "the class-conditional model of the ids"

  # The model of the ids: transformer (draws one id after the other), pixelcnn
  # (does the same with masked convolutions) or maskgit (a transformer that
  # draws many ids at once and has no likelihood).
  kind: Kind = "transformer"
  steps: int = 2000
  learning_rate: float = 3e-3
  warmup_steps: int = 100
  patience: int = 5
  # The number of transformer blocks, or of gated layers of pixelcnn.
  layers: int = setting(4, "[1, 1000]")
  # The number of channels of the residual stream, or of each stack of pixelcnn.
  width: int = setting(128, "[1, 16384]")
  # The number of attention heads, which must divide the width.
  heads: int = setting(
    4, "[1, 1024]", only={"kind": ("transformer", "maskgit")}
  )
  # The number of ids across which a convolution reaches; it must be odd.
  kernel: int = setting(3, "[1, 255]", only={"kind": ("pixelcnn",)})
  # The dropout rate.
  dropout: float = setting(0.05, "[0, 1)")
  # The share of labels that are dropped in training, so that --guidance of
  # sample.py can use the difference that the class makes.
  label_dropout: float = setting(0.1, "[0, 1)")

  def check_together(self):
    super().check_together()
    if self.kernel % 2 == 0:
      raise ConfigError(f"--prior.kernel {self.kernel} is not odd")
    if self.kind != "pixelcnn" and self.width % self.heads:
      raise ConfigError(
        f"--prior.width {self.width} is not divisible by "
        f"--prior.heads {self.heads}"
      )
