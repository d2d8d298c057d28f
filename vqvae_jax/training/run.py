"""A whole training run: checks, data, then stage by stage."""

import contextlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from jaxtyping import PyTree
from rich.console import Console

from vqvae_jax.allocator import keep_freed_memory
from vqvae_jax.config import MAX_DEFAULT_IDS, Config
from vqvae_jax.data import Data, DataSpec, load_data
from vqvae_jax.errors import RunError
from vqvae_jax.priors import sample
from vqvae_jax.sharding import (
  check_batch,
  make_mesh,
  replicated,
  start_processes,
)
from vqvae_jax.training import checkpoints, pictures, workdir
from vqvae_jax.training.loop import run_stage
from vqvae_jax.training.prior import (
  build_prior,
  default_guidance,
  example,
  prior_task,
)
from vqvae_jax.training.tokenizer import (
  TokenizerTask,
  build_tokenizer,
  to_float,
)

PICTURED = 32
SAMPLES_PER_CLASS = 8
MAX_CLASSES_PICTURED = 16


def train(config: Config, console: Console | None = None):
  """Trains what `config.stage` names, going on where an earlier run stopped.

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
  for name in workdir.STAGES:
    stage = getattr(config, name)
    batch_size = stage.batch_size or config.batch_size
    check_batch("batch_size", batch_size, stage.accumulate, mesh)
  data = load_data(config)
  spec = data.spec
  tokenizer = build_tokenizer(config, spec)
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
    _introduce(console, spec, tokenizer, mesh, folder)
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
    pictures=_tokenizer_pictures(task, data),
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
    pictures=_prior_pictures(task, config, data.spec),
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


def _introduce(console, spec, tokenizer, mesh, folder):
  """Says what will be learnt, on what, and where it goes."""
  height, width, channels = spec.image_shape
  stride, quantizer = tokenizer.stride, tokenizer.quantizer
  places = (height // stride) * (width // stride)
  ids = places * quantizer.ids_per_latent
  device = mesh.devices.flat[0]
  classes = f"{len(spec.class_names)} classes" * bool(spec.class_names)
  console.print(
    f"{spec.name}: {spec.num_train} training and {spec.num_validation} "
    f"validation images of {height}x{width}x{channels}, "
    f"{classes or 'no labels'}, augmentation {spec.augment}\n"
    f"{ids} ids an image, {quantizer.num_codes} codes; "
    f"{mesh.size} {device.platform} device{'s' * (mesh.size > 1)}; "
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


def _tokenizer_pictures(task, data):
  split = data["validation"]
  originals = split.gather(np.arange(min(PICTURED, len(split))))["image"]

  @jax.jit
  def reconstruct(variables, images):
    ids = task.model.apply(variables, images, method="encode")
    return task.model.apply(variables, ids, method="decode")

  def draw(variables, sums):
    others = reconstruct(variables, to_float(jnp.asarray(originals)))
    return {
      "reconstructions": pictures.pairs(
        originals, pictures.to_uint8(jax.device_get(others)), columns=16
      ),
      "codebook_usage": pictures.usage_plot(sums["codes"]),
    }

  return draw


def _prior_pictures(task, config, spec):
  classes = min(spec.num_classes, MAX_CLASSES_PICTURED)
  labels = np.repeat(np.arange(classes, dtype=np.int32), SAMPLES_PER_CLASS)
  keys = jax.vmap(lambda n: jax.random.fold_in(jax.random.key(0), n))(
    jnp.arange(len(labels))
  )

  @jax.jit
  def draw_samples(variables, tokenizer_variables):
    ids = sample(
      task.model,
      variables["params"],
      keys,
      jnp.asarray(labels),
      guidance=default_guidance(config, spec) or None,
    )
    ids = ids.reshape(-1, *task.model.grid)
    return task.tokenizer.apply(tokenizer_variables, ids, method="decode")

  def draw(variables, sums):
    del sums
    images = draw_samples(variables, task.frozen)
    return {
      "samples": pictures.grid(
        pictures.to_uint8(jax.device_get(images)), SAMPLES_PER_CLASS
      )
    }

  return draw
