"""The trained weights of each stage, from its checkpoints."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from etils import epath
from jax.sharding import Mesh
from jaxtyping import PyTree

from vqvae_jax.config import Config
from vqvae_jax.data import DataSpec
from vqvae_jax.generators.baseline_tasks import build_baseline, init_baseline
from vqvae_jax.generators.vqvae.prior import build_prior, example
from vqvae_jax.generators.vqvae.tokenizer import build_tokenizer
from vqvae_jax.sharding import replicated
from vqvae_jax.training import checkpoints, workdir


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
