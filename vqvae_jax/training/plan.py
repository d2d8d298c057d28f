"""The time, memory and disk that a training will take, before it starts.

The step of each stage is compiled and timed on real batches, and the training
uses the same compiled step. A run that the machine cannot hold is refused with
the figure, before anything is allocated or written.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Sequence

import jax
import numpy as np
from etils import epath
from jax.sharding import Mesh
from jaxtyping import PyTree

from vqvae_jax.config import StageConfig
from vqvae_jax.data import Data
from vqvae_jax.errors import ConfigError
from vqvae_jax.machine import free_bytes, memory_bytes, size
from vqvae_jax.progress import duration, rate
from vqvae_jax.sharding import local_rows, to_global
from vqvae_jax.training.checkpoints import KEEP
from vqvae_jax.training.programs import Programs
from vqvae_jax.training.sizes import rounded, there_is
from vqvae_jax.training.state import Task

# Steps that are timed after the first one, fewer if they are slow.
TIMED = 3
SLOW_SECONDS = 2.0
# Time of an evaluation over that of a step, which also has a gradient.
EVALUATION = 0.4
# From this many seconds on, the plan says what shortens the run.
LONG = 30 * 60


@dataclasses.dataclass(frozen=True)
class Cost:
  """What one stage costs.

  Attributes:
    name: name of the stage in its flags.
    title: name of the stage on the screen.
    steps: optimizer steps still to do.
    batch_size: images in each step.
    step_seconds: measured time of a step, without compiling.
    compile_seconds: measured time of compiling, which is short if the step was
      compiled before.
    evaluation_seconds: estimated time of all evaluations together.
    parameters: count of the numbers that are learned.
    state_bytes: size of the training state.
    memory_bytes: size of state, batch and intermediate results on one device.
  """

  name: str
  title: str
  steps: int
  batch_size: int
  step_seconds: float
  compile_seconds: float
  evaluation_seconds: float
  parameters: int
  state_bytes: int
  memory_bytes: int

  @property
  def seconds(self) -> float:
    """Expected time of the stage, without compiling."""
    return self.steps * self.step_seconds + self.evaluation_seconds

  @property
  def disk_bytes(self) -> int:
    """Size of the checkpoints that are kept and the one being written."""
    return (KEEP + 1) * self.state_bytes


def measure(
  name: str,
  title: str,
  task: Task,
  config: StageConfig,
  programs: Programs,
  data: Data,
  done: int,
) -> tuple[Cost, PyTree]:
  """Compiles the step of a stage and times a few.

  Args:
    name: name of the stage in its flags.
    title: name of the stage on the screen.
    task: task of the stage.
    config: settings of the stage.
    programs: functions of the stage.
    data: data with the splits "train" and "validation".
    done: number of steps that were done before.

  Returns:
    The cost, and untrained variables of the right shapes.

  Raises:
    ConfigError: if a step needs more memory than a device has.
  """
  memory = memory_bytes(programs.mesh)
  start = time.monotonic()
  state = programs.abstract_state(data.spec)
  parameters = numbers(state.params)
  batch = _first_batch(programs, data)
  key = programs.key
  like = jax.tree.map(_abstract, (task.frozen, state, batch, key))
  analysis = programs.step.lower(*like).compile().memory_analysis()
  need = _needed(analysis) or _bytes(state) + _bytes(batch)
  if need > memory:
    raise ConfigError(
      f"a step of the {title} with {programs.batch_size:,} images needs "
      f"{size(need)}, and {there_is(memory)}; try a smaller --batch-size or "
      f"--{name}.accumulate={2 * config.accumulate}"
    )
  compiled = time.monotonic() - start
  seconds, variables = _timed(programs, task.frozen, data, batch, key)
  steps = max(0, config.steps - done)
  batches = -(-data.spec.num_validation // programs.batch_size)
  evaluations = -(-steps // config.eval_every) * batches
  cost = Cost(
    name=name,
    title=title,
    steps=steps,
    batch_size=programs.batch_size,
    step_seconds=seconds,
    compile_seconds=compiled,
    evaluation_seconds=EVALUATION * seconds * evaluations,
    parameters=parameters,
    state_bytes=_bytes(state),
    memory_bytes=need,
  )
  return cost, variables


def _needed(analysis):
  """Returns the bytes that a program needs, or 0 if XLA does not tell."""
  if analysis is None:
    return 0
  return (
    analysis.argument_size_in_bytes
    + analysis.output_size_in_bytes
    - analysis.alias_size_in_bytes
    + analysis.temp_size_in_bytes
  )


def _timed(programs, frozen, data, batch, key):
  state = programs.first_state(data)
  variables = jax.tree.map(lambda x: x.copy(), state.variables)
  seconds = []
  while len(seconds) <= TIMED:
    start = time.monotonic()
    state, metrics = programs.step(frozen, state, batch, key)
    jax.block_until_ready((state, metrics))
    seconds.append(time.monotonic() - start)
    # All processes must time the same number of steps.
    if sum(seconds) > SLOW_SECONDS and jax.process_count() == 1:
      break
  # The first step also loads the program.
  return float(np.median(seconds[1:] or seconds)), variables


def _first_batch(programs, data):
  rows = np.resize(np.arange(len(data["train"])), programs.batch_size)
  rows = local_rows({"rows": rows})["rows"]
  return to_global(data["train"].gather(rows), programs.mesh)


def _abstract(x):
  return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding)


def numbers(tree: PyTree) -> int:
  """How many numbers the arrays of a tree hold."""
  return sum(math.prod(x.shape) for x in jax.tree.leaves(tree))


def _bytes(tree):
  return sum(
    math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(tree)
  )


def check_disk(costs: Sequence[Cost], folder: epath.PathLike) -> None:
  """Refuses a run whose checkpoints do not fit on the disk.

  Raises:
    ConfigError: naming the bytes.
  """
  free = free_bytes(folder)
  need = sum(cost.disk_bytes for cost in costs)
  if free is not None and need > free:
    raise ConfigError(
      f"the checkpoints need {size(need)}, and {folder} has {size(free)} "
      "free; make room, or use another --workdir"
    )


def lines(
  costs: Sequence[Cost],
  mesh: Mesh,
  folder: epath.PathLike,
  shorter: Callable[[str], str | None],
) -> list[str]:
  """Returns the plan of the stages still to be trained, line by line.

  Args:
    costs: cost of each stage.
    mesh: devices of the run.
    folder: path of the run folder.
    shorter: function from the name of a stage to a flag that makes it faster,
      besides fewer steps, in words.
  """
  found = []
  for cost in costs:
    speed = rate(cost.batch_size / cost.step_seconds, "images")
    found.append(
      f"{cost.title}: {rounded(cost.parameters)} parameters; {cost.steps:,} "
      f"steps of {cost.batch_size:,} images at {speed}: about "
      f"{duration(cost.seconds)}"
    )
  total = sum(cost.seconds for cost in costs)
  compiling = sum(cost.compile_seconds for cost in costs)
  found.append(
    f"time: about {duration(total)} if this machine stays as busy as it is, "
    f"plus compiling ({duration(compiling)} so far) and pictures"
  )
  memory = max(cost.memory_bytes for cost in costs)
  disk = sum(cost.disk_bytes for cost in costs)
  free = free_bytes(folder)
  found.append(
    f"memory: {size(memory)} of {size(memory_bytes(mesh))} for each device; "
    f"disk: {size(disk)} for checkpoints"
    + (f", {size(free)} are free" if free is not None else "")
  )
  if total > LONG:
    found.append(_shorter(costs, shorter))
  return found


def _shorter(costs, shorter):
  """Names the flags that halve the time."""
  halves = " ".join(f"--{c.name}.steps={-(-c.steps // 2)}" for c in costs)
  text = f"to halve the time: {halves}"
  slowest = max(costs, key=lambda cost: cost.seconds)
  other = shorter(slowest.name)
  return f"{text}; or {other}" if other else text
