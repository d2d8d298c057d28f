"""A whole training run: checks, data, then stage by stage."""

import contextlib
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from etils import epath
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from jaxtyping import PyTree
from rich.console import Console

from vqvae_jax.allocator import keep_freed_memory
from vqvae_jax.config import MAX_DEFAULT_IDS, Config
from vqvae_jax.data import Data, DataSpec, load_data
from vqvae_jax.errors import RunError
from vqvae_jax.files import expand
from vqvae_jax.sharding import (
  check_batch,
  make_mesh,
  replicated,
  start_processes,
)
from vqvae_jax.training import checkpoints, workdir
from vqvae_jax.training.baseline import (
  baseline_task,
  build_baseline,
  init_baseline,
)
from vqvae_jax.training.loop import run_stage
from vqvae_jax.training.prior import build_prior, example, prior_task
from vqvae_jax.training.stage_pictures import (
  baseline_pictures,
  prior_pictures,
  tokenizer_pictures,
)
from vqvae_jax.training.tokenizer import TokenizerTask, build_tokenizer


def train(config: Config, console: Console | None = None):
  """Trains what `config.model` and `config.stage` name.

  An earlier run in the same folder is gone on with.

  Args:
    config: of the run; the run folder is `config.resolve_workdir()`.
    console: where messages go, by default the standard output.

  Raises:
    UserError: in one line, what is wrong with settings, data or run folder.
    Interrupted: on SIGTERM or SIGINT, after saving.
  """
  keep_freed_memory()
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
  data = load_data(config)
  spec = data.spec
  build = build_tokenizer if config.model == "vqvae" else build_baseline
  model = build(config, spec)
  # Process 0 speaks for all.
  with workdir.lock(folder) if first else contextlib.nullcontext():
    info = workdir.RunInfo(config, spec)
    # Again, because another run may have been here in the meantime.
    workdir.check_same_run(folder, info)
    steps = workdir.steps_asked(folder, config.model, config.from_step)
    if config.stage == "prior":
      _need_tokenizer(folder)
    if jax.process_count() > 1:
      multihost_utils.sync_global_devices("the run folder is checked")
    if first:
      workdir.write(folder, info)
    _introduce(console, config, spec, model, mesh, folder)
    if config.model != "vqvae":
      train_baseline(config, data, mesh, folder, console, steps)
    else:
      if config.stage != "prior":
        train_tokenizer(config, data, mesh, folder, console, steps)
      if config.stage != "tokenizer":
        train_prior(config, data, mesh, folder, console, steps)
  console.print(f"done: {folder}", highlight=False, soft_wrap=True)


def train_tokenizer(
  config: Config,
  data: Data,
  mesh: Mesh,
  folder: epath.Path,
  console: Console,
  steps: Mapping[str, int],
):
  """Stage 1; see `train`."""
  task = TokenizerTask(config, data.spec)
  prior = folder / "prior"
  latest = checkpoints.latest_step(prior)
  run_stage(
    "tokenizer",
    task,
    config.tokenizer,
    config.tokenizer.batch_size or config.batch_size,
    data,
    mesh=mesh,
    key_seed=2 * config.seed,
    seed=config.seed,
    workdir=folder,
    pictures=tokenizer_pictures(task, data),
    console=console,
    from_step=steps.get("tokenizer"),
    built_upon=None if latest is None else prior,
  )


def train_prior(
  config: Config,
  data: Data,
  mesh: Mesh,
  folder: epath.Path,
  console: Console,
  steps: Mapping[str, int],
):
  """Stage 2; see `train`. Reads the tokenizer of stage 1 from `folder`."""
  variables, _ = load_tokenizer(
    folder,
    config,
    data.spec,
    mesh,
    # A tokenizer that is trained in this command is at its newest step.
    steps.get("tokenizer") if config.stage == "prior" else None,
  )
  task = prior_task(config, data.spec, variables)
  run_stage(
    "prior",
    task,
    config.prior,
    config.prior.batch_size or config.batch_size,
    data,
    mesh=mesh,
    key_seed=2 * config.seed + 1,
    seed=config.seed,
    workdir=folder,
    pictures=prior_pictures(task, config, data.spec),
    console=console,
    from_step=steps.get("prior"),
  )


def train_baseline(
  config: Config,
  data: Data,
  mesh: Mesh,
  folder: epath.Path,
  console: Console,
  steps: Mapping[str, int],
):
  """The one stage of every other model; see `train`."""
  task = baseline_task(config, data.spec)
  run_stage(
    workdir.BASELINE,
    task,
    config.baseline.resolve(config.model),
    config.baseline.batch_size or config.batch_size,
    data,
    mesh=mesh,
    key_seed=2 * config.seed,
    seed=config.seed,
    workdir=folder,
    pictures=baseline_pictures(task, data),
    console=console,
    from_step=steps.get(workdir.BASELINE),
  )


def load_tokenizer(
  folder: epath.PathLike,
  config: Config,
  spec: DataSpec,
  mesh: Mesh,
  step: int | None = None,
) -> tuple[PyTree, int]:
  """The tokenizer's best variables, on every device, and their step.

  Args:
    folder: the run folder.
    config: settings of the run.
    spec: specification of its data.
    mesh: the devices.
    step: step of the checkpoint, by default the newest.

  Raises:
    RunError: if there is no such checkpoint, or it is damaged.
  """
  model = build_tokenizer(config, spec)
  images = jnp.zeros((1, *spec.image_shape))
  return _load(
    epath.Path(folder) / "tokenizer",
    # Some quantizers keep no codebook.
    lambda: {"codebook": {}, **model.init(jax.random.key(0), images)},
    mesh,
    step,
  )


def load_prior(
  folder: epath.PathLike,
  config: Config,
  spec: DataSpec,
  mesh: Mesh,
  step: int | None = None,
  tokenizer: str | None = None,
) -> tuple[PyTree, int]:
  """The prior's best variables, on every device, and their step.

  Args:
    folder: see `load_tokenizer`, as for the next four.
    config: settings of the run.
    spec: specification of its data.
    mesh: the devices.
    step: step of the checkpoint, by default the newest.
    tokenizer: digest of the tokenizer that it must have been trained on.

  Raises:
    RunError: also if it was trained on another tokenizer.
  """
  model = build_prior(config, spec)

  def init():
    inputs = example(model, jnp.zeros(1, jnp.int32))
    variables = model.init(jax.random.key(0), *inputs)
    return {"params": variables["params"], "codebook": {}}

  return _load(epath.Path(folder) / "prior", init, mesh, step, tokenizer)


def load_baseline(
  folder: epath.PathLike,
  config: Config,
  spec: DataSpec,
  mesh: Mesh,
  step: int | None = None,
) -> tuple[PyTree, int]:
  """A baseline's best variables, on every device; see `load_tokenizer`."""
  model = build_baseline(config, spec)
  return _load(
    epath.Path(folder) / workdir.BASELINE,
    lambda: init_baseline(model, jax.random.key(0)),
    mesh,
    step,
  )


def _load(
  directory: epath.Path,
  init: Callable[[], PyTree],
  mesh: Mesh,
  step: int | None,
  built_upon: str | None = None,
):
  like = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=replicated(mesh)),
    jax.eval_shape(init),
  )
  return checkpoints.load_model(directory, like, step, built_upon)


def _need_tokenizer(folder):
  if checkpoints.latest_step(folder / "tokenizer") is None:
    raise RunError(
      f"{folder} has no tokenizer yet; train one with --stage=tokenizer, or "
      "both with --stage=all"
    )


def _introduce(console, config, spec, model, mesh, folder):
  """Says what will be learnt, on what, and where it goes."""
  height, width, channels = spec.image_shape
  if config.model == "vqvae":
    places = (height // model.stride) * (width // model.stride)
    ids = places * model.quantizer.ids_per_latent
    what = f"{ids} ids an image, {model.quantizer.num_codes} codes"
  else:
    ids = 0
    what = f"{config.model}, {model.latent_dim} latents an image"
  device = mesh.devices.flat[0]
  classes = f"{len(spec.class_names)} classes" * bool(spec.class_names)
  console.print(
    f"{spec.name}: {spec.num_train} training and {spec.num_validation} "
    f"validation images of {height}x{width}x{channels}, "
    f"{classes or 'no labels'}, augmentation {spec.augment}\n"
    f"{what}; {mesh.size} {device.platform} device{'s' * (mesh.size > 1)}; "
    f"run folder {folder}",
    highlight=False,
    soft_wrap=True,
  )
  if ids > MAX_DEFAULT_IDS:
    console.print(
      f"warning: {ids} ids an image make the prior slow to train and to "
      f"sample; a larger --tokenizer.stride or a smaller --image-size gives "
      "fewer",
      highlight=False,
    )
