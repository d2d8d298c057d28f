"""The settings of the tokenizer."""

import dataclasses
import math
from typing import ClassVar, Literal

from vqvae_jax.config import checks
from vqvae_jax.config.fields import Means, Values, setting
from vqvae_jax.config.stage import StageConfig
from vqvae_jax.errors import ConfigError

# More codes would not fit the output of a prior.
MAX_CODES = 2**20
# The default stride gives no more ids for an image than this.
MAX_DEFAULT_IDS = 256
# With more ids for an image a prior is slow on CPUs.
MAX_QUICK_IDS = 100

Likelihood = Literal["gaussian", "laplace", "bernoulli"]
Quantizer = Literal[
  "ema", "vq", "simvq", "residual", "product", "fsq", "lfq", "gumbel"
]
Norm = Literal["none", "l2"]
Gradient = Literal["straight-through", "rotation"]

# Those that choose one nearest code.
_NEAREST = ("ema", "vq", "simvq")
_WITH_CODEBOOK = (*_NEAREST, "residual", "product", "gumbel")
_WITH_AVERAGES = ("ema", "vq", "residual", "product")


def _only(*quantizers):
  return {"quantizer": quantizers}


@dataclasses.dataclass(frozen=True)
class TokenizerConfig(StageConfig):
  """The VQ-VAE: images to ids and back."""

  PREFIX: ClassVar[str] = "tokenizer."
  HEADING: ClassVar[str] = "the VQ-VAE, images to ids and back"

  steps: int = 1400
  # How latents become ids. Three choose the nearest code: of a codebook that
  # follows running averages (ema), of one that is trained by gradient (vq), or
  # of a learned linear map of a frozen one (simvq). Two choose several codes,
  # which add up (residual) or stand side by side (product). Two have no
  # codebook and round channels to a few levels (fsq) or to their sign (lfq).
  # The last one chooses by relaxed samples (gumbel).
  quantizer: Quantizer = "ema"
  # The number of codes. A prior of a small set learns fewer codes more easily.
  codebook_size: int = setting(256, "[2, 1048576]", only=_only(*_WITH_CODEBOOK))
  # The width of a code and of the latents, to which the channels of the encoder
  # are projected. For large codebooks 8 or so is best.
  code_dim: int = setting(64, "[1, 16384]", only=_only(*_WITH_CODEBOOK))
  # The number of levels of each channel; their product is the number of codes.
  levels: tuple[int, ...] = setting(
    (8, 5, 5, 5),
    "[2, 1048576]",
    filled=True,
    only=_only("fsq"),
  )
  # The number of codes for each latent.
  depth: int = setting(4, "[1, 64]", only=_only("residual"))
  # Uses one codebook for all codes of a latent.
  shared_codebook: bool = setting(False, only=_only("residual"))
  # The probability that an image keeps only its first few codes in training.
  quantizer_dropout: float = setting(0.0, "[0, 1)", only=_only("residual"))
  # The number of codes for each latent, which must divide the width of the
  # latents.
  groups: int = setting(2, "[1, 1024]", only=_only("product"))
  # The number of bits; there are 2 ** bits codes.
  bits: int = setting(10, "[1, 20]", only=_only("lfq"))
  # Compares directions (cosines) with l2, and distances with none.
  codebook_norm: Norm = setting("none", only=_only(*_NEAREST))
  # The gradient through the choice: straight-through, or rotation, which turns
  # the gradient as the choice turned the latent.
  gradient: Gradient = setting("straight-through", only=_only(*_NEAREST))
  # The temperature of a random choice among near codes in training, in units of
  # the mean squared distance to the nearest code; 0 takes the nearest.
  code_temperature: float = setting(0.0, "[0, inf)", only=_only(*_NEAREST))
  # The weight of the entropy terms, which reward confident choices and even use
  # of the codes.
  entropy: float | None = setting(
    None,
    "[0, inf)",
    only=_only(*_NEAREST, "lfq"),
    none_means=Means(0.0, "quantizer", {"lfq": 0.1}),
  )
  # The weight of the squared cosines between the codes.
  orthogonality: float = setting(0.0, "[0, inf)", only=_only("vq"))
  # The number of iterations of k-means for the first codes; 0 takes latents as
  # they are.
  kmeans: int = setting(10, "[0, 10000]", only=_only(*_WITH_AVERAGES))
  # The final weight of the divergence from an even choice.
  divergence: float = setting(5e-4, "[0, inf)", only=_only("gumbel"))
  # The temperature of the relaxed samples at the end; it is 1 at the beginning.
  final_temperature: float = setting(0.0625, "(0, 1]", only=_only("gumbel"))
  # The number of pixels for each id along each side, a power of two. By default
  # it is 4, and 8 for images of 64x64 pixels or more; where that does not
  # divide the image or gives too many ids, another one that does is taken.
  stride: int | None = setting(None, "[2, 8192]", unit="pixels")
  # The number of channels of the convolutions.
  hidden: int = setting(64, "[1, 16384]")
  # The number of residual blocks in the encoder, and as many in the decoder.
  residual_layers: int = setting(2, "[0, 1000]")
  # The number of channels inside a residual block.
  residual_hidden: int = setting(
    32,
    "[1, 16384]",
    only={"residual_layers": Values("above 0", lambda count: count > 0)},
  )
  # The likelihood of a pixel: gaussian (squared error), laplace (absolute
  # error) or bernoulli (cross entropy, for grey values in [0, 1]).
  likelihood: Likelihood = "gaussian"
  # The weight of the commitment loss (beta).
  commitment: float = setting(
    0.25, "[0, inf)", only=_only(*_NEAREST, "residual", "product", "lfq")
  )
  # The decay of the running averages of the codebook.
  codebook_ema: float = setting(0.99, "[0, 1)", only=_only(*_WITH_AVERAGES))
  # A code whose running count falls below this share of the average count is
  # replaced by a latent of the batch; 0 never replaces a code.
  revive_below: float = setting(0.03, "[0, 1)", only=_only(*_WITH_AVERAGES))

  def check_together(self):
    super().check_together()
    if math.prod(self.levels) > MAX_CODES:
      raise ConfigError(
        f"--tokenizer.levels {checks.shown(self.levels)} give "
        f"{math.prod(self.levels)} codes, more than {MAX_CODES}"
      )
    if self.quantizer == "product" and self.code_dim % self.groups:
      raise ConfigError(
        f"--tokenizer.groups {self.groups} does not divide "
        f"--tokenizer.code-dim {self.code_dim}"
      )
    if self.stride is not None and self.stride.bit_count() != 1:
      raise ConfigError(
        f"--tokenizer.stride {self.stride} is not a power of two from 2 on"
      )


def resolve_stride(stride: int | None, height: int, width: int) -> int:
  """Returns the pixels for each id along a side of images.

  Args:
    stride: choice of the user, or None for the default: 4, or 8 for images of
      64x64 pixels or more; where that does not divide the image, or gives more
      than 256 ids, the next larger power of two, then the next smaller.
    height: height of the images in pixels.
    width: width of the images in pixels.

  Raises:
    ConfigError: if the stride does not divide the image.
  """
  if stride is not None:
    if height % stride or width % stride:
      raise ConfigError(
        f"--tokenizer.stride {stride} does not divide images of "
        f"{width}x{height} pixels; try another --image-size"
      )
    return stride
  found = _default_stride(height, width)
  if found is not None:
    return found
  side = min(height, width)
  sizes = [n for n in range(2, 2 * side + 2) if _default_stride(n, n)]
  fitting = min(sizes, key=lambda size: (abs(size - side), -size))
  raise ConfigError(
    f"no power of two divides images of {width}x{height} pixels into at most "
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
