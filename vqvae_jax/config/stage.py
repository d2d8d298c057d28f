"""The settings that all stages share."""

import dataclasses
from typing import ClassVar, Literal

from vqvae_jax.config import checks
from vqvae_jax.config.fields import Settings, setting
from vqvae_jax.errors import ConfigError

Optimizer = Literal["adam", "adamw", "sgd"]
Schedule = Literal["constant", "cosine", "exponential", "plateau"]

_EXPONENTIAL = {"schedule": ("exponential",)}
_PLATEAU = {"schedule": ("plateau",)}


@dataclasses.dataclass(frozen=True)
class StageConfig(Settings):
  """The optimizer and the loop of a stage."""

  HEADING: ClassVar[str] = "training"

  # The number of optimizer steps in all. A finished run can be trained further
  # with a larger number.
  steps: int = setting(1000, "[1, inf)")
  # The number of images in a global batch. By default it is --batch-size.
  batch_size: int | None = setting(None, "[1, 1048576]")
  # The optimizer: adam, adamw (with decoupled weight decay) or sgd (with
  # momentum).
  optimizer: Optimizer = "adamw"
  # The peak of the learning rate.
  learning_rate: float = setting(1e-3, "(0, inf)")
  # The learning rate after the warm-up: constant, cosine (falls to 0 at the
  # last step), exponential (is multiplied by the decay rate after each number
  # of decay steps) or plateau (is multiplied by the plateau factor when the
  # validation loss stops improving).
  schedule: Schedule = "cosine"
  # The number of steps over which the learning rate rises linearly from 0.
  warmup_steps: int = setting(50, "[0, inf)")
  # The factor of the exponential schedule.
  decay_rate: float = setting(0.5, "(0, 1]", only=_EXPONENTIAL)
  # The number of steps between two decays of the exponential schedule.
  decay_steps: int = setting(1000, "[1, inf)", only=_EXPONENTIAL)
  # The number of evaluations without improvement before the plateau schedule
  # lowers the learning rate.
  plateau_patience: int = setting(3, "[1, inf)", only=_PLATEAU)
  # The factor of the plateau schedule.
  plateau_factor: float = setting(0.5, "(0, 1)", only=_PLATEAU)
  # The weight decay of adamw for each step and unit of learning rate. It
  # applies to matrices and kernels only.
  weight_decay: float = setting(
    1e-4, "[0, inf)", only={"optimizer": ("adamw",)}
  )
  # The momentum of sgd.
  momentum: float = setting(0.9, "[0, 1)", only={"optimizer": ("sgd",)})
  # The decay of the running mean of gradients that adam and adamw keep.
  adam_b1: float = setting(0.9, "[0, 1)", only={"optimizer": ("adam", "adamw")})
  # Gradients with a larger global norm are scaled down to this norm; 0 turns
  # it off.
  clip_norm: float = setting(1.0, "[0, inf)")
  # The number of micro-batches whose gradients are summed into one step.
  accumulate: int = setting(1, "[1, inf)")
  # The decay of the running average of the weights, which validation and
  # sampling then use; 0 turns it off.
  weights_ema: float = setting(0.0, "[0, 1)")
  # The number of evaluations without improvement before the stage ends early; 0
  # turns it off.
  patience: int = setting(0, "[0, inf)")
  # The number of steps between two lines of metrics.jsonl.
  log_every: int = setting(10, "[1, inf)")
  # The number of steps between two evaluations on the validation split.
  eval_every: int = setting(200, "[1, inf)")
  # The number of steps between two checkpoints.
  checkpoint_every: int = setting(200, "[1, inf)")

  def check_together(self):
    super().check_together()
    if self.batch_size is not None:
      self.check_micro_batches(self.batch_size)

  def check_micro_batches(self, batch_size: int):
    """Raises `ConfigError` unless micro-batches are equally large."""
    if batch_size % self.accumulate:
      raise ConfigError(
        f"{checks.flag(self, 'batch_size')} {batch_size} is not divisible by "
        f"{checks.flag(self, 'accumulate')} {self.accumulate}"
      )
