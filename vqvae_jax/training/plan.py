"""What a training will take, before it starts: time, memory, disk.

Each stage's step is compiled and timed on real batches; the training goes on
with the same compiled step. What the machine cannot hold is refused by the
figure, before anything is allocated or written.
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
from vqvae_jax.data import Data, DataSpec
from vqvae_jax.errors import ConfigError
from vqvae_jax.machine import free_bytes, memory_bytes, size
from vqvae_jax.progress import duration, rate
from vqvae_jax.sharding import local_rows, to_global
from vqvae_jax.training.checkpoints import KEEP
from vqvae_jax.training.programs import Programs
from vqvae_jax.training.state import Task

# An image is at least its bytes, the same as floats, and its reconstruction.
BYTES_PER_NUMBER = 1 + 4 + 4
# Steps that are timed after the first; fewer where they are slow.
TIMED = 3
SLOW_SECONDS = 2.0
# An evaluation has no gradient.
EVALUATION = 0.4
# From so many seconds on the plan says what shortens it.
LONG = 30 * 60


@dataclasses.dataclass(frozen=True)
class Cost:
  """What one stage takes.

  Attributes:
    name: of the stage, in its flags.
    title: of the stage, on the screen.
    steps: optimizer steps still to do.
    batch_size: images in each.
    step_seconds: measured, without compiling.
    compile_seconds: measured; most of it is saved if it was compiled before.
    evaluation_seconds: estimated, of all evaluations together.
    parameters: numbers that are learnt.
    state_bytes: of the training state.
    memory_bytes: of state, batch and intermediate results on one device.
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
    """Of the stage, without compiling."""
    return self.steps * self.step_seconds + self.evaluation_seconds

  @property
  def disk_bytes(self) -> int:
    """Of the checkpoints that are kept, and the one that is written."""
    return (KEEP + 1) * self.state_bytes


def check_batch_fits(
  name: str, batch_size: int, spec: DataSpec, memory: int, devices: int
):
  """Refuses batches that are too large whatever the model.

  Args:
    name: flag of the batch size.
    batch_size: images in a global batch.
    spec: of the images.
    memory: bytes of a device.
    devices: how many share a batch.

  Raises:
    ConfigError: naming the bytes.
  """
  image = BYTES_PER_NUMBER * math.prod(spec.image_shape)
  need = batch_size / devices * image
  if need > memory:
    height, width, channels = spec.image_shape
    raise ConfigError(
      f"{name} {batch_size:,}: a batch of images of {width}x{height}x"
      f"{channels} needs {size(need)} or more, and {_there_is(memory)}; "
      "try a smaller one"
    )


def check_image_fits(side: int, channels: int, memory: int):
  """Refuses images of which not even one fits.

  Args:
    side: of an image, in pixels.
    channels: 1 or 3.
    memory: bytes of a device.

  Raises:
    ConfigError: naming the bytes.
  """
  need = BYTES_PER_NUMBER * channels * side**2
  if need > memory:
    raise ConfigError(
      f"--image-size {side:,}: one image needs {size(need)} or more, "
      f"and {_there_is(memory)}; try a smaller one"
    )


def check_model_fits(
  name: str, config: StageConfig, parameters: float, memory: int
):
  """Refuses models that are too large whatever the batch.

  Args:
    name: of the stage, in its flags.
    config: of the stage.
    parameters: numbers that are learnt.
    memory: bytes of a device.

  Raises:
    ConfigError: naming the bytes, and the setting that is furthest from its
      default.
  """
  # The weights, the best of them, and their gradient.
  need = 3 * 4 * parameters
  if need > memory:
    raise ConfigError(
      f"the {name} has {_rounded(parameters)} parameters, which need "
      f"{size(need)} or more, and {_there_is(memory)}; try a smaller "
      f"{_largest(name, config)}"
    )


def _there_is(memory):
  return f"this machine has {size(memory)} for each device"


def _rounded(count):
  for unit, one in (("trillion", 1e12), ("billion", 1e9), ("million", 1e6)):
    if count >= one:
      return f"{count / one:,.1f} {unit}"
  return f"{count:,.0f}"


def _largest(name, config):
  """The flag of the whole number that is furthest above its default."""

  def excess(field):
    value = getattr(config, field.name)
    if type(value) is not int or type(field.default) is not int:
      return 0
    return value / max(field.default, 1)

  # What makes a network larger: its number of steps, say, does not.
  no_size = {field.name for field in dataclasses.fields(StageConfig)}
  fields = [f for f in dataclasses.fields(config) if f.name not in no_size]
  field = max(fields, key=excess)
  flag = field.name.replace("_", "-")
  return f"--{name}.{flag} (now {getattr(config, field.name):,})"


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
    name: of the stage, in its flags.
    title: of the stage, on the screen.
    task: of the stage.
    config: of the stage.
    programs: of the stage.
    data: with the splits "train" and "validation".
    done: steps that were done before.

  Returns:
    The cost, and variables of the right shapes that have learnt nothing.

  Raises:
    ConfigError: if it needs more memory than there is.
  """
  memory = memory_bytes(programs.mesh)
  start = time.monotonic()
  state = programs.abstract_state(data.spec)
  parameters = numbers(state.params)
  batch = _first_batch(programs, data)
  key = programs.key
  like = jax.tree.map(_abstract, (task.frozen, state, batch, key))
  analysis = programs.step.lower(*like).compile().memory_analysis()
  need = _bytes(state) + _bytes(batch)
  if analysis is not None:
    need = (
      analysis.argument_size_in_bytes
      + analysis.output_size_in_bytes
      - analysis.alias_size_in_bytes
      + analysis.temp_size_in_bytes
    )
  if need > memory:
    raise ConfigError(
      f"a step of the {title} with {programs.batch_size:,} images needs "
      f"{size(need)}, and {_there_is(memory)}; try a smaller --batch-size or "
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


def _timed(programs, frozen, data, batch, key):
  state = programs.first_state(data)
  variables = jax.tree.map(lambda x: x.copy(), state.variables)
  seconds = []
  while len(seconds) <= TIMED:
    start = time.monotonic()
    state, metrics = programs.step(frozen, state, batch, key)
    jax.block_until_ready((state, metrics))
    seconds.append(time.monotonic() - start)
    # All processes do the same number.
    if sum(seconds) > SLOW_SECONDS and jax.process_count() == 1:
      break
  # The first also loads the program.
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


def check_disk(costs: Sequence[Cost], folder: epath.Path):
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
  folder: epath.Path,
  shorter: Callable[[str], str | None],
) -> list[str]:
  """The plan of the stages still to be trained, a line for each question.

  Args:
    costs: of each stage.
    mesh: the devices.
    folder: the run folder.
    shorter: function from the name of a stage to a flag that makes it faster,
      besides fewer steps, in words.
  """
  found = []
  for cost in costs:
    speed = rate(cost.batch_size / cost.step_seconds, "images")
    found.append(
      f"{cost.title}: {_rounded(cost.parameters)} parameters; {cost.steps:,} "
      f"steps of {cost.batch_size:,} images at {speed}: about "
      f"{duration(cost.seconds)}"
    )
  total = sum(cost.seconds for cost in costs)
  compiling = sum(cost.compile_seconds for cost in costs)
  found.append(
    f"time: about {duration(total)} on this machine as busy as it is now, "
    f"besides compiling ({duration(compiling)} so far) and pictures"
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
  """Which flags halve the time."""
  halves = " ".join(f"--{c.name}.steps={-(-c.steps // 2)}" for c in costs)
  text = f"to halve the time: {halves}"
  slowest = max(costs, key=lambda cost: cost.seconds)
  other = shorter(slowest.name)
  return f"{text}; or {other}" if other else text
