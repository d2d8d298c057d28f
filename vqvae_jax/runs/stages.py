"""The stages of a run: sizes that are refused, programs, the plan."""

import dataclasses
from collections.abc import Mapping, Sequence

from jax.sharding import Mesh
from jaxtyping import PyTree

from vqvae_jax.config import Config, StageConfig
from vqvae_jax.data import Data, DataSpec
from vqvae_jax.generators import GENERATORS, Generator, Stage, build
from vqvae_jax.machine import memory_bytes
from vqvae_jax.sharding import check_batch
from vqvae_jax.training import plan, sizes
from vqvae_jax.training.programs import Programs
from vqvae_jax.training.state import Task

# Settings that repeat a part of a network. Tracing takes a time for each, so
# the size of a deep network is computed from two shallow ones.
REPEATED = ("layers", "residual_layers", "depth")
DEEP = 64


@dataclasses.dataclass(frozen=True)
class Prepared:
  """What was made before the training for its plan.

  Attributes:
    programs: compiled functions by stage.
    costs: costs of the stages still to be trained, in their order.
  """

  programs: Mapping[str, Programs]
  costs: Sequence[plan.Cost] = ()

  def later(self, name: str) -> float:
    """Returns the expected seconds of the stages after one."""
    names = [cost.name for cost in self.costs]
    if name not in names:
      return 0.0
    after = self.costs[names.index(name) + 1 :]
    return sum((cost.seconds + cost.compile_seconds for cost in after), 0.0)


def asked(config: Config, generator: Generator) -> list[Stage]:
  """Returns the stages that `--stage` asks for, in their order."""
  return [
    stage for stage in generator.stages if config.stage in ("all", stage.name)
  ]


def make_programs(
  config: Config, generator: Generator, stage: Stage, task: Task, mesh: Mesh
) -> Programs:
  """Returns the functions of a stage; nothing is compiled yet."""
  # Each stage of a run has weights and noise of its own.
  several = max(2, len(generator.stages))
  return Programs(
    task,
    stage.settings,
    stage.settings.batch_size or config.batch_size,
    mesh,
    several * config.seed + generator.stages.index(stage),
  )


def check_batches(config: Config, names: Sequence[str], mesh: Mesh) -> None:
  """Refuses batches that the mesh cannot divide; needs no data.

  Args:
    config: settings of the run.
    names: names of the stages.
    mesh: devices of the run.

  Raises:
    ConfigError: naming the batch size and the devices.
  """
  for name in names:
    stage: StageConfig = getattr(config, name)
    batch_size = stage.batch_size or config.batch_size
    check_batch("batch_size", batch_size, stage.accumulate, mesh)


def check_image_size(config: Config, mesh: Mesh) -> None:
  """Refuses sizes of images that cannot work, before any image is read.

  Raises:
    ConfigError: naming what a batch would need, or a size that works.
  """
  size = config.image_size
  if size is None:
    return
  # One image, of one channel if that is not known yet.
  sizes.check_image_fits(size, config.channels or 1, memory_bytes(mesh))
  GENERATORS[config.model].check_image_size(config, size)


def check_sizes(config: Config, spec: DataSpec, mesh: Mesh) -> None:
  """Refuses numbers that are too large for the machine; nothing is computed.

  Raises:
    ConfigError: naming what they would need.
  """
  memory = memory_bytes(mesh)
  for stage in asked(config, build(config, spec)):
    own = stage.settings.batch_size
    sizes.check_batch_fits(
      "--batch-size" if own is None else f"--{stage.name}.batch-size",
      own or config.batch_size,
      spec,
      memory,
      mesh.size,
    )
    count = parameters(stage.name, config, spec, mesh)
    sizes.check_model_fits(stage.name, stage.settings, count, memory)


def parameters(name: str, config: Config, spec: DataSpec, mesh: Mesh) -> int:
  """Returns how many numbers a stage learns.

  Args:
    name: name of the stage.
    config: settings of the run.
    spec: specification of the data.
    mesh: devices of the run.
  """
  settings = getattr(config, name)
  for field in REPEATED:
    value = getattr(settings, field, 0)
    residual = getattr(settings, "quantizer", "") == "residual"
    if value <= DEEP or (field == "depth" and not residual):
      continue

    def with_only(number, field=field):
      shallow = dataclasses.replace(settings, **{field: number})
      changed = dataclasses.replace(config, **{name: shallow})
      return parameters(name, changed, spec, mesh)

    one, two = with_only(1), with_only(2)
    return one + (value - 1) * (two - one)
  generator = build(config, spec)
  stage = generator.stage(name)
  task = stage.make_task(())
  programs = make_programs(config, generator, stage, task, mesh)
  state = programs.abstract_state(spec)
  # Codes that follow averages are learned as well.
  return plan.numbers((state.params, state.collections))


def prepare(
  config: Config,
  generator: Generator,
  data: Data,
  mesh: Mesh,
  done: Mapping[str, int],
  weights: Mapping[str, PyTree],
) -> Prepared:
  """Compiles and times the steps of the stages that are not done.

  Args:
    config: settings of the run.
    generator: generator of the run.
    data: data with the splits "train" and "validation".
    mesh: devices of the run.
    done: steps of each stage that were done before.
    weights: weights of trained stages by name; new ones stand for the others.
  """
  programs, costs, weights = {}, [], dict(weights)
  for stage in asked(config, generator):
    if done[stage.name] >= stage.settings.steps:
      continue
    earlier = weights[stage.built_upon] if stage.built_upon else ()
    task = stage.make_task(earlier)
    compiled = make_programs(config, generator, stage, task, mesh)
    programs[stage.name] = compiled
    cost, variables = plan.measure(
      stage.name,
      stage.title,
      task,
      stage.settings,
      compiled,
      data,
      done[stage.name],
    )
    costs.append(cost)
    weights.setdefault(stage.name, stage.weights(variables))
  return Prepared(programs, costs)
