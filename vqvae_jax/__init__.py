"""Learn a small labelled image set with a VQ-VAE and grow it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
  from etils import epath

  from vqvae_jax.generators import BaselineModel, Model


def __getattr__(name: str) -> str:
  """`__version__`, looked up at use: commands guard their own imports."""
  if name != "__version__":
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
  import importlib.metadata

  try:
    return importlib.metadata.version("vqvae_jax")
  except importlib.metadata.PackageNotFoundError:
    # A clone that is not installed.
    return "0.1.0"


def load(
  workdir: epath.PathLike, from_step: int | str | None = None
) -> Model | BaselineModel:
  """The trained model of a run folder.

  Args:
    workdir: run folder of `train.py`; `~` is the home folder.
    from_step: step of the checkpoint to take, of the last stage, or with the
      stage's name, such as "tokenizer:200"; by default the newest.

  Returns:
    model: object that encodes, decodes and samples arrays.

  Raises:
    RunError: if it is not a run folder, or holds nothing trained.
  """
  # Imported at use: importing one quantizer should not import Orbax and Grain.
  from vqvae_jax.generators import load as load_model

  return load_model(workdir, from_step=from_step)


__all__ = ["__version__", "load"]
