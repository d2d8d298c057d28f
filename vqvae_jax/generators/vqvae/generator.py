"""The VQ-VAE and its prior as a generator."""

import dataclasses
from typing import Any

import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Int

from vqvae_jax import pictures
from vqvae_jax.config import (
  MAX_DEFAULT_IDS,
  MAX_QUICK_IDS,
  Config,
  resolve_stride,
)
from vqvae_jax.data import DataSpec
from vqvae_jax.errors import ArgumentError, ConfigError
from vqvae_jax.generators import modes as shared_modes
from vqvae_jax.generators.arguments import checked_ids
from vqvae_jax.generators.base import SAMPLING, Generator, Stage
from vqvae_jax.generators.vqvae import modes
from vqvae_jax.generators.vqvae.prior import build_prior, prior_task
from vqvae_jax.generators.vqvae.tokenizer import TokenizerTask, build_tokenizer
from vqvae_jax.priors import Sampling, log_prob, sample

# Guidance where none is asked for. On digits, it is enough that few are
# misread, and little enough that a classifier learns as much from them as
# without (from 0.5 on it learns less).
DEFAULT_GUIDANCE = 0.3


class VQVAEGenerator(Generator):
  """A VQ-VAE, the tokenizer, and a prior over its ids.

  Attributes:
    tokenizer: Flax module of the VQ-VAE.
    prior: Flax module of the prior.
  """

  modes = {
    "prior": shared_modes.prior,
    "perturb": modes.perturb,
    "mix": modes.mix,
    "inpaint": modes.inpaint,
    "reconstruct": shared_modes.reconstruct,
  }
  sampling_settings = tuple(SAMPLING)

  def __init__(
    self, config: Config, spec: DataSpec, dtype: DTypeLike | None = None
  ):
    super().__init__(config, spec)
    self.tokenizer = build_tokenizer(config, spec, dtype)
    self.prior = build_prior(config, spec, dtype)
    self.latent_shape = self.prior.grid
    self.stages = (
      Stage(
        "tokenizer",
        "tokenizer",
        config.tokenizer,
        lambda _: TokenizerTask(config, spec, dtype),
        charts=lambda sums: {
          "codebook_usage": pictures.usage_plot(sums["codes"])
        },
      ),
      Stage(
        "prior",
        "prior",
        config.prior,
        lambda tokenizer: prior_task(config, spec, tokenizer, dtype),
        built_upon="tokenizer",
        weights=lambda variables: variables["params"],
      ),
    )

  @classmethod
  def check_image_size(cls, config: Config, size: int):
    resolve_stride(config.tokenizer.stride, size, size)

  @property
  def described(self) -> str:
    ids = "x".join(map(str, self.prior.grid))
    return (
      f"{ids} ids of {self.prior.num_codes} codes "
      f"({self.config.tokenizer.quantizer}), {self.config.prior.kind} prior"
    )

  @property
  def introduced(self) -> str:
    return f"{self.prior.length} ids per image, {self.prior.num_codes:,} codes"

  def warning(self, platform: str) -> str | None:
    ids = self.prior.length
    if ids <= (MAX_QUICK_IDS if platform == "cpu" else MAX_DEFAULT_IDS):
      return None
    return (
      f"{ids} ids per image make the prior slow to train and to sample; a "
      "larger --tokenizer.stride or a smaller --image-size gives fewer"
    )

  def shorter(self, stage: str) -> str | None:
    ids = self.prior.length
    if stage != "prior" or ids < 4 * 16:
      return None
    return (
      f"--tokenizer.stride={2 * self.tokenizer.stride}, which gives "
      f"{ids // 4} ids per image instead of {ids}, with less detail"
    )

  def check_latents(self, latents: Any) -> Int[np.ndarray, "n i j *m"]:
    return checked_ids(latents, self.prior.grid, self.prior.num_codes)

  def latent_pictures(self, latents):
    height, width, _ = self.spec.image_shape
    rows, columns = self.prior.grid[:2]
    # Where there are several ids at a position, the first one is shown.
    ids = latents.reshape(len(latents), rows, columns, -1)[..., 0]
    return {"ids": pictures.code_map(ids, height, width)}

  def encode(self, variables, images, labels):
    del labels
    return self.tokenizer.apply(variables, images, method="encode")

  def decode(self, variables, latents, labels):
    del labels
    return self.tokenizer.apply(variables, latents, method="decode")

  def draw(self, weights, fitted, keys, labels, settings):
    del fitted
    ids = self.draw_ids(weights["prior"], keys, labels, settings)
    ids = ids.reshape(-1, *self.prior.grid)
    return self.decode(weights["tokenizer"], ids, labels)

  def draw_ids(self, params, keys, labels, settings, **known):
    """Draws ids [b, t], or some of them; see `priors.sample`."""
    rule = Sampling(**settings)
    return sample(self.prior, params, keys, labels, rule, **known)

  def check_sampling(self, values: dict[str, Any]) -> dict[str, Any]:
    # Whether the prior has seen images both with and without their class.
    dropped = self.config.prior.label_dropout > 0
    can_be_guided = self.spec.num_classes > 1 and dropped
    if values["guidance"] is None:
      default = DEFAULT_GUIDANCE if can_be_guided else 0.0
      values = values | {"guidance": default}
    rule = Sampling(**values)
    rule.check(self.prior)
    if rule.guidance and not can_be_guided:
      raise ArgumentError(
        f"guidance {rule.guidance} needs labelled images and a prior trained "
        "with --prior.label-dropout above 0"
      )
    return dataclasses.asdict(rule)

  def check_likelihood(self):
    if not self.prior.exact:
      raise ConfigError(
        f"a {self.config.prior.kind} prior has no exact likelihood; train one "
        "with --prior.kind=transformer or pixelcnn"
      )

  def log_prob(self, weights, latents, labels):
    ids = latents.reshape(len(latents), self.prior.length)
    return log_prob(self.prior, weights["prior"], ids, labels)
