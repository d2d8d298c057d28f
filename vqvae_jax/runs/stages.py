"""The stages of a run: their settings, tasks and compiled functions."""

import dataclasses
from collections.abc import Mapping, Sequence

from jax.sharding import Mesh
from jaxtyping import PyTree

from vqvae_jax.config import Config, StageConfig, resolve_stride
from vqvae_jax.data import Data, DataSpec
from vqvae_jax.generators.baseline_tasks import baseline_task
from vqvae_jax.generators.vqvae.prior import prior_task
from vqvae_jax.generators.vqvae.tokenizer import TokenizerTask
from vqvae_jax.machine import memory_bytes
from vqvae_jax.training import plan, workdir
from vqvae_jax.training import state as st
from vqvae_jax.training.programs import Programs

# Settings that repeat a part of a network. Tracing takes a time for each, so of
# deep networks the size is told from two shallow ones.
REPEATED = ("layers", "residual_layers", "depth")
DEEP = 64


@dataclasses.dataclass(frozen=True)
class Prepared:
  """What was made before the training for its plan.

  Attributes:
    programs: by stage.
    costs: of the stages still to be trained, in their order.
  """

  programs: Mapping[str, Programs]
  costs: Sequence[plan.Cost] = ()

  def later(self, name: str) -> float:
    """Expected seconds of the stages after one."""
    names = [cost.name for cost in self.costs]
    if name not in names:
      return 0.0
    after = self.costs[names.index(name) + 1 :]
    return sum(cost.seconds + cost.compile_seconds for cost in after)


def title(name: str, config: Config) -> str:
  """What a stage is called on the screen: a baseline as its model."""
  return config.model if name == workdir.BASELINE else name


def settings(name: str, config: Config) -> StageConfig:
  """The settings of a stage; a baseline's depend on its model."""
  if name == workdir.BASELINE:
    return config.baseline.resolve(config.model)
  return getattr(config, name)


def make_task(
  name: str, config: Config, spec: DataSpec, tokenizer: PyTree = ()
) -> st.Task:
  """The task of a stage.

  Args:
    name: of the stage.
    config: of the run.
    spec: of the data.
    tokenizer: the variables that the prior is trained on.
  """
  if name == "tokenizer":
    return TokenizerTask(config, spec)
  if name == "prior":
    return prior_task(config, spec, tokenizer)
  return baseline_task(config, spec)


def make_programs(
  name: str, config: Config, task: st.Task, mesh: Mesh
) -> Programs:
  """The functions of a stage; nothing is compiled yet."""
  stage = settings(name, config)
  return Programs(
    task,
    stage,
    stage.batch_size or config.batch_size,
    mesh,
    # Each stage of a run has weights and noise of its own.
    2 * config.seed + (name == "prior"),
  )


def names(config: Config) -> list[str]:
  """The stages that `--stage` asks for, in their order."""
  every = workdir.stages(config.model)
  return [n for n in every if config.stage in ("all", n)]


def check_image_size(config: Config, mesh: Mesh):
  """Refuses sizes of images that cannot work, before any image is read.

  Raises:
    ConfigError: naming what a batch would need, or a size that works.
  """
  size = config.image_size
  if size is None:
    return
  memory = memory_bytes(mesh)
  # One image, of one channel if that is not known yet.
  plan.check_image_fits(size, config.channels or 1, memory)
  if config.model == "vqvae":
    resolve_stride(config.tokenizer.stride, size, size)


def check_sizes(config: Config, spec: DataSpec, mesh: Mesh):
  """Refuses numbers too large for the machine; nothing is computed.

  Raises:
    ConfigError: naming what they would need.
  """
  memory = memory_bytes(mesh)
  for name in names(config):
    own = settings(name, config).batch_size
    plan.check_batch_fits(
      "--batch-size" if own is None else f"--{name}.batch-size",
      own or config.batch_size,
      spec,
      memory,
      mesh.size,
    )
    count = _parameters(name, config, spec, mesh)
    plan.check_model_fits(name, settings(name, config), count, memory)


def _parameters(name, config, spec, mesh):
  stage = getattr(config, name)
  for field in REPEATED:
    value = getattr(stage, field, 0)
    residual = getattr(stage, "quantizer", "") == "residual"
    if value <= DEEP or (field == "depth" and not residual):
      continue

    def with_only(number, field=field):
      shallow = dataclasses.replace(stage, **{field: number})
      changed = dataclasses.replace(config, **{name: shallow})
      return _parameters(name, changed, spec, mesh)

    one, two = with_only(1), with_only(2)
    return one + (value - 1) * (two - one)
  task = make_task(name, config, spec)
  state = make_programs(name, config, task, mesh).abstract_state(spec)
  # Codes that follow averages are learnt as well.
  return plan.numbers((state.params, state.codebook))


def prepare(
  config: Config,
  data: Data,
  mesh: Mesh,
  done: Mapping[str, int],
  tokenizer: PyTree | None,
) -> Prepared:
  """Compiles and times the steps of the stages that are not done.

  Args:
    config: of the run.
    data: with the splits "train" and "validation".
    mesh: the devices.
    done: steps of each stage that were done before.
    tokenizer: variables of a trained one; by default new ones stand for them.
  """
  programs, costs = {}, []
  for name in names(config):
    stage = settings(name, config)
    if done[name] >= stage.steps:
      continue
    task = make_task(name, config, data.spec, tokenizer)
    programs[name] = make_programs(name, config, task, mesh)
    cost, variables = plan.measure(
      name,
      title(name, config),
      task,
      stage,
      programs[name],
      data,
      done[name],
    )
    costs.append(cost)
    tokenizer = variables if tokenizer is None else tokenizer
  return Prepared(programs, costs)
