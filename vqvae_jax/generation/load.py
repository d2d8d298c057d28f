"""From a run folder to an object that draws images."""

from etils import epath
from jax.sharding import Mesh

from vqvae_jax.generation.baseline import BaselineModel
from vqvae_jax.generation.model import Model
from vqvae_jax.training import workdir as folder


def load(
  workdir: epath.PathLike, mesh: Mesh | None = None
) -> Model | BaselineModel:
  """The trained model of a run folder.

  Args:
    workdir: the run folder of `train.py`.
    mesh: the devices to work on, by default all.

  Raises:
    RunError: if it is no run folder, or holds no tokenizer or baseline. A
      missing prior is an error only when it is used.
  """
  vqvae = folder.read(workdir).config.model == "vqvae"
  return (Model if vqvae else BaselineModel)(workdir, mesh)
