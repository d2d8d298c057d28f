"""The files that hold the parameters of classifiers."""

import io
import zipfile

import flax.traverse_util
import jax
import numpy as np
from etils import epath
from jaxtyping import PyTree

from vqvae_jax.errors import RunError
from vqvae_jax.files import replace


def save_params(path: epath.PathLike, params: PyTree) -> None:
  """Writes parameters to an npz file, which is whole or absent."""
  flat = flax.traverse_util.flatten_dict(jax.device_get(params), sep="/")
  file = io.BytesIO()
  np.savez(file, **flat)
  replace(epath.Path(path), file.getvalue())


def load_params(path: epath.PathLike) -> PyTree:
  """Reads the parameters that `save_params` wrote.

  Raises:
    RunError: if the file is absent or broken.
  """
  try:
    content = io.BytesIO(epath.Path(path).read_bytes())
    with np.load(content, allow_pickle=False) as file:
      flat = {name: file[name] for name in file.files}
  except (OSError, ValueError, zipfile.BadZipFile) as error:
    raise RunError(f"{path} holds no parameters: {error}") from None
  return flax.traverse_util.unflatten_dict(flat, sep="/")
