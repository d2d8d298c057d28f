"""The files that hold the parameters of classifiers."""

import io
import zipfile
from functools import cache

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from jaxtyping import PyTree

from vqvae_jax.errors import RunError
from vqvae_jax.files import replace
from vqvae_jax.study.fitting import ClassifierSpec


@cache
def params_like(
  spec: ClassifierSpec, num_classes: int, image_shape: tuple[int, int, int]
) -> PyTree:
  """Returns the shapes and types of the parameters of a classifier."""
  images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  model = spec.build(num_classes)
  return jax.eval_shape(model.init, jax.random.key(0), images)["params"]


def save_params(path: epath.PathLike, params: PyTree) -> None:
  """Writes parameters to an npz file, which is whole or absent."""
  flat = flax.traverse_util.flatten_dict(jax.device_get(params), sep="/")
  file = io.BytesIO()
  np.savez(file, **flat)
  replace(epath.Path(path), file.getvalue())


def load_params(path: epath.PathLike, like: PyTree) -> PyTree:
  """Reads the parameters that `save_params` wrote.

  Args:
    path: path of the file.
    like: shapes and types of the parameters; see `params_like`.

  Raises:
    RunError: if the file is absent, broken, or of another classifier.
  """
  try:
    content = io.BytesIO(epath.Path(path).read_bytes())
    with np.load(content, allow_pickle=False) as file:
      flat = {name: file[name] for name in file.files}
  except (OSError, ValueError, zipfile.BadZipFile) as error:
    raise RunError(f"{path} holds no parameters: {error}") from None
  expected = flax.traverse_util.flatten_dict(like, sep="/")
  if {k: (v.shape, v.dtype) for k, v in flat.items()} != {
    k: (v.shape, v.dtype) for k, v in expected.items()
  }:
    raise RunError(f"{path} holds the parameters of another classifier")
  return flax.traverse_util.unflatten_dict(flat, sep="/")
