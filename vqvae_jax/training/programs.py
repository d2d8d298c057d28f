"""The compiled functions of a stage, made once for its plan and its loop."""

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Key

from vqvae_jax.config import StageConfig
from vqvae_jax.data import Data, DataSpec
from vqvae_jax.draws import permutation
from vqvae_jax.sharding import local_rows, replicated, split, to_global
from vqvae_jax.training.state import (
  Task,
  TrainState,
  init_state,
  make_train_step,
)

# The first codes are taken from about this many images.
START_IMAGES = 1024


class Programs:
  """The jitted functions of a stage.

  The plan compiles the step and times it; the training then uses the same one.

  Attributes:
    init: the jitted `(batch, key) -> state`.
    step: the jitted `(frozen, state, batch, key) -> (state, metrics)`, which
      consumes the state.
    key: random key of the initial weights and of every step.
    mesh: devices of the run.
    batch_size: number of images in a global batch.
  """

  def __init__(
    self,
    task: Task,
    config: StageConfig,
    batch_size: int,
    mesh: Mesh,
    key_seed: int,
  ):
    self.mesh = mesh
    self.batch_size = batch_size
    self.init = jax.jit(
      lambda batch, key: init_state(task, config, batch, key),
      out_shardings=replicated(mesh),
    )
    self.step = jax.jit(make_train_step(task, config), donate_argnums=1)
    self._key_seed = key_seed

  @property
  def key(self) -> Key[Array, ""]:
    # `device_put` cannot bring a key to the devices of other processes.
    make = jax.jit(jax.random.key, out_shardings=replicated(self.mesh))
    return make(self._key_seed)

  def first_state(self, data: Data) -> TrainState:
    """Computes the state at step 0; first codes come from several batches."""
    train = data["train"]
    rows = permutation(len(train), 0)
    rows = np.resize(rows, self._first_rows(len(train)))
    batch = to_global(local_rows(train.gather(rows)), self.mesh)
    return self.init(batch, jax.random.fold_in(self.key, 2**32 - 1))

  def abstract_state(self, spec: DataSpec) -> TrainState:
    """Returns the shapes of the state at step 0; nothing is computed."""
    rows, sharding = self._first_rows(spec.num_train), split(self.mesh)
    shapes = {"image": (rows, *spec.image_shape), "label": (rows,)}
    dtypes = {"image": np.uint8, "label": np.int32}
    batch = {
      name: jax.ShapeDtypeStruct(shape, dtypes[name], sharding=sharding)
      for name, shape in shapes.items()
    }
    everywhere = replicated(self.mesh)
    return jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=everywhere),
      jax.eval_shape(self.init, batch, self.key),
    )

  def _first_rows(self, images):
    """Returns how many of the images the first codes are taken from."""
    batches = max(1, min(START_IMAGES, images) // self.batch_size)
    return batches * self.batch_size
