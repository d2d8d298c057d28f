"""From a run folder to an object that draws images."""

from etils import epath
from jax.sharding import Mesh

from vqvae_jax.files import expand
from vqvae_jax.generators.baseline import BaselineModel
from vqvae_jax.generators.vqvae.model import Model
from vqvae_jax.training import workdir as folder


def load(
  workdir: epath.PathLike,
  mesh: Mesh | None = None,
  from_step: int | str | None = None,
) -> Model | BaselineModel:
  """The trained model of a run folder.

  Args:
    workdir: the run folder of `train.py`.
    mesh: the devices to work on, by default all.
    from_step: step of the checkpoint to take, of the last stage, or with the
      stage's name, such as "tokenizer:200"; by default the newest.

  Raises:
    RunError: if it is not a run folder, holds no tokenizer or baseline, or a
      checkpoint is damaged. A missing prior is an error only when it is used.
  """
  workdir = expand(workdir)
  model = folder.read(workdir).config.model
  text = None if from_step is None else str(from_step)
  steps = folder.steps_asked(workdir, model, text)
  return (Model if model == "vqvae" else BaselineModel)(workdir, mesh, steps)
