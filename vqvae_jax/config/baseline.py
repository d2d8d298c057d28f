"""The settings of the generators that a VQ-VAE is compared with."""

import dataclasses
from typing import ClassVar, Literal

from vqvae_jax.config import checks
from vqvae_jax.config.stage import Optimizer, StageConfig
from vqvae_jax.errors import ConfigError

# What a field that was left at None means, for each model. A dcgan's decay is
# that of Radford et al. 2016, section 3; their rate, 2e-4, is for more steps
# than small sets are given.
_COMMON = {"learning_rate": 3e-3, "adam_b1": 0.9}
_DEFAULTS = {
  "beta_vae": _COMMON | {"beta": 4.0},
  "dcgan": {"learning_rate": 5e-4, "adam_b1": 0.5},
}


@dataclasses.dataclass(frozen=True)
class BaselineConfig(StageConfig):
  """The autoencoder, the VAE or the DCGAN of --model."""

  PREFIX: ClassVar[str] = "baseline."

  # Optimizer steps in all; a finished run may be asked for more.
  steps: int = 2000
  # Optimizer: adam, adamw (decoupled weight decay) or sgd (with momentum).
  optimizer: Optimizer = "adam"
  # Peak learning rate; by default 3e-3, for dcgan 5e-4.
  learning_rate: float | None = None
  # Decay of adam's running mean of gradients, in [0, 1); by default 0.9, for
  # dcgan 0.5.
  adam_b1: float | None = None
  # Gradients with a larger global norm are scaled down to it; 0 is off. The
  # two networks of a dcgan share one norm.
  clip_norm: float = 0.0
  # Size of the latent vector; for a dcgan, of the noise vector.
  latent_dim: int = 16
  # Channels at the coarsest resolution. Autoencoders have half as many at all
  # finer ones; a dcgan halves them at each.
  hidden: int = 128
  # What the decoder's output means: bernoulli (logits; pixels are taken as
  # probabilities) or gaussian (means, with --baseline.pixel-std).
  likelihood: Literal["bernoulli", "gaussian"] = "bernoulli"
  # Standard deviation of a pixel under the gaussian likelihood; pixels are in
  # [0, 1].
  pixel_std: float = 0.1
  # Weight of beta_vae's divergence, above 0: 1 is a vae's; by default 4.
  beta: float | None = None

  def __post_init__(self):
    super().__post_init__()
    for name in ("latent_dim", "hidden"):
      checks.at_least(self, name, 1)
    checks.positive(self, "pixel_std")
    if self.beta is not None:
      checks.positive(self, "beta")

  def resolve(self, model: str) -> "BaselineConfig":
    """The settings of one model: what was left to it is filled in.

    Raises:
      ConfigError: if a setting is of another model.
    """
    if self.beta is not None and model != "beta_vae":
      raise ConfigError(
        f"--baseline.beta {self.beta} is for --model=beta_vae, not {model}"
      )
    if model == "dcgan":
      self._check_adversarial()
    defaults = _DEFAULTS.get(model, _COMMON)
    missing = {k: v for k, v in defaults.items() if getattr(self, k) is None}
    return dataclasses.replace(self, **missing)

  def _check_adversarial(self):
    """No loss says when an adversarial training is at its best."""
    if self.patience:
      raise ConfigError(
        f"--baseline.patience {self.patience}: no validation loss selects a "
        "dcgan; it must be 0"
      )
    if self.schedule == "plateau":
      raise ConfigError(
        "--baseline.schedule plateau: no validation loss selects a dcgan; "
        "take constant, cosine or exponential"
      )
    if self.weights_ema:
      raise ConfigError(
        f"--baseline.weights-ema {self.weights_ema}: a dcgan's batch "
        "statistics are of the last weights, not of their average; it must "
        "be 0"
      )
