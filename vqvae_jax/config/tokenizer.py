"""The settings of the tokenizer."""

import dataclasses
import math
from typing import ClassVar, Literal

from vqvae_jax.config import checks
from vqvae_jax.config.stage import StageConfig
from vqvae_jax.errors import ConfigError

MAX_DEFAULT_IDS = 256
# More make the prior slow on CPUs.
MAX_QUICK_IDS = 100
# More would not fit the prior's output.
MAX_CODES = 2**20

Likelihood = Literal["gaussian", "laplace", "bernoulli"]
Quantizer = Literal[
  "ema", "vq", "simvq", "residual", "product", "fsq", "lfq", "gumbel"
]
Norm = Literal["none", "l2"]
Gradient = Literal["straight-through", "rotation"]

# Those that choose one nearest code.
_NEAREST = ("ema", "vq", "simvq")
# Settings that some schemes alone have.
_OF_SCHEMES = {
  "levels": ("fsq",),
  "depth": ("residual",),
  "shared_codebook": ("residual",),
  "quantizer_dropout": ("residual",),
  "groups": ("product",),
  "bits": ("lfq",),
  "codebook_norm": _NEAREST,
  "gradient": _NEAREST,
  "code_temperature": _NEAREST,
  "entropy": (*_NEAREST, "lfq"),
  "orthogonality": ("vq",),
  "kmeans": ("ema", "vq", "residual", "product"),
  "divergence": ("gumbel",),
  "final_temperature": ("gumbel",),
}


@dataclasses.dataclass(frozen=True)
class TokenizerConfig(StageConfig):
  """The VQ-VAE: images to ids and back."""

  PREFIX: ClassVar[str] = "tokenizer."

  # Optimizer steps in all; a finished run may be asked for more.
  steps: int = 1400
  # How latents become ids. The nearest code, of a codebook that follows running
  # averages (ema), is trained by gradient (vq), or is a learned linear map of a
  # frozen one (simvq); several codes that add up (residual) or stand side by
  # side (product); no codebook, but channels rounded to a few levels (fsq) or
  # to their sign (lfq); or a choice by relaxed samples (gumbel).
  quantizer: Quantizer = "ema"
  # Number of codes, where there is a codebook. Few are easier to learn for the
  # prior of a small set.
  codebook_size: int = 256
  # Width of a code and of the latents, to which the encoder's channels are
  # projected; 8 or so for large codebooks. fsq and lfq have their own widths.
  code_dim: int = 64
  # Levels of each channel of fsq; their product is the number of codes.
  levels: tuple[int, ...] = (8, 5, 5, 5)
  # Codes for each latent of residual.
  depth: int = 4
  # One codebook for all codes of residual.
  shared_codebook: bool = False
  # Probability that an image of residual's training keeps its first few codes
  # only, in [0, 1).
  quantizer_dropout: float = 0.0
  # Codes for each latent of product; divides --tokenizer.code-dim.
  groups: int = 2
  # Bits of lfq; there are 2 ** bits codes.
  bits: int = 10
  # l2 compares directions (cosines) instead of distances; ema, vq, simvq.
  codebook_norm: Norm = "none"
  # Gradient through the choice of ema, vq and simvq: straight-through, or
  # rotation, which turns it as the choice turned the latent.
  gradient: Gradient = "straight-through"
  # Temperature of a random choice among near codes in training, of ema, vq and
  # simvq, in units of the mean squared distance to the nearest one; 0 takes
  # the nearest.
  code_temperature: float = 0.0
  # Weight of the entropy terms, which reward confident choices and even use of
  # the codes, of ema, vq, simvq and lfq. By default 0.1 for lfq and 0 for the
  # others.
  entropy: float | None = None
  # Weight of the squared cosines between the codes of vq.
  orthogonality: float = 0.0
  # Iterations of k-means for the first codes of ema, vq, residual and product;
  # 0 takes latents as they are.
  kmeans: int = 10
  # Final weight of gumbel's divergence from an even choice.
  divergence: float = 5e-4
  # Temperature of gumbel's relaxed samples at the end, in (0, 1]; 1 at first.
  final_temperature: float = 0.0625
  # Pixels per id along each side, a power of two. By default 4, from 64x64
  # pixels on 8, or what else divides the image and keeps it to at most 256 ids.
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
    for name in (
      "code_dim",
      "hidden",
      "residual_hidden",
      "depth",
      "groups",
      "bits",
    ):
      checks.at_least(self, name, 1)
    for name in ("residual_layers", "kmeans"):
      checks.at_least(self, name, 0)
    self._check_quantizer()
    checks.in_range(self, "commitment", 0, math.inf)
    checks.in_range(self, "codebook_ema", 0, 1)
    checks.in_range(self, "revive_below", 0, 1)
    if self.stride is not None and (
      self.stride < 2 or self.stride & (self.stride - 1)
    ):
      raise ConfigError(
        f"--tokenizer.stride {self.stride} is not a power of two from 2 on"
      )

  def _check_quantizer(self):
    if not self.levels or min(self.levels) < 2:
      given = " ".join(map(str, self.levels)) or "(none)"
      raise ConfigError(
        f"--tokenizer.levels {given}: each channel needs 2 levels or more"
      )
    if math.prod(self.levels) > MAX_CODES:
      raise ConfigError(
        f"--tokenizer.levels {' '.join(map(str, self.levels))} give "
        f"{math.prod(self.levels)} codes, more than {MAX_CODES}"
      )
    if 2**self.bits > MAX_CODES:
      raise ConfigError(
        f"--tokenizer.bits {self.bits} gives 2**{self.bits} codes, more than "
        f"{MAX_CODES}"
      )
    if self.quantizer == "product" and self.code_dim % self.groups:
      raise ConfigError(
        f"--tokenizer.groups {self.groups} does not divide "
        f"--tokenizer.code-dim {self.code_dim}"
      )
    checks.in_range(self, "quantizer_dropout", 0, 1)
    for name in ("code_temperature", "orthogonality", "divergence"):
      checks.in_range(self, name, 0, math.inf)
    if self.entropy is not None:
      checks.in_range(self, "entropy", 0, math.inf)
    checks.positive(self, "final_temperature")
    if self.final_temperature > 1:
      raise ConfigError(
        f"--tokenizer.final-temperature {self.final_temperature} is not in "
        "(0, 1]"
      )
    # An option that would change nothing is a misunderstanding.
    for field in dataclasses.fields(self):
      by = _OF_SCHEMES.get(field.name, (self.quantizer,))
      value = getattr(self, field.name)
      if value != field.default and self.quantizer not in by:
        if isinstance(value, tuple):
          value = " ".join(map(str, value))
        raise ConfigError(
          f"{checks.flag(self, field.name)} {value} is for {', '.join(by)}; "
          f"--tokenizer.quantizer is {self.quantizer}"
        )


def resolve_stride(stride: int | None, height: int, width: int) -> int:
  """Pixels per id and side for images of `height` x `width`.

  Args:
    stride: the user's choice, or None for the default: 4, or 8 for images of
      64x64 pixels or more; where that does not divide the image, or gives more
      than 256 ids, the next larger power of two, then the next smaller.
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
  # A prior over 64 ids takes a quarter of the time of one over 256.
  strides = (8, 16, 32, 64, 4, 2) if height * width >= 64**2 else (4, 2)
  for stride in strides:
    if height % stride or width % stride:
      continue
    if (height // stride) * (width // stride) <= MAX_DEFAULT_IDS:
      return stride
  return None
