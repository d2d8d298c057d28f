"""The settings of a batch generation job, `sample.py`'s flags."""

import dataclasses
import math
from typing import ClassVar, Literal

from vqvae_jax.config import checks
from vqvae_jax.errors import ConfigError

Mode = Literal["prior", "reconstruct"]


@dataclasses.dataclass(frozen=True)
class SampleConfig:
  """Draws new labelled images from a trained run."""

  PREFIX: ClassVar[str] = ""

  # Run folder of train.py.
  workdir: str
  # Folder for images/<class>/<index>.png, manifest.json and grid.png; new or
  # empty, unless --resume.
  out: str = "out"
  # Images to write; reconstruct writes at most the validation split.
  num_images: int = 1000
  # What each image shows: balanced (all classes in turn), as-data (as often
  # as in the training images), or classes by name or number: 0,3,7.
  labels: str = "balanced"
  # prior: new images; reconstruct: validation images, each beside its
  # reconstruction by the tokenizer.
  mode: Mode = "prior"
  # Seed; image n depends on the checkpoint, the seed and n.
  seed: int = 0
  # Temperature of the ids' distribution: below 1 safer, above 1 wilder,
  # 0 the likeliest id each time.
  temperature: float = 1.0
  # Draw among the k likeliest ids only; by default all.
  top_k: int | None = None
  # Draw among the fewest ids that hold this probability, in (0, 1].
  top_p: float = 1.0
  # How far to push each image towards its class, from 0 on; doubles the
  # work where it is not 0. By default 0.3 for labelled sets.
  guidance: float | None = None
  # Images that one device makes at a time.
  batch_size: int = 250
  # Finish what an interrupted job with the same settings left undone.
  resume: bool = False

  def __post_init__(self):
    checks.choices(self)
    for name in ("num_images", "batch_size"):
      checks.at_least(self, name, 1)
    checks.at_least(self, "seed", 0)
    if self.seed >= 2**31:
      raise ConfigError(f"--seed {self.seed} is not below 2**31")
    checks.in_range(self, "temperature", 0, math.inf)
    if self.top_k is not None:
      checks.at_least(self, "top_k", 1)
    if not 0 < self.top_p <= 1:
      raise ConfigError(f"--top-p {self.top_p} is not in (0, 1]")
    if self.guidance is not None:
      checks.in_range(self, "guidance", 0, math.inf)
    if not self.labels:
      raise ConfigError("--labels is empty; try balanced")
