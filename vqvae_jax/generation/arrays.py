"""Arrays of users: their checks, and work on them in blocks of one size."""

from collections.abc import Callable

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, Key, PyTree

from vqvae_jax.data import DataSpec
from vqvae_jax.errors import ConfigError
from vqvae_jax.sharding import split

# Rows that the convenience methods compute at a time, and on each device.
BATCH = 250


def image_keys(seed: int, numbers: Int[Array, " n"]) -> Key[Array, " n"]:
  """The key of each image: a function of the seed and the image's number."""
  key = jax.random.key(seed)
  return jax.vmap(lambda n: jax.random.fold_in(key, n))(numbers)


def padded(rows: np.ndarray, size: int) -> np.ndarray:
  """Repeats the first row until there are `size`."""
  missing = size - len(rows)
  return np.concatenate([rows, np.repeat(rows[:1], missing, axis=0)])


def map_rows(
  function: Callable[..., Array],
  mesh: Mesh,
  variables: PyTree,
  *arrays: np.ndarray,
  batch: int | None = None,
) -> np.ndarray:
  """Applies a function in batches of one size, the last one padded.

  Args:
    function: of the variables and as many rows of each array.
    mesh: the devices to divide rows among.
    variables: passed on.
    *arrays: of one length, which is not 0.
    batch: rows on each device, by default enough for all, and at most `BATCH`.
      Rounding depends on it.
  """
  count = len(arrays[0])
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


def draw_blocks(
  draw: Callable[[int, int, np.ndarray], Array],
  mesh: Mesh,
  labels: Int[np.ndarray, " n"],
  seed: int,
) -> Float[np.ndarray, "n h w c"]:
  """Images of these classes in [0, 1], drawn in blocks of one size.

  Args:
    draw: of a seed, the number of the first image and labels, uint8 images.
    mesh: the devices that `draw` uses.
    labels: of all images, one or more.
    seed: passed on.
  """
  batch = BATCH * mesh.size
  images = []
  for start in range(0, len(labels), batch):
    drawn = draw(seed, start, padded(labels[start : start + batch], batch))
    images.append(np.asarray(drawn)[: len(labels) - start])
  return np.concatenate(images).astype(np.float32) / 255


def checked_images(images, spec: DataSpec) -> Float[np.ndarray, "n h w c"]:
  """Images of the run's shape, uint8 or in [0, 1], as floats in [0, 1].

  Raises:
    ConfigError: if they are neither.
  """
  images = np.asarray(images)
  shape = spec.image_shape
  if images.ndim != 4 or images.shape[1:] != tuple(shape):
    raise ConfigError(
      f"images of shape {images.shape} are not [n, {shape[0]}, {shape[1]}, "
      f"{shape[2]}]"
    )
  if images.dtype == np.uint8:
    return images.astype(np.float32) / 255
  if images.size and not (images.min() >= 0 and images.max() <= 1):
    raise ConfigError(
      f"images from {images.min()} to {images.max()} are neither uint8 nor "
      "in [0, 1]"
    )
  return images.astype(np.float32)


def checked_labels(
  labels, spec: DataSpec, count: int | None = None
) -> Int[np.ndarray, " n"]:
  """Labels of the run's classes, as int32.

  Args:
    labels: integers.
    spec: of the run's data.
    count: of the images that they are of.

  Raises:
    ConfigError: if they are none, or not as many.
  """
  labels = np.asarray(labels)
  classes = spec.num_classes
  if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
    raise ConfigError(
      f"labels of shape {labels.shape}, {labels.dtype}, are not integers [n]"
    )
  if labels.size and not (labels.min() >= 0 and labels.max() < classes):
    raise ConfigError(
      f"labels from {labels.min()} to {labels.max()} are not all in "
      f"[0, {classes})"
    )
  if count is not None and len(labels) != count:
    raise ConfigError(f"{count} images but {len(labels)} labels")
  return labels.astype(np.int32)
