"""Which settings matter with which others.

An option that would change nothing is a misunderstanding: whoever gives it
expects something of it. So a flag that the other settings make idle is refused,
unless it only repeats the default, as scripts do that pass every flag. Flags
that were not given do not count: a stored configuration, or one that Python
code makes, holds idle settings as well.
"""

import dataclasses
from collections.abc import Iterable
from typing import Any

from vqvae_jax.config import checks
from vqvae_jax.config.generators import REGISTERED
from vqvae_jax.config.tokenizer import OF_QUANTIZERS
from vqvae_jax.errors import ConfigError

_BASELINES = tuple(
  name for name, entry in REGISTERED.items() if "baseline" in entry.stages
)
_WITH_CODEBOOK = ("ema", "vq", "simvq", "residual", "product", "gumbel")
_WITH_AVERAGES = ("ema", "vq", "residual", "product")

# Settings of a group: the one that decides, and the values with which they
# matter.
_STAGE = {
  "decay_rate": ("schedule", ("exponential",)),
  "decay_steps": ("schedule", ("exponential",)),
  "plateau_patience": ("schedule", ("plateau",)),
  "plateau_factor": ("schedule", ("plateau",)),
  "weight_decay": ("optimizer", ("adamw",)),
  "momentum": ("optimizer", ("sgd",)),
  "adam_b1": ("optimizer", ("adam", "adamw")),
}
_TOKENIZER = {
  name: ("quantizer", quantizers)
  for name, quantizers in {
    **OF_QUANTIZERS,
    "codebook_size": _WITH_CODEBOOK,
    "code_dim": _WITH_CODEBOOK,
    "commitment": ("ema", "vq", "simvq", "residual", "product", "lfq"),
    "codebook_ema": _WITH_AVERAGES,
    "revive_below": _WITH_AVERAGES,
  }.items()
}
_IN_GROUP = {
  "tokenizer": _STAGE | _TOKENIZER,
  "prior": _STAGE
  | {
    "heads": ("kind", ("transformer", "maskgit")),
    "kernel": ("kind", ("pixelcnn",)),
  },
  "baseline": _STAGE | {"pixel_std": ("likelihood", ("gaussian",))},
}
# Groups and settings that are of some models only.
_OF_MODELS = {
  "stage": ("vqvae",),
  "tokenizer": ("vqvae",),
  "prior": ("vqvae",),
  "baseline": _BASELINES,
  "baseline.beta": ("beta_vae",),
  "baseline.likelihood": ("ae", "vae", "beta_vae"),
  "baseline.pixel_std": ("ae", "vae", "beta_vae"),
}
# Data sets that TFDS does not prepare.
_NOT_PREPARED = ("mnist5k", "folder", "npz", "tfds-dir")


def check(config: Any, given: Iterable[str]):
  """Raises `ConfigError` for the first setting that would change nothing.

  Args:
    config: settings of a command.
    given: paths of the fields that were set, such as `prior.heads`.
  """
  for path in given:
    group, dot, name = path.rpartition(".")
    owner = getattr(config, group) if dot else config
    if getattr(owner, name) == _default(owner, name):
      continue
    for key in (group, path):
      if key in _OF_MODELS:
        _check_model(config, owner, name, _OF_MODELS[key])
    decides, values = _IN_GROUP.get(group, {}).get(name, (None, ()))
    if decides and getattr(owner, decides) not in values:
      _refuse(owner, name, ", ".join(values), owner, decides)
    if path == "data_dir" and config.dataset.partition(":")[0] in _NOT_PREPARED:
      _refuse(config, name, "data sets that TFDS prepares", config, "dataset")


def _default(owner, name):
  return next(f.default for f in dataclasses.fields(owner) if f.name == name)


def _check_model(config, owner, name, models):
  """Refuses what no model of the command has."""
  if hasattr(config, "model"):
    if config.model not in models:
      given = f"--model={', '.join(models)}"
      _refuse(owner, name, given, config, "model")
  elif hasattr(config, "generators"):
    made = {generator.partition("-")[0] for generator in config.generators}
    if not made & set(models):
      _refuse(owner, name, ", ".join(models), config, "generators")


def _refuse(owner, name, what, decider, decides):
  raise ConfigError(
    f"{checks.flag(owner, name)} {checks.shown(getattr(owner, name))} is for "
    f"{what}; {checks.flag(decider, decides)} is "
    f"{checks.shown(getattr(decider, decides))}"
  )
