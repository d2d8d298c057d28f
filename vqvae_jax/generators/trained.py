"""What trained models of every kind have in common as Python objects."""

import os
from collections.abc import Mapping
from typing import Any

from etils import epath
from jax.sharding import Mesh

from vqvae_jax.errors import RunError
from vqvae_jax.files import expand, is_remote
from vqvae_jax.sharding import make_mesh
from vqvae_jax.training import workdir as folder


class Trained:
  """The run that a model comes from.

  A model is pickled as the name of its run folder, so that a worker process can
  carry it: the folder is read again there, on the devices of that process.

  Attributes:
    config: settings of the run.
    spec: what is known of its data: image shape, class names, ...
    mesh: devices that work is divided among.
  """

  def __init__(
    self,
    workdir: epath.PathLike,
    mesh: Mesh | None = None,
    steps: Mapping[str, int] | None = None,
  ):
    """Reads the settings of the run; see `load`.

    Args:
      workdir: run folder of `train.py`.
      mesh: devices to work on, by default all.
      steps: steps of the checkpoints by stage, by default the newest.
    """
    # Another process may have another current folder.
    path = os.fspath(expand(workdir))
    self._workdir = path if is_remote(path) else os.path.abspath(path)
    self._steps = dict(steps or {})
    info = folder.read(self._workdir)
    self.config = info.config
    self.spec = info.spec
    self.mesh = mesh or make_mesh()

  @property
  def trained_steps(self) -> int:
    """Training step of the weights that were loaded first."""
    raise NotImplementedError

  def __repr__(self) -> str:
    height, width, channels = self.spec.image_shape
    names = self.spec.class_names
    classes = (
      f"{len(names)} classes ({_listed(names)})" if names else "no labels"
    )
    return (
      f"<{type(self).__name__} of {self.spec.name}: images "
      f"{width}x{height}x{channels}, {classes}, {self._described()}, step "
      f"{self.trained_steps}, from {self._workdir}>"
    )

  def _described(self) -> str:
    """What kind of model it is, in a few words."""
    raise NotImplementedError

  def _stages(self) -> tuple[str, ...]:
    """The stages whose weights were loaded."""
    return ("",)

  def _step_of(self, stage: str) -> int:
    """Training step of a stage's weights, which this loads if need be."""
    del stage  # A baseline has but one.
    return self.trained_steps

  def __reduce__(self):
    trained = {stage: self._step_of(stage) for stage in self._stages()}
    return _reload, (type(self), self._workdir, self._steps, trained)

  def __copy__(self):
    other = object.__new__(type(self))
    other.__dict__.update(self.__dict__)
    return other


def _reload(
  kind: type,
  workdir: str,
  steps: Mapping[str, int],
  trained: Mapping[str, int],
) -> Any:
  """The model that was pickled.

  Raises:
    RunError: if the run folder holds other weights by now.
  """
  model = kind(workdir, steps=steps)
  for stage, step in trained.items():
    now = model._step_of(stage)
    if now != step:
      named = f"{stage} weights" if stage else "weights"
      raise RunError(
        f"{workdir} holds {named} of step {now}, but the model was pickled at "
        f"step {step}; load it again"
      )
  return model


def _listed(names):
  if len(names) <= 6:
    return ", ".join(names)
  return f"{', '.join(names[:3])}, ..., {names[-1]}"
