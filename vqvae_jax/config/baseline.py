"""The settings of the generators that a VQ-VAE is compared with."""

import dataclasses
from typing import ClassVar, Literal

from vqvae_jax.config.fields import Means, setting
from vqvae_jax.config.generators import with_stage
from vqvae_jax.config.stage import Optimizer, StageConfig
from vqvae_jax.errors import ConfigError


def _autoencoders():
  return tuple(name for name in with_stage("baseline") if name != "dcgan")


@dataclasses.dataclass(frozen=True)
class BaselineConfig(StageConfig):
  """The autoencoder, the VAE or the DCGAN of --model."""

  PREFIX: ClassVar[str] = "baseline."
  HEADING: ClassVar[str] = "the generators of --model=ae, vae, beta_vae, dcgan"

  steps: int = 2000
  optimizer: Optimizer = "adam"
  # The peak of the learning rate. That of a dcgan is higher than the 2e-4 of
  # Radford et al. 2016, because small sets are trained for fewer steps.
  learning_rate: float | None = setting(
    None, "(0, inf)", none_means=Means(3e-3, "model", {"dcgan": 5e-4})
  )
  # The decay of the running mean of gradients that adam and adamw keep. That of
  # a dcgan is from Radford et al. 2016, section 3.
  adam_b1: float | None = setting(
    None,
    "[0, 1)",
    only={"optimizer": ("adam", "adamw")},
    none_means=Means(0.9, "model", {"dcgan": 0.5}),
  )
  # Gradients with a larger global norm are scaled down to this norm; 0 turns
  # it off. The two networks of a dcgan share one norm.
  clip_norm: float = 0.0
  # The size of the latent vector; for a dcgan, of the noise vector.
  latent_dim: int = setting(16, "[1, 65536]")
  # The number of channels at the coarsest resolution. Autoencoders have half as
  # many at all finer resolutions; a dcgan halves them at each.
  hidden: int = setting(128, "[1, 16384]")
  # The meaning of the decoder's output: bernoulli (logits, where pixels are
  # taken as probabilities) or gaussian (means).
  likelihood: Literal["bernoulli", "gaussian"] = setting(
    "bernoulli", only={"model": _autoencoders}
  )
  # The standard deviation of a pixel, which lies in [0, 1].
  pixel_std: float = setting(
    0.1,
    "(0, inf)",
    only={"model": _autoencoders, "likelihood": ("gaussian",)},
  )
  # The weight of the divergence; that of a vae is 1.
  beta: float | None = setting(
    None,
    "(0, inf)",
    only={"model": ("beta_vae",)},
    none_means=Means(None, "model", {"beta_vae": 4.0}),
  )

  def resolve(self, model: str) -> "BaselineConfig":
    """Returns the settings of one model, with what its defaults stand for.

    Raises:
      ConfigError: if the model cannot be trained with them.
    """
    if model == "dcgan":
      self._check_adversarial()
    found = self.with_defaults(model=model)
    # Another model takes no weight, whatever the settings hold.
    return (
      found if model == "beta_vae" else dataclasses.replace(found, beta=None)
    )

  def _check_adversarial(self):
    """Refuses what needs a loss that says when the training is at its best."""
    if self.patience:
      raise ConfigError(
        f"--baseline.patience {self.patience}: no validation loss selects a "
        "dcgan; it must be 0"
      )
    if self.schedule == "plateau":
      raise ConfigError(
        "--baseline.schedule plateau: no validation loss selects a dcgan; "
        "choose constant, cosine or exponential"
      )
    if self.weights_ema:
      raise ConfigError(
        f"--baseline.weights-ema {self.weights_ema}: the batch statistics of a "
        "dcgan belong to its last weights and not to their average; it must "
        "be 0"
      )
