"""Learn a small labelled image set with a VQ-VAE and grow it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
  from etils import epath

  from vqvae_jax.config import Config
  from vqvae_jax.generators import Trained

__version__ = "0.2.0"

# Other imports are at use: importing one quantizer should not import Orbax and
# Grain, and commands guard their own imports.


def __getattr__(name: str) -> Any:
  """Imports `Config` when it is used."""
  if name != "Config":
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
  from vqvae_jax.config import Config

  return Config


def load(
  workdir: epath.PathLike, from_step: int | str | None = None
) -> Trained:
  """Loads the trained generator of a run folder.

  Args:
    workdir: run folder of `train.py`; `~` is the home folder.
    from_step: step of the checkpoint to take, of the last stage, or with the
      stage's name, such as "tokenizer:200"; by default the newest.

  Returns:
    An object that encodes, decodes and samples arrays.

  Raises:
    RunError: if it is not a run folder, or holds nothing trained.
  """
  from vqvae_jax import generators

  return generators.load(workdir, from_step=from_step)


def train(config: Config) -> Trained:
  """Trains a generator, as `train.py` does, and loads it.

  Args:
    config: settings of the run. An earlier run in the same folder is continued.

  Returns:
    An object that encodes, decodes and samples arrays.

  Raises:
    ConfigError: if the settings only ask for the plan of a run.
    UserError: if something is wrong with settings, data or run folder.
  """
  from vqvae_jax.errors import ConfigError
  from vqvae_jax.runs import train as train_run

  if config.plan:
    raise ConfigError("--plan trains nothing; use vqvae_jax.runs.train for it")
  train_run(config)
  return load(config.resolve_workdir())


__all__ = ["Config", "__version__", "load", "train"]
