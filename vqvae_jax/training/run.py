"""A whole training run: checks, data, then stage by stage."""

import contextlib
from collections.abc import Callable

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
  if config.multihost:
    start_processes(
      config.coordinator, config.num_processes, config.process_index
    )
  first = jax.process_index() == 0
  console = console or Console(quiet=not first)
  folder = epath.Path(config.resolve_workdir())
  mesh = make_mesh()
  # What needs no data is checked before the data is read.
  for name in workdir.stages(config.model):
    stage = getattr(config, name)
    batch_size = stage.batch_size or config.batch_size
    check_batch("batch_size", batch_size, stage.accumulate, mesh)
  data = load_data(config)
  spec = data.spec
  build = build_tokenizer if config.model == "vqvae" else build_baseline
  model = build(config, spec)
  folder.mkdir(parents=True, exist_ok=True)
  # Process 0 speaks for all.
  with workdir.lock(folder) if first else contextlib.nullcontext():
    info = workdir.RunInfo(config, spec)
    workdir.check_same_run(folder, info)
    if config.stage == "prior":
      _need_tokenizer(folder)
    if jax.process_count() > 1:
      multihost_utils.sync_global_devices("the run folder is checked")
    if first:
      workdir.write(folder, info)
    _introduce(console, config, spec, model, mesh, folder)
    if config.model != "vqvae":
      train_baseline(config, data, mesh, folder, console)
    else:
      if config.stage != "prior":
        train_tokenizer(config, data, mesh, folder, console)
      if config.stage != "tokenizer":
        train_prior(config, data, mesh, folder, console)
  console.print(f"done: {folder}", highlight=False, soft_wrap=True)


def train_tokenizer(
  config: Config,
  data: Data,
  mesh: Mesh,
  folder: epath.Path,
  console: Console,
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
    built_upon=None if latest is None else prior,
  )


def train_prior(
  config: Config,
  data: Data,
  mesh: Mesh,
  folder: epath.Path,
  console: Console,
):
  """Stage 2; see `train`. Reads the tokenizer of stage 1 from `folder`."""
  variables, _ = load_tokenizer(folder, config, data.spec, mesh)
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
  )


def train_baseline(
  config: Config,
  data: Data,
  mesh: Mesh,
  folder: epath.Path,
  console: Console,
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
  )


def load_tokenizer(
  folder: epath.PathLike, config: Config, spec: DataSpec, mesh: Mesh
) -> tuple[PyTree, int]:
  """The tokenizer's best variables, on every device, and their step."""
  model = build_tokenizer(config, spec)
  images = jnp.zeros((1, *spec.image_shape))
  return _load(
    epath.Path(folder) / "tokenizer",
    # Some quantizers keep no codebook.
    lambda: {"codebook": {}, **model.init(jax.random.key(0), images)},
    mesh,
  )


def load_prior(
  folder: epath.PathLike, config: Config, spec: DataSpec, mesh: Mesh
) -> tuple[PyTree, int]:
  """The prior's best variables, on every device, and their step."""
  model = build_prior(config, spec)

  def init():
    inputs = example(model, jnp.zeros(1, jnp.int32))
    variables = model.init(jax.random.key(0), *inputs)
    return {"params": variables["params"], "codebook": {}}

  return _load(epath.Path(folder) / "prior", init, mesh)


def load_baseline(
  folder: epath.PathLike, config: Config, spec: DataSpec, mesh: Mesh
) -> tuple[PyTree, int]:
  """A baseline's best variables, on every device, and their step."""
  model = build_baseline(config, spec)
  return _load(
    epath.Path(folder) / workdir.BASELINE,
    lambda: init_baseline(model, jax.random.key(0)),
    mesh,
  )


def _load(directory: epath.Path, init: Callable[[], PyTree], mesh: Mesh):
  like = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=replicated(mesh)),
    jax.eval_shape(init),
  )
  return checkpoints.load_model(directory, like)


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
    f"validation images of {width}x{height}x{channels}, "
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
