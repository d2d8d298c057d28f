"""Checkpoints of a stage. No other module imports Orbax.

A checkpoint holds four items: `model`, the best weights, which is all that
sampling loads; `training`, the rest of the state; `data`, the position in the
data; `digests`, checksums of the other three, which are compared whenever one
of them is loaded. Orbax writes them under a temporary name and renames, so a
checkpoint is whole or absent.
"""

import contextlib
import gc
import logging
import pathlib
import sys
import threading
import warnings
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
from etils import epath
from jaxtyping import PyTree
from orbax.checkpoint import v1 as ocp

from vqvae_jax.errors import RunError, told_in_one_line, warn
from vqvae_jax.files import is_remote, read_json
from vqvae_jax.training.digests import FIELDS, FILE, Digests, digest, layout
from vqvae_jax.training.state import TrainState

KEEP = 2
DIGESTS = "digests"
# Suffix of checkpoints that a run does not continue from.
SET_ASIDE = ".set-aside"

# Orbax raises each error that it also logs. Without this filter the log would
# put a traceback on the screen.
logging.getLogger("absl").addFilter(
  lambda record: "orbax" not in pathlib.Path(record.pathname).parts
)


@runtime_checkable
class Resumable(Protocol):
  """An iterator over training data whose position can be saved."""

  def get_state(self) -> dict[str, Any]:
    """Returns the position."""

  def set_state(self, state: dict[str, Any]) -> None:
    """Moves to a position."""


class Checkpoints:
  """The checkpoints in one folder, of which the newest two are kept."""

  def __init__(self, directory: epath.PathLike, built_upon: PyTree = None):
    """Notes the folder; nothing is written before the first `save`.

    Args:
      directory: folder of the stage's checkpoints.
      built_upon: arrays that the stage reads and does not change, such as the
        tokenizer's for a prior. Their digest is kept with each checkpoint.
    """
    self._directory = epath.Path(directory).absolute()
    self._built_upon = digest(built_upon) if built_upon else None
    self._checkpointer = None

  def __enter__(self):
    return self

  def __exit__(self, kind, error, trace):
    # An error of the last save must not hide the one that ended the training.
    with contextlib.suppress(Exception) if error else contextlib.nullcontext():
      self.close()

  @property
  def latest_step(self) -> int | None:
    """Step of the newest checkpoint, or None."""
    return latest_step(self._directory)

  def save(self, state: TrainState, iterator: Resumable):
    """Begins to write the state, which may be donated once this returns.

    Args:
      state: state of the training.
      iterator: iterator over the training data, at the same position.
    """
    if self._checkpointer is None:
      self._checkpointer = ocp.training.Checkpointer(
        self._directory,
        preservation_policy=ocp.training.preservation_policies.LatestN(KEEP),
        cleanup_tmp_directories=True,
      )
    # Before the first evaluation it is not known which weights are the best.
    known = bool(np.isfinite(state.best_loss))
    items = {
      "model": {
        "variables": state.best if known else state.variables_to_use,
        "step": state.best_step if known else state.step,
      },
      "training": state.replace(best={}),
      # This is one number, the same in every process. Orbax would store the
      # iterator itself once for each of today's processes.
      "data": iterator.get_state(),
    }
    step = int(state.step)
    digests = Digests(step, items, self._built_upon)
    self._checkpointer.save_checkpointables_async(
      step, {**items, DIGESTS: digests}, force=True
    )

  def restore(
    self, like: TrainState, iterator: Resumable, step: int
  ) -> TrainState:
    """Returns the state of a step; `iterator` is moved to the same position.

    Args:
      like: state of the same shapes, dtypes and shardings.
      iterator: iterator over the same training data.
      step: step of the checkpoint.

    Raises:
      RunError: if the checkpoint is damaged or does not fit.
    """
    items = {
      "model": {
        "variables": abstract(like.best),
        "step": abstract(like.step),
      },
      "training": abstract(like.replace(best={})),
      "data": iterator.get_state(),
    }
    loaded = load_items(self._directory, items, step, self._built_upon)
    iterator.set_state(loaded["data"])
    return loaded["training"].replace(best=loaded["model"]["variables"])

  def set_aside_after(self, step: int) -> list[epath.Path]:
    """Renames the checkpoints after a step, so that training continues there.

    Returns:
      Their new paths.
    """
    moved = []
    for later in steps(self._directory):
      if later > step:
        path = self._directory / str(later)
        target = _free(path.with_name(f"{path.name}{SET_ASIDE}"))
        path.rename(target)
        moved.append(target)
    return moved

  def close(self):
    """Waits for the last save."""
    checkpointer, self._checkpointer = self._checkpointer, None
    if checkpointer is not None:
      checkpointer.close()


def load_model(
  directory: epath.PathLike,
  like: PyTree,
  step: int | None = None,
  built_upon: str | None = None,
) -> tuple[PyTree, int]:
  """Loads the best weights of a stage.

  Args:
    directory: folder of the stage's checkpoints.
    like: variables of the same shapes and dtypes, or their
      `jax.ShapeDtypeStruct`s with shardings.
    step: step of the checkpoint, by default the newest.
    built_upon: digest of what the stage must have been trained on, if any.

  Returns:
    The variables, and the step that they are from.

  Raises:
    RunError: if there is no checkpoint, or it is damaged or does not fit.
  """
  directory = epath.Path(directory).absolute()
  if step is None and latest_step(directory) is None:
    raise RunError(f"{directory} holds no checkpoint; run train.py first")
  sharding = jax.tree.leaves(like)[0].sharding
  item = {
    "variables": abstract(like),
    "step": jax.ShapeDtypeStruct((), np.int32, sharding=sharding),
  }
  step = latest_step(directory) if step is None else step
  loaded = load_items(directory, {"model": item}, step, built_upon)
  return loaded["model"]["variables"], int(loaded["model"]["step"])


def load_items(
  directory: epath.Path,
  items: dict[str, PyTree],
  step: int,
  built_upon: str | None = None,
) -> dict[str, Any]:
  """Loads items of a checkpoint and compares each with its digest.

  Args:
    directory: folder of the stage's checkpoints.
    items: shapes and dtypes of the items by name.
    step: step of the checkpoint.
    built_upon: digest of what the stage must have been trained on, if any.

  Raises:
    RunError: in one line, what is wrong with the checkpoint, and which older
      one is whole.
  """
  there = steps(directory)
  if step not in there:
    raise RunError(
      f"{directory} has no checkpoint of step {step}; it has "
      f"{', '.join(map(str, there)) or 'none'}"
    )
  try:
    loaded, known = _load(directory, items, step)
  except _Damaged as damage:
    raise RunError(
      f"{directory / str(step)} {damage}; "
      f"{_way_out(directory, items, step, damage)}"
    ) from None
  if known is None:
    warn(
      f"{directory / str(step)} was saved by an older version and has no "
      "digest, so damage to it would not be noticed"
    )
  elif built_upon and known["built_upon"] not in (None, built_upon):
    raise RunError(
      f"{directory / str(step)} was not trained on the tokenizer that is "
      f"loaded; move {directory} away to train it again, or take the tokenizer "
      "that it was trained on with --from-step=tokenizer:STEP"
    )
  return loaded


class _Damaged(Exception):
  """A checkpoint cannot be used. The message follows its path."""


class _Misfit(_Damaged):
  """A checkpoint is whole, but of other settings or another version."""


def _load(directory, items, step):
  """Loads items; also returns digests, which old versions did not keep."""
  path = directory / str(step)
  for name in items:
    if not (path / name).is_dir():
      raise _Damaged(f"is damaged: {name!r} is missing")
  known = _read_digests(path)
  if known and known["step"] != step:
    raise _renamed(known["step"])
  for name, item in items.items() if known else ():
    if known["layouts"].get(name) != layout(item):
      raise _Misfit(
        "does not fit the settings in config.json, or another version of "
        "vqvae_jax saved it"
      )
  loaded = _load_quietly(
    path,
    items,
    "" if known else ", or does not fit the settings in config.json",
  )
  if "data" in items:
    loaded["data"] = jax.tree.map(int, loaded["data"])
  for name, item in loaded.items() if known else ():
    if known["items"].get(name) != digest(item):
      raise _Damaged(f"is damaged: {name!r} is not what was saved")
  if "training" in items and int(loaded["training"].step) != step:
    raise _renamed(int(loaded["training"].step))
  return loaded, known


def _renamed(step):
  return _Damaged(f"holds step {step}: give the folder that name again")


def _read_digests(path):
  """Returns what `digests` holds, or None if an old version saved none."""
  try:
    metadata = read_json(path / "_CHECKPOINT_METADATA")
    if DIGESTS not in metadata["item_handlers"]:
      if not (path / DIGESTS).exists():
        return None
      raise KeyError(DIGESTS)
    known = read_json(path / DIGESTS / FILE)
    if isinstance(known["items"], dict) and isinstance(known["layouts"], dict):
      return {name: known[name] for name in FIELDS}
  except RunError as error:
    raise _Damaged(f"is damaged: {error}") from None
  except (KeyError, TypeError):
    pass
  raise _Damaged(f"is damaged: its list of items or of {DIGESTS} is broken")


def _load_quietly(path, items, hint):
  """Loads items; whatever Orbax reports becomes one error.

  Its threads print tracebacks of their own, some of them when they are
  collected.
  """
  hooks = sys.unraisablehook, threading.excepthook
  loop = logging.getLogger("asyncio")
  disabled, loop.disabled = loop.disabled, True
  sys.unraisablehook = threading.excepthook = lambda _: None
  try:
    with warnings.catch_warnings():
      warnings.simplefilter("ignore")
      try:
        return ocp.load_checkpointables(path, items)
      except Exception as error:
        # Orbax does not document what it raises for a damaged file.
        reason = told_in_one_line(error) or f"it cannot be read{hint}"
      gc.collect()
  finally:
    sys.unraisablehook, threading.excepthook = hooks
    loop.disabled = disabled
  raise _Damaged(f"is damaged: {reason}")


def _way_out(directory, items, broken, damage):
  """Says what to do instead of loading the broken checkpoint."""
  for step in reversed(steps(directory)):
    if step == broken:
      continue
    try:
      _load(directory, items, step)
    except _Damaged:
      continue
    return (
      f"step {step} is whole: --from-step={directory.name}:{step} continues "
      "from there"
    )
  if isinstance(damage, _Misfit):
    return (
      "restore config.json if it was changed, or move "
      f"{directory} away and train that stage again"
    )
  return (
    "no whole checkpoint is left; restore it from a copy, or move "
    f"{directory} away and train that stage again"
  )


def steps(directory: epath.PathLike) -> list[int]:
  """Returns the steps of the checkpoints in a folder, in order.

  A killed process leaves no partial checkpoint, because Orbax renames the
  folder last. Stores such as `gs://` cannot rename; there a file says that
  everything is written.
  """
  directory = epath.Path(directory)
  if not directory.is_dir():
    return []
  remote = is_remote(directory)
  return sorted(
    int(path.name)
    for path in directory.iterdir()
    if path.name.isascii()
    and path.name.isdecimal()
    and str(int(path.name[:18])) == path.name
    and (not remote or ocp.is_orbax_checkpoint(path))
  )


def latest_step(directory: epath.PathLike) -> int | None:
  """Returns the step of the newest checkpoint in a folder, or None."""
  return max(steps(directory), default=None)


def abstract(tree: PyTree) -> PyTree:
  """Returns shapes, dtypes and shardings of the arrays of a tree."""
  return jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), tree
  )


def _free(path):
  """Returns the path, with a number if it exists already."""
  number, free = 1, path
  while free.exists():
    number, free = number + 1, path.with_name(f"{path.name}-{number}")
  return free
