"""Work on arrays of any length in blocks of one size."""

from collections.abc import Callable

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, Key, PyTree

from vqvae_jax.pixels import to_float
from vqvae_jax.sharding import split

# Images that the methods of `Trained` compute at a time on each device.
BATCH = 250


def image_keys(
  seed: int | Int[Array, ""], numbers: Int[Array, " n"]
) -> Key[Array, " n"]:
  """Returns the key of each image, which depends on the seed and its number."""
  key = jax.random.key(seed)
  return jax.vmap(lambda n: jax.random.fold_in(key, n))(numbers)


def padded(rows: np.ndarray, size: int) -> np.ndarray:
  """Repeats the first of some arrays until there are `size`."""
  missing = size - len(rows)
  return np.concatenate([rows, np.repeat(rows[:1], missing, axis=0)])


def map_rows(
  function: Callable[..., Array],
  mesh: Mesh,
  variables: PyTree,
  *arrays: np.ndarray,
  batch: int | None = None,
) -> np.ndarray:
  """Applies a function to batches of one size; the last one is padded.

  Args:
    function: function of the variables and of a batch of each array.
    mesh: devices to divide batches among.
    variables: first argument of the function.
    *arrays: arrays of the same length.
    batch: length of a batch on each device, by default enough for all, and at
      most `BATCH`. Rounding depends on it.

  Returns:
    The results, as long as the arrays.
  """
  count = len(arrays[0])
  if not count:
    return _no_rows(function, mesh, variables, arrays)
  batch = (batch or min(BATCH, -(-count // mesh.size))) * mesh.size
  results = []
  for start in range(0, count, batch):
    rows = [
      jax.device_put(padded(array[start : start + batch], batch), split(mesh))
      for array in arrays
    ]
    result = np.asarray(function(variables, *rows))
    results.append(result[: count - start])
  return np.concatenate(results)


def _no_rows(function, mesh, variables, arrays):
  """Returns an empty result of the right shape and type."""
  batch = [
    jax.ShapeDtypeStruct((mesh.size, *array.shape[1:]), array.dtype)
    for array in arrays
  ]
  result = jax.eval_shape(function, variables, *batch)
  return np.zeros((0, *result.shape[1:]), result.dtype)


def draw_blocks(
  draw: Callable[[int, int, np.ndarray], Array],
  mesh: Mesh,
  labels: Int[np.ndarray, " n"],
  seed: int,
  shape: tuple[int, int, int],
) -> Float[np.ndarray, "n h w c"]:
  """Draws images in [0, 1] of these classes, in blocks of one size.

  Args:
    draw: function from a seed, the number of the first image and labels to
      uint8 images.
    mesh: devices that `draw` uses.
    labels: class of each image.
    seed: first argument of `draw`.
    shape: height, width and channels of an image.
  """
  if not len(labels):
    return np.zeros((0, *shape), np.float32)
  batch = BATCH * mesh.size
  images = []
  for start in range(0, len(labels), batch):
    drawn = draw(seed, start, padded(labels[start : start + batch], batch))
    images.append(np.asarray(drawn)[: len(labels) - start])
  return to_float(np.concatenate(images))
