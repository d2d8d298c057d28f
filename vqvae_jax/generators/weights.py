"""The weights of a fitted stage, from its checkpoints."""

import jax
import jax.numpy as jnp
from etils import epath
from jax.sharding import Mesh
from jaxtyping import PyTree

from vqvae_jax.data import DataSpec
from vqvae_jax.errors import RunError
from vqvae_jax.generators.base import Stage
from vqvae_jax.sharding import replicated
from vqvae_jax.training import checkpoints

# Flax's name of the collection of batch normalisation.
STATISTICS = "batch_stats"


def load_stage(
  workdir: epath.PathLike,
  stage: Stage,
  spec: DataSpec,
  mesh: Mesh,
  step: int | None = None,
  built_upon: str | None = None,
) -> tuple[PyTree, int]:
  """Loads the best weights of a stage to every device.

  Args:
    workdir: the run folder.
    stage: stage of the run's generator.
    spec: specification of the run's data.
    mesh: devices that hold the weights.
    step: step of the checkpoint, by default the newest.
    built_upon: digest of the weights that it must have been built upon.

  Returns:
    The weights, and the step that they are from.

  Raises:
    RunError: if there is no such checkpoint, or if it is damaged or built upon
      other weights.
  """
  batch = {
    "image": jnp.zeros((1, *spec.image_shape), jnp.uint8),
    "label": jnp.zeros(1, jnp.int32),
  }
  init = stage.make_task(()).init
  like = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=replicated(mesh)),
    jax.eval_shape(init, jax.random.key(0), batch),
  )
  directory = epath.Path(workdir) / stage.name
  try:
    variables, step = checkpoints.load_model(directory, like, step, built_upon)
  except RunError as error:
    if STATISTICS not in like:
      raise
    # Earlier versions stored the statistics of a DCGAN under another name.
    stored = {"params": like["params"], "codebook": like[STATISTICS]}
    try:
      loaded, step = checkpoints.load_model(directory, stored, step, built_upon)
    except RunError:
      raise error from None
    variables = {"params": loaded["params"], STATISTICS: loaded["codebook"]}
  return stage.weights(variables), step
