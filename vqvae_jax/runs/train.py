"""A whole training run: checks, data, then stage by stage."""

import contextlib
import time
from collections.abc import Mapping

import jax
from etils import epath
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from rich.console import Console

from vqvae_jax.config import MAX_DEFAULT_IDS, MAX_QUICK_IDS, Config
from vqvae_jax.data import Data, load_data
from vqvae_jax.errors import RunError
from vqvae_jax.files import expand
from vqvae_jax.generators.stage_pictures import (
  baseline_pictures,
  prior_pictures,
  tokenizer_pictures,
)
from vqvae_jax.generators.vqvae.tokenizer import build_tokenizer
from vqvae_jax.generators.weights import load_tokenizer
from vqvae_jax.progress import say, working
from vqvae_jax.runs import stages
from vqvae_jax.runs.summary import advice, summary
from vqvae_jax.sharding import (
  check_batch,
  make_mesh,
  start_processes,
)
from vqvae_jax.training import checkpoints, plan, workdir
from vqvae_jax.training.loop import run_stage


def train(
  config: Config, console: Console | None = None, *, brief: bool = False
):
  """Trains what `config.model` and `config.stage` name.

  An earlier run in the same folder is gone on with.

  Args:
    config: of the run; the run folder is `config.resolve_workdir()`.
    console: where messages go, by default the standard output.
    brief: neither a plan before the training nor advice after it.

  Raises:
    UserError: in one line, what is wrong with settings, data or run folder.
    Interrupted: on SIGTERM or SIGINT, after saving.
  """
  folder = expand(config.resolve_workdir())
  workdir.check_place(folder)
  if config.multihost:
    start_processes(
      config.coordinator, config.num_processes, config.process_index
    )
  first = jax.process_index() == 0
  console = console or Console(quiet=not first)
  mesh = make_mesh()
  # What needs no data is checked before the data is read.
  for name in workdir.stages(config.model):
    stage = getattr(config, name)
    batch_size = stage.batch_size or config.batch_size
    check_batch("batch_size", batch_size, stage.accumulate, mesh)
  workdir.check_settings(folder, config)
  stages.check_image_size(config, mesh)
  data = load_data(config)
  stages.check_sizes(config, data.spec, mesh)
  start = time.monotonic()
  # Process 0 speaks for all. A plan changes nothing, so it may be made beside
  # a run that is at work.
  claims = first and not config.plan
  with workdir.lock(folder) if claims else contextlib.nullcontext():
    info = workdir.RunInfo(config, data.spec)
    # Again, because another run may have been here in the meantime.
    workdir.check_same_run(folder, info)
    steps = workdir.steps_asked(folder, config.model, config.from_step)
    if config.stage == "prior":
      _need_tokenizer(folder)
    if jax.process_count() > 1:
      multihost_utils.sync_global_devices("the run folder is checked")
    prepared = _prepare(config, data, mesh, folder, console, steps, brief)
    if config.plan:
      return
    if first:
      workdir.write(folder, info)
    for name in stages.names(config):
      _train_stage(name, config, data, mesh, folder, console, prepared, steps)
  seconds = time.monotonic() - start
  say(console, summary(config, folder, seconds))
  if not brief:
    say(console, advice(config, folder), whole=True)


def _prepare(config, data, mesh, folder, console, steps, brief):
  """Makes the plan of what is left to do, and says it."""
  _introduce(console, config, data, mesh, folder)
  if brief:
    return stages.Prepared({})
  done = {
    name: steps.get(name) or checkpoints.latest_step(folder / name) or 0
    for name in workdir.stages(config.model)
  }
  tokenizer = None
  if config.model == "vqvae":
    is_trained = done["tokenizer"] >= config.tokenizer.steps
    if config.stage == "prior" or is_trained:
      tokenizer, _ = load_tokenizer(folder, config, data.spec, mesh)
  with working(console, "compiling and timing a few steps"):
    prepared = stages.prepare(config, data, mesh, done, tokenizer)
  if prepared.costs:
    plan.check_disk(prepared.costs, folder)
    ids, stride = _ids(config, data.spec)
    for line in plan.lines(prepared.costs, mesh, folder, ids, stride):
      say(console, line)
  return prepared


def _train_stage(
  name: str,
  config: Config,
  data: Data,
  mesh: Mesh,
  folder: epath.Path,
  console: Console,
  prepared: stages.Prepared,
  steps: Mapping[str, int],
):
  """Trains a stage to its end; the prior reads the tokenizer of `folder`."""
  tokenizer, built_upon = (), None
  if name == "prior":
    tokenizer, _ = load_tokenizer(
      folder,
      config,
      data.spec,
      mesh,
      # A tokenizer that is trained in this command is at its newest step.
      steps.get("tokenizer") if config.stage == "prior" else None,
    )
  elif name == "tokenizer" and checkpoints.latest_step(folder / "prior"):
    built_upon = folder / "prior"
  task = stages.make_task(name, config, data.spec, tokenizer)
  run_stage(
    name,
    task,
    stages.settings(name, config),
    prepared.programs.get(name)
    or stages.make_programs(name, config, task, mesh),
    data,
    seed=config.seed,
    workdir=folder,
    pictures=_pictures(name, task, config, data),
    console=console,
    built_upon=built_upon,
    from_step=steps.get(name),
    title=stages.title(name, config),
    later=prepared.later(name),
  )


def _pictures(name, task, config, data):
  match name:
    case "tokenizer":
      return tokenizer_pictures(task, data)
    case "prior":
      return prior_pictures(task, config, data.spec)
    case _:
      return baseline_pictures(task, data)


def _need_tokenizer(folder):
  if checkpoints.latest_step(folder / "tokenizer") is None:
    raise RunError(
      f"{folder} has no tokenizer yet; train one with --stage=tokenizer, or "
      "both with --stage=all"
    )


def _introduce(console, config, data, mesh, folder):
  """Says what will be learnt, on what, and where it goes."""
  spec = data.spec
  height, width, channels = spec.image_shape
  kept = "the set's own test split is not opened"
  if data.num_test is not None:
    kept = f"{data.num_test:,} kept for testing, not opened"
  parts = [
    f"{spec.num_train:,} training and {spec.num_validation:,} validation "
    f"images of {width}x{height}x{channels}",
    kept,
  ]
  if data.num_unused:
    parts.append(f"{data.num_unused:,} not used")
  count = len(spec.class_names)
  labels = f"{count:,} class{'es' * (count > 1)}" if count else "no labels"
  ids, _ = _ids(config, spec)
  if config.model == "vqvae":
    codes = build_tokenizer(config, spec).quantizer.num_codes
    what = f"{ids} ids per image, {codes:,} codes"
  else:
    what = f"{config.model}, {config.baseline.latent_dim} latents per image"
  device = mesh.devices.flat[0]
  devices = f"{mesh.size} {device.platform} device{'s' * (mesh.size > 1)}"
  say(
    console,
    f"{spec.name}: {'; '.join(parts)}\n{labels}; augmentation {spec.augment}; "
    f"{what}; {devices}\nrun folder: {folder}",
  )
  slow = MAX_QUICK_IDS if device.platform == "cpu" else MAX_DEFAULT_IDS
  if ids > slow:
    say(
      console,
      f"warning: {ids} ids per image make the prior slow to train and to "
      "sample; a larger --tokenizer.stride or a smaller --image-size gives "
      "fewer",
    )


def _ids(config, spec):
  """Ids of an image, and the pixels of each along a side; 0 for none."""
  if config.model != "vqvae":
    return 0, 0
  height, width, _ = spec.image_shape
  model = build_tokenizer(config, spec)
  places = (height // model.stride) * (width // model.stride)
  return places * model.quantizer.ids_per_latent, model.stride
