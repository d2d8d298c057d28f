"""What the settings of all stages have in common."""

import dataclasses
import math
from typing import ClassVar, Literal

from vqvae_jax.config import checks

Optimizer = Literal["adam", "adamw", "sgd"]
Schedule = Literal["constant", "cosine", "exponential", "plateau"]


@dataclasses.dataclass(frozen=True)
class StageConfig:
  """What all stages have in common: the optimizer and the loop."""

  PREFIX: ClassVar[str] = ""

  # Optimizer steps in all; a finished run may be asked for more.
  steps: int = 1000
  # Images in one global batch; by default the run's --batch-size.
  batch_size: int | None = None
  # Optimizer: adam, adamw (decoupled weight decay) or sgd (with momentum).
  optimizer: Optimizer = "adamw"
  # Peak learning rate.
  learning_rate: float = 1e-3
  # Learning rate after warm-up: constant, cosine (to 0 at the last step),
  # exponential (times --decay-rate every --decay-steps), plateau (times
  # --plateau-factor when validation stops improving).
  schedule: Schedule = "cosine"
  # Steps over which the learning rate rises linearly from 0.
  warmup_steps: int = 50
  # Factor of the exponential schedule, in (0, 1].
  decay_rate: float = 0.5
  # Steps between two factors of the exponential schedule.
  decay_steps: int = 1000
  # Evaluations without improvement before the plateau schedule acts.
  plateau_patience: int = 3
  # Factor of the plateau schedule, in (0, 1).
  plateau_factor: float = 0.5
  # Weight decay of adamw, per step and unit of learning rate; matrices and
  # kernels only.
  weight_decay: float = 1e-4
  # Momentum of sgd, in [0, 1).
  momentum: float = 0.9
  # Decay of adam's and adamw's running mean of gradients, in [0, 1).
  adam_b1: float = 0.9
  # Gradients with a larger global norm are scaled down to it; 0 is off.
  clip_norm: float = 1.0
  # Micro-batches whose gradients are summed into one optimizer step.
  accumulate: int = 1
  # Decay of the running average of the weights, in [0, 1); 0 is off. Where
  # it is on, validation and sampling use the average.
  weights_ema: float = 0.0
  # Evaluations without improvement before the stage ends early; 0 is off.
  patience: int = 0
  # Steps between two lines of metrics.jsonl.
  log_every: int = 10
  # Steps between two evaluations on the validation split.
  eval_every: int = 200
  # Steps between two checkpoints.
  checkpoint_every: int = 200

  def __post_init__(self):
    checks.fields(self)
    for name in ("warmup_steps", "patience"):
      checks.at_least(self, name, 0)
    for name in (
      "steps",
      "decay_steps",
      "plateau_patience",
      "accumulate",
      "log_every",
      "eval_every",
      "checkpoint_every",
    ):
      checks.at_least(self, name, 1)
    if self.batch_size is not None:
      checks.at_least(self, "batch_size", 1)
      checks.divisible(self, self.batch_size, self.accumulate)
    # A stage may leave these two to its model.
    if self.learning_rate is not None:
      checks.positive(self, "learning_rate")
    if self.adam_b1 is not None:
      checks.in_range(self, "adam_b1", 0, 1)
    checks.in_range(self, "weight_decay", 0, math.inf)
    checks.in_range(self, "clip_norm", 0, math.inf)
    checks.in_range(self, "momentum", 0, 1)
    checks.in_range(self, "weights_ema", 0, 1)
    checks.in_range(self, "plateau_factor", 0, 1)
    checks.positive(self, "plateau_factor")
    checks.up_to_one(self, "decay_rate")
