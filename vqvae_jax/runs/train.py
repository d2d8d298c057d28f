"""A whole training run: checks, data, then stage by stage."""

import contextlib
import dataclasses
import time
from collections.abc import Mapping

import jax
from etils import epath
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from jaxtyping import PyTree
from rich.console import Console

from vqvae_jax.config import Config, generators
from vqvae_jax.data import Data, load_data
from vqvae_jax.errors import RunError
from vqvae_jax.files import expand
from vqvae_jax.generators import Generator, Stage, build
from vqvae_jax.generators.stage_pictures import make_pictures
from vqvae_jax.generators.weights import load_stage
from vqvae_jax.progress import say, working
from vqvae_jax.runs import stages
from vqvae_jax.runs.summary import advice, introduction, summary
from vqvae_jax.sharding import make_mesh, start_processes
from vqvae_jax.training import checkpoints, continuing, place, plan, workdir
from vqvae_jax.training.loop import StageRun, run_stage


@dataclasses.dataclass(frozen=True)
class Run:
  """A run that was checked and may begin.

  Attributes:
    config: settings of the run.
    generator: generator that is trained.
    data: data with the splits "train" and "validation".
    mesh: devices of the run.
    folder: the run folder.
    console: where messages go.
    steps: steps of the checkpoints to go on from, by stage; the others go on
      from their newest.
  """

  config: Config
  generator: Generator
  data: Data
  mesh: Mesh
  folder: epath.Path
  console: Console
  steps: Mapping[str, int]

  @property
  def asked(self) -> list[Stage]:
    """The stages that `--stage` asks for."""
    return stages.asked(self.config, self.generator)

  def weights_before(self, stage: Stage) -> dict[str, PyTree]:
    """Loads the weights that a stage is built upon, by stage."""
    if not stage.built_upon:
      return {}
    name = stage.built_upon
    # One that is trained in this command is at its newest step.
    trained_now = name in [earlier.name for earlier in self.asked]
    step = None if trained_now else self.steps.get(name)
    before = self.generator.stage(name)
    weights, _ = load_stage(
      self.folder, before, self.data.spec, self.mesh, step
    )
    return {name: weights}


def train(
  config: Config, console: Console | None = None, *, brief: bool = False
) -> None:
  """Trains what `config.model` and `config.stage` name.

  An earlier run in the same folder is continued.

  Args:
    config: settings of the run; the run folder is `config.resolve_workdir()`.
    console: where messages go, by default the standard output.
    brief: whether to leave out the plan before the training and the advice
      after it.

  Raises:
    UserError: in one line, what is wrong with settings, data or run folder.
    Interrupted: on SIGTERM or SIGINT, after saving.
  """
  folder = expand(config.resolve_workdir())
  place.check_place(folder)
  if config.multihost:
    start_processes(
      config.coordinator, config.num_processes, config.process_index
    )
  first = jax.process_index() == 0
  console = console or Console(quiet=not first)
  mesh = make_mesh()
  # What needs no data is checked before the data is read.
  stages.check_batches(config, generators.stages_of(config.model), mesh)
  continuing.check_settings(folder, config)
  stages.check_image_size(config, mesh)
  data = load_data(config)
  stages.check_sizes(config, data.spec, mesh)
  start = time.monotonic()
  # Process 0 speaks for all. A plan changes nothing, so it may be made beside
  # a run that is at work.
  claims = first and not config.plan
  with place.lock(folder) if claims else contextlib.nullcontext():
    info = workdir.RunInfo(config, data.spec)
    # Again, because another run may have been here in the meantime.
    continuing.check_same_run(folder, info)
    steps = workdir.steps_asked(folder, config.model, config.from_step)
    generator = build(config, data.spec)
    run = Run(config, generator, data, mesh, folder, console, steps)
    _check_earlier(run)
    if jax.process_count() > 1:
      multihost_utils.sync_global_devices("the run folder is checked")
    for line in introduction(generator, data, mesh, folder):
      say(console, line)
    prepared = stages.Prepared({}) if brief else _prepare(run)
    if config.plan:
      return
    if first:
      workdir.write(folder, info)
    for stage in run.asked:
      _train_stage(run, stage, prepared)
  say(console, summary(config, generator, folder, time.monotonic() - start))
  if not brief:
    say(console, advice(config, generator, folder), whole=True)


def _check_earlier(run):
  """Refuses a stage whose earlier stage is neither trained nor asked for."""
  name = run.asked[0].built_upon
  if name and checkpoints.latest_step(run.folder / name) is None:
    raise RunError(
      f"{run.folder} has no {name} yet; train one with --stage={name}, or "
      "both with --stage=all"
    )


def _prepare(run):
  """Makes the plan of what is left to do, and says it."""
  done = {
    stage.name: run.steps.get(stage.name)
    or checkpoints.latest_step(run.folder / stage.name)
    or 0
    for stage in run.generator.stages
  }
  asked = [stage.name for stage in run.asked]
  weights = {}
  for name in filter(None, [stage.built_upon for stage in run.asked]):
    stage = run.generator.stage(name)
    if name not in asked or done[name] >= stage.settings.steps:
      weights[name], _ = load_stage(run.folder, stage, run.data.spec, run.mesh)
  with working(run.console, "compiling and timing a few steps"):
    prepared = stages.prepare(
      run.config, run.generator, run.data, run.mesh, done, weights
    )
  if prepared.costs:
    plan.check_disk(prepared.costs, run.folder)
    shorter = run.generator.shorter
    for line in plan.lines(prepared.costs, run.mesh, run.folder, shorter):
      say(run.console, line)
  return prepared


def _train_stage(run, stage, prepared):
  """Trains a stage to its end, on the earlier stages of the run folder."""
  name = stage.name
  earlier = run.weights_before(stage)
  task = stage.make_task(earlier.get(stage.built_upon, ()))
  used_by = [
    run.folder / later.name
    for later in run.generator.stages
    if later.built_upon == name
    and checkpoints.latest_step(run.folder / later.name)
  ]
  programs = prepared.programs.get(name) or stages.make_programs(
    run.config, run.generator, stage, task, run.mesh
  )
  run_stage(
    StageRun(
      name,
      stage.title,
      task,
      stage.settings,
      programs,
      run.data,
      seed=run.config.seed,
      workdir=run.folder,
      pictures=make_pictures(run.generator, stage, task, run.data, earlier),
      console=run.console,
      used_by=used_by[0] if used_by else None,
      later_seconds=prepared.later(name),
      from_step=run.steps.get(name),
    )
  )
