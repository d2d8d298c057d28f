"""The settings of a training run, `train.py`'s flags."""

import dataclasses
import math
import pathlib
import re
from typing import Any, ClassVar, Literal

from vqvae_jax.config import checks
from vqvae_jax.errors import ConfigError

MAX_DEFAULT_IDS = 256


Optimizer = Literal["adam", "adamw", "sgd"]
Schedule = Literal["constant", "cosine", "exponential", "plateau"]
Likelihood = Literal["gaussian", "laplace", "bernoulli"]
Quantizer = Literal["ema", "vq"]
Augment = Literal["auto", "none", "affine", "weak", "flip"]
Dtype = Literal["float32", "bfloat16"]
Stage = Literal["all", "tokenizer", "prior"]


@dataclasses.dataclass(frozen=True)
class StageConfig:
  """What the two stages have in common: the optimizer and the loop."""

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
    checks.positive(self, "learning_rate")
    checks.in_range(self, "weight_decay", 0, math.inf)
    checks.in_range(self, "clip_norm", 0, math.inf)
    checks.in_range(self, "momentum", 0, 1)
    checks.in_range(self, "weights_ema", 0, 1)
    checks.in_range(self, "plateau_factor", 0, 1)
    checks.positive(self, "plateau_factor")
    checks.positive(self, "decay_rate")
    if self.decay_rate > 1:
      raise ConfigError(
        f"{checks.flag(self, 'decay_rate')} {self.decay_rate} is not in (0, 1]"
      )
    checks.choices(self)


@dataclasses.dataclass(frozen=True)
class TokenizerConfig(StageConfig):
  """The VQ-VAE: images to ids and back."""

  PREFIX: ClassVar[str] = "tokenizer."

  # Optimizer steps in all; a finished run may be asked for more.
  steps: int = 1400
  # Codebook: ema (running averages of the latents, van den Oord et al. 2017,
  # appendix A.1) or vq (trained by gradient, section 3.2).
  quantizer: Quantizer = "ema"
  # Number of codes. Few are easier to learn for the prior of a small set.
  codebook_size: int = 256
  # Width of a code and of the latents.
  code_dim: int = 64
  # Pixels per id along each side, a power of two. By default 4, or what else
  # divides the image and keeps it to at most 256 ids.
  stride: int | None = None
  # Channels of the convolutions.
  hidden: int = 64
  # Residual blocks in the encoder, and as many in the decoder.
  residual_layers: int = 2
  # Channels inside a residual block.
  residual_hidden: int = 32
  # Likelihood of a pixel: gaussian (squared error), laplace (absolute error)
  # or bernoulli (cross entropy, for grey values in [0, 1]).
  likelihood: Likelihood = "gaussian"
  # Weight of the commitment loss (beta).
  commitment: float = 0.25
  # Decay of the codebook's running averages, in [0, 1).
  codebook_ema: float = 0.99
  # A code whose running count falls below this share of the average code's
  # count is replaced by a latent of the batch; 0 never replaces.
  revive_below: float = 0.03

  def __post_init__(self):
    super().__post_init__()
    checks.at_least(self, "codebook_size", 2)
    for name in ("code_dim", "hidden", "residual_hidden"):
      checks.at_least(self, name, 1)
    checks.at_least(self, "residual_layers", 0)
    checks.in_range(self, "commitment", 0, math.inf)
    checks.in_range(self, "codebook_ema", 0, 1)
    checks.in_range(self, "revive_below", 0, 1)
    if self.stride is not None and (
      self.stride < 2 or self.stride & (self.stride - 1)
    ):
      raise ConfigError(
        f"--tokenizer.stride {self.stride} is not a power of two from 2 on"
      )


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


@dataclasses.dataclass(frozen=True)
class Config:
  """A whole run: data, tokenizer, prior."""

  PREFIX: ClassVar[str] = ""

  # Images to learn: mnist5k (5,000 real digits, no download), a TFDS name
  # (mnist, fashion_mnist, cifar10, ...), folder:DIR (class folders of PNG,
  # JPEG or WebP, or one flat folder without labels), or npz:FILE (images and
  # labels, or MedMNIST's arrays).
  dataset: str = "mnist5k"
  # Where TFDS sets are prepared; by default TFDS's own choice.
  data_dir: str | None = None
  # Run folder: configuration, checkpoints, metrics, pictures. By default
  # runs/ and the name of the data set.
  workdir: str | None = None
  # What to train: all (tokenizer, then prior), or one of the two.
  stage: Stage = "all"
  # Seed of splits, initial weights, order of images, dropout.
  seed: int = 0
  # Images in one global batch.
  batch_size: int = 64
  # Precision of the networks: float32, or bfloat16 for TPUs and recent GPUs
  # (weights, losses and the codebook stay in float32).
  dtype: Dtype = "float32"
  # Learn from this many training images only, a class-balanced choice by
  # seed, validation included (1000: 800 and 200). By default all.
  num_train_images: int | None = None
  # Pixels: the shorter side is resized to this, then the centre is cropped.
  # By default images keep their size.
  image_size: int | None = None
  # 1 (grey) or 3 (RGB); by default as in the data.
  channels: Literal[1, 3] | None = None
  # Classical augmentation on the device: affine (rotate, scale, shear,
  # shift), weak (small shifts and brightness), flip (weak and mirrored),
  # none; auto is affine for digits and weak elsewhere.
  augment: Augment = "auto"
  # Regular expression on file paths of folder:DIR; files with the same first
  # group (or whole match) stay on one side of every split: a patient, say.
  group_regex: str | None = None
  # The VQ-VAE.
  tokenizer: TokenizerConfig = dataclasses.field(
    default_factory=TokenizerConfig
  )
  # The model of its ids.
  prior: PriorConfig = dataclasses.field(default_factory=PriorConfig)

  def __post_init__(self):
    checks.choices(self)
    if not self.dataset:
      raise ConfigError("--dataset is empty; try mnist5k")
    if self.channels not in (None, 1, 3):
      raise ConfigError(f"--channels {self.channels} is neither 1 nor 3")
    checks.at_least(self, "batch_size", 1)
    checks.at_least(self, "seed", 0)
    if self.seed >= 2**31:
      raise ConfigError(f"--seed {self.seed} is not below 2**31")
    for name in ("num_train_images", "image_size"):
      if getattr(self, name) is not None:
        checks.at_least(self, name, 1)
    if self.group_regex is not None:
      try:
        re.compile(self.group_regex)
      except re.error as error:
        raise ConfigError(
          f"--group-regex {self.group_regex!r} is no regular expression: "
          f"{error}"
        ) from None
    for stage in (self.tokenizer, self.prior):
      checks.divisible(
        stage, stage.batch_size or self.batch_size, stage.accumulate
      )

  def resolve_workdir(self) -> str:
    """The run folder: `--workdir`, or runs/ and the data set's own name."""
    if self.workdir is not None:
      return self.workdir
    kind, _, path = self.dataset.partition(":")
    if kind in ("folder", "npz"):
      # Made absolute first, because "." and ".." have no name of their own.
      name = pathlib.Path(path).resolve().name.removesuffix(".npz")
    else:
      name = kind.replace("/", "_")
    return f"runs/{name or kind}"


def resolve_stride(stride: int | None, height: int, width: int) -> int:
  """Pixels per id and side for images of `height` x `width`.

  Args:
    stride: the user's choice, or None for the default: 4, or the next larger
      power of two that keeps the image to 256 ids; 2 where 4 does not divide.
    height: of the images, in pixels.
    width: of the images, in pixels.

  Raises:
    ConfigError: if the stride does not divide the image.
  """
  if stride is not None:
    if height % stride or width % stride:
      raise ConfigError(
        f"--tokenizer.stride {stride} does not divide images of "
        f"{height}x{width} pixels; try another --image-size"
      )
    return stride
  found = _default_stride(height, width)
  if found is not None:
    return found
  side = min(height, width)
  sizes = [n for n in range(2, 2 * side + 2) if _default_stride(n, n)]
  fitting = min(sizes, key=lambda size: (abs(size - side), -size))
  raise ConfigError(
    f"no power of two divides images of {height}x{width} pixels into at most "
    f"{MAX_DEFAULT_IDS} ids; try --image-size={fitting}"
  )


def _default_stride(height, width):
  for stride in (4, 8, 16, 32, 64, 2):
    if height % stride or width % stride:
      continue
    if (height // stride) * (width // stride) <= MAX_DEFAULT_IDS:
      return stride
  return None


def from_dict(values: dict[str, Any]) -> Config:
  """Inverse of `dataclasses.asdict`.

  Missing fields take their defaults, unknown ones raise `ConfigError`.
  """
  values = dict(values)
  for name, kind in (("tokenizer", TokenizerConfig), ("prior", PriorConfig)):
    if name in values:
      values[name] = _build(kind, values[name], f"{name}.")
  return _build(Config, values, "")


def _build(kind, values, prefix):
  known = {field.name for field in dataclasses.fields(kind)}
  unknown = sorted(set(values) - known)
  if unknown:
    raise ConfigError(f"unknown field {prefix}{unknown[0]}")
  return kind(**values)
