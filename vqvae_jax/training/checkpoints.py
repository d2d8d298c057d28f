"""Checkpoints of a stage. The only module that knows Orbax.

A checkpoint holds three items: `model`, the best weights, which is all that
sampling loads; `training`, the rest of the state; `data`, the place in the
data. Orbax writes them under a temporary name and renames, so a checkpoint is
whole or absent.
"""

import hashlib

import grain
import jax
import numpy as np
from etils import epath
from jaxtyping import PyTree
from orbax.checkpoint import v1 as ocp

from vqvae_jax.errors import RunError
from vqvae_jax.training.state import TrainState, weights_to_use

KEEP = 2


class Checkpoints:
  """The checkpoints under one folder, the newest two of them kept."""

  def __init__(self, directory: epath.PathLike):
    self._checkpointer = ocp.training.Checkpointer(
      epath.Path(directory).absolute(),
      preservation_policy=ocp.training.preservation_policies.LatestN(KEEP),
      cleanup_tmp_directories=True,
    )

  def __enter__(self):
    return self

  def __exit__(self, *exception):
    self.close()

  @property
  def latest_step(self) -> int | None:
    """Step of the newest checkpoint, or None."""
    latest = self._checkpointer.latest
    return None if latest is None else latest.step

  def save(self, state: TrainState, iterator: grain.DatasetIterator):
    """Starts to write the state, which may be donated once this returns.

    Args:
      state: of the training.
      iterator: over the training data, at the same place.
    """
    # Before the first evaluation no weights are known to be the best.
    known = bool(np.isfinite(state.best_loss))
    self._checkpointer.save_checkpointables_async(
      int(state.step),
      {
        "model": {
          "variables": state.best if known else weights_to_use(state),
          "step": state.best_step if known else state.step,
        },
        "training": state.replace(best={}),
        # One number, the same in every process: Orbax would keep the iterator
        # itself by process, for as many as there are now.
        "data": iterator.get_state(),
      },
      force=True,
    )

  def restore(
    self, like: TrainState, iterator: grain.DatasetIterator
  ) -> TrainState:
    """The newest state; `iterator` is moved to the same place.

    Args:
      like: a state of the same shapes, dtypes and shardings.
      iterator: over the same training data.
    """
    loaded = self._checkpointer.load_checkpointables(
      abstract_checkpointables={
        "model": {
          "variables": abstract(like.best),
          "step": abstract(like.step),
        },
        "training": abstract(like.replace(best={})),
        "data": iterator.get_state(),
      }
    )
    iterator.set_state(jax.tree.map(int, loaded["data"]))
    return loaded["training"].replace(best=loaded["model"]["variables"])

  def close(self):
    """Waits for the last save."""
    self._checkpointer.close()


def load_model(directory: epath.PathLike, like: PyTree) -> tuple[PyTree, int]:
  """The best weights of a stage and the step they are from.

  Args:
    directory: of the stage's checkpoints.
    like: variables of the same shapes and dtypes, or their
      `jax.ShapeDtypeStruct`s with shardings.

  Raises:
    RunError: if there is no checkpoint.
  """
  directory = epath.Path(directory).absolute()
  step = latest_step(directory)
  if step is None:
    raise RunError(f"{directory} holds no checkpoint; run train.py first")
  sharding = jax.tree.leaves(like)[0].sharding
  item = {
    "variables": abstract(like),
    "step": jax.ShapeDtypeStruct((), np.int32, sharding=sharding),
  }
  loaded = ocp.load_checkpointables(directory / str(step), {"model": item})
  return loaded["model"]["variables"], int(loaded["model"]["step"])


def latest_step(directory: epath.PathLike) -> int | None:
  """Step of the newest whole checkpoint in a folder, or None."""
  directory = epath.Path(directory)
  if not directory.exists():
    return None
  steps = [
    int(path.name)
    for path in directory.iterdir()
    if path.name.isdecimal() and ocp.is_orbax_checkpoint(path)
  ]
  return max(steps, default=None)


def digest(tree: PyTree) -> str:
  """Hex digest of a tree's arrays: names, dtypes, shapes and bytes.

  Equal for equal arrays wherever they are stored; a checkpoint's files are
  not, since Orbax names some of them at random.
  """
  sha = hashlib.sha256()
  for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
    array = np.asarray(leaf)
    name = jax.tree_util.keystr(path)
    sha.update(f"{name} {array.dtype} {array.shape}".encode())
    sha.update(np.ascontiguousarray(array).tobytes())
  return sha.hexdigest()[:32]


def abstract(tree: PyTree) -> PyTree:
  """Shapes, dtypes and shardings of a tree's arrays."""
  return jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), tree
  )
