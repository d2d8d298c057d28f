"""Checks of the arrays and numbers that users give to a trained generator.

Each returns its argument in the form that the networks take, or raises an
`ArgumentError`, in one line that says how to mend it.
"""

import math

import numpy as np
from jaxtyping import Float, Int

from vqvae_jax.config.checks import shown
from vqvae_jax.data import DataSpec
from vqvae_jax.errors import ArgumentError
from vqvae_jax.pixels import to_float


def stacked(values, name: str) -> np.ndarray:
  """Returns what the caller gave as one array.

  Raises:
    ArgumentError: if it is ragged.
  """
  try:
    return np.asarray(values)
  except (TypeError, ValueError):
    raise ArgumentError(
      f"{name} are not one array: all need the same shape"
    ) from None


def checked_images(images, spec: DataSpec) -> Float[np.ndarray, "n h w c"]:
  """Returns images of the run's shape as floats in [0, 1].

  Raises:
    ArgumentError: if they are neither uint8 nor in [0, 1], or of another
      shape.
  """
  images = stacked(images, "images")
  shape = tuple(spec.image_shape)
  if images.shape == (0,):
    return np.zeros((0, *shape), np.float32)
  if images.ndim != 4 or images.shape[1:] != shape:
    expected = ", ".join(["n", *map(str, shape)])
    raise ArgumentError(
      f"images of shape {images.shape} are not [{expected}]"
      f"{_reshaping(images.shape, shape)}"
    )
  if images.dtype == np.uint8:
    return to_float(images)
  if images.dtype.kind != "f":
    raise ArgumentError(
      f"images of {images.dtype} are neither uint8 nor floats in [0, 1]"
    )
  _check_finite(images, "images")
  if images.size and not (images.min() >= 0 and images.max() <= 1):
    low, high = images.min(), images.max()
    hint = ""
    if low >= 0 and 1 < high <= 255:
      hint = "; if they are from 0 to 255, divide them by 255"
    elif -1 <= low < 0 and high <= 1:
      hint = "; if they are from -1 to 1, take (images + 1) / 2"
    raise ArgumentError(
      f"images from {low} to {high} are neither uint8 nor in [0, 1]{hint}"
    )
  return images.astype(np.float32)


def _reshaping(given, shape):
  """Returns how an array of a usual layout becomes the expected one."""
  height, width, channels = shape
  if given == shape:
    return "; images[None] makes a list of one image"
  if given[1:] == (channels, height, width) and len(given) == 4:
    return "; channels come last: images.transpose(0, 2, 3, 1)"
  if channels == 1 and given[-2:] == (height, width):
    if len(given) == 3:
      return "; images[..., None] adds the channel"
    if len(given) == 2:
      return "; images[None, ..., None] makes a list of one image"
  return ""


def _check_finite(values, name):
  if not np.isfinite(values).all():
    which = "nan" if np.isnan(values).any() else "infinity"
    raise ArgumentError(f"{name} hold {which}")


def checked_vectors(vectors, width: int, name: str) -> Float[np.ndarray, "n d"]:
  """Returns finite vectors of this width as float32.

  Raises:
    ArgumentError: if they are not.
  """
  vectors = stacked(vectors, name)
  if vectors.shape == (0,):
    return np.zeros((0, width), np.float32)
  if vectors.ndim != 2 or vectors.shape[1] != width:
    raise ArgumentError(f"{name} of shape {vectors.shape} are not [n, {width}]")
  if vectors.dtype.kind not in "fiu":
    raise ArgumentError(f"{name} of {vectors.dtype} are not numbers")
  with np.errstate(over="ignore"):
    vectors = vectors.astype(np.float32)
  _check_finite(vectors, name)
  return vectors


def checked_ids(
  ids, grid: tuple[int, ...], num_codes: int
) -> Int[np.ndarray, "n i j *m"]:
  """Returns ids of codes on the grid of an image as int32.

  Raises:
    ArgumentError: if they are not.
  """
  ids = stacked(ids, "ids")
  if ids.shape == (0,):
    return np.zeros((0, *grid), np.int32)
  if ids.ndim < 1 or ids.shape[1:] != tuple(grid):
    expected = ", ".join(["n", *map(str, grid)])
    hint = ""
    if ids.shape == tuple(grid):
      hint = "; ids[None] makes a list of one image"
    raise ArgumentError(f"ids of shape {ids.shape} are not [{expected}]{hint}")
  _check_integers(ids, "ids", num_codes)
  return ids.astype(np.int32)


def _check_integers(values, name, end):
  if values.dtype.kind not in "iu":
    raise ArgumentError(f"{name} of {values.dtype} are not integers")
  if values.size and not (values.min() >= 0 and values.max() < end):
    raise ArgumentError(
      f"{name} from {values.min()} to {values.max()} are not all in [0, {end})"
    )


def checked_labels(
  labels, spec: DataSpec, count: int | None = None
) -> Int[np.ndarray, " n"]:
  """Returns labels of the run's classes as int32.

  Args:
    labels: names of classes, or their positions from 0 on.
    spec: specification of the run's data.
    count: number of images that they belong to.

  Raises:
    ArgumentError: if they are not classes, or if their number is not that of
      the images.
  """
  labels = _positions(labels, spec)
  if count is not None and len(labels) != count:
    raise ArgumentError(f"{count} images but {len(labels)} labels")
  return labels


def chosen_labels(labels, spec: DataSpec) -> Int[np.ndarray, " n"]:
  """Returns `checked_labels` of classes that a user names.

  Raises:
    ArgumentError: also for a number that is the name of another class than
      the one at its position: folders may be called 1, 2, 3.
  """
  found = _positions(labels, spec)
  if stacked(labels, "labels").dtype.kind not in "iu":
    return found
  numbers = {
    int(name): position
    for position, name in enumerate(spec.class_names)
    if name.isdecimal() and len(name) < 10
  }
  for label in np.unique(found).tolist():
    if numbers.get(label, label) != label:
      raise ArgumentError(
        f"label {label} could mean class {spec.class_names[numbers[label]]!r} "
        f"or the class at position {label}, {spec.class_names[label]!r}; give "
        "the names of classes as text"
      )
  return found


def _positions(labels, spec):
  """Returns the positions of classes that are given by name or position."""
  if isinstance(labels, list | tuple):
    kinds = {isinstance(label, str) for label in labels}
    if len(kinds) > 1:
      raise ArgumentError("labels are both names and numbers; give one kind")
  labels = stacked(labels, "labels")
  if labels.shape == (0,):
    return np.zeros(0, np.int32)
  if labels.ndim != 1:
    hint = "; put a single one in a list" if labels.ndim == 0 else ""
    raise ArgumentError(f"labels of shape {labels.shape} are not [n]{hint}")
  if labels.dtype.kind == "U" or all(isinstance(x, str) for x in labels):
    return np.array([_position(str(x), spec) for x in labels], np.int32)
  if labels.dtype.kind not in "iu":
    raise ArgumentError(
      f"labels of {labels.dtype} are not integers, nor names of classes"
    )
  _check_integers(labels, "labels", spec.num_classes)
  return labels.astype(np.int32)


def _position(name, spec):
  if not spec.class_names:
    raise ArgumentError(
      f"label {shown(repr(name))}: {spec.name} has no classes; give 0 for "
      "every image"
    )
  if spec.class_names.count(name) > 1:
    raise ArgumentError(
      f"label {shown(repr(name))} is the name of several classes; give "
      "positions instead"
    )
  if name in spec.class_names:
    return spec.class_names.index(name)
  known = ", ".join(spec.class_names[:20])
  if len(spec.class_names) > 20:
    known += ", ..."
  raise ArgumentError(
    f"label {shown(repr(name))} is not a class of {spec.name}: {known}"
  )


def checked_seed(seed) -> int:
  """Returns a seed that fits the random generator as an int.

  Raises:
    ArgumentError: if it is not a whole number from 0 to 2**31 - 1.
  """
  largest = 2**31 - 1
  whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
  if not whole or not 0 <= seed <= largest:
    raise ArgumentError(
      f"seed {shown(seed)} is not a whole number from 0 to {largest}"
    )
  return int(seed)


def checked_number(name: str, value) -> float:
  """Returns a number of Python or NumPy as a float, of any range.

  Raises:
    ArgumentError: if it is not a number.
  """
  kinds = int | float | np.integer | np.floating
  if not isinstance(value, kinds) or isinstance(value, bool):
    raise ArgumentError(f"{name} {shown(repr(value))} is not a number")
  try:
    return float(value)
  except OverflowError:  # Hundreds of digits.
    return math.inf
