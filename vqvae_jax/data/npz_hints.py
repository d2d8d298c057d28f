"""Hints for arrays that cannot be used.

Each hint is an expression for what to store instead of the array.
"""

import numpy as np

_SHAPES = "neither [n, h, w] nor [n, h, w, 1] nor [n, h, w, 3]"


def of_shape(shape: tuple[int, ...]) -> tuple[str, str]:
  """Returns how an array of images gets one of the shapes that are read.

  Args:
    shape: shape of the array.

  Returns:
    What is wrong with the shape, and the expression to store instead; each is
    empty if there is none.
  """
  if len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3)):
    return "", ""
  if len(shape) == 4 and shape[1] in (1, 3):
    return "channels first", "images.transpose(0, 2, 3, 1)"
  if len(shape) == 4 and shape[3] == 4:
    return f"{_SHAPES} but with opacity", "images[..., :3]"
  if len(shape) == 2 and round(shape[1] ** 0.5) ** 2 == shape[1]:
    side = round(shape[1] ** 0.5)
    return f"{_SHAPES} but flat rows", f"images.reshape(-1, {side}, {side})"
  return _SHAPES, ""


def of_pixels(values: np.ndarray | None, images: str) -> str:
  """Returns how pixels of another type become uint8 or uint16.

  Args:
    values: the pixels; None if they are not numbers.
    images: expression for the pixels in the right shape.

  Returns:
    The range of the values, and the expression to store, which never wraps
    around.
  """
  if values is None:
    return "store pixels as numbers from 0 to 255"
  if values.dtype == bool:
    return f"store {images}.astype('uint8') * 255"
  low, high = values.min().item(), values.max().item()
  if not (np.isfinite(low) and np.isfinite(high)):
    return "it has NaN or infinite values, which must be replaced first"
  integers = values.dtype.kind in "iu"
  floats = f"{images}.astype('float64')"
  if low >= 0 and high <= 1 and integers:
    fix = f"{images}.astype('uint8') * 255"
  elif low >= 0 and high <= 1:
    fix = f"({images} * 255).round().astype('uint8')"
  elif low >= 0 and high <= 255:
    fix = f"{images}{'' if integers else '.round()'}.astype('uint8')"
  elif low >= -1 and high <= 1 and not integers:
    fix = f"(({images} + 1) * 127.5).round().astype('uint8')"
  elif high - low <= 65535 and _whole(values):
    shifted = f"({images}.astype('int64') - {int(low)})"
    within = low >= 0 and high <= 65535
    fix = (
      f"{images if within else shifted}.astype('uint16') (16-bit values are "
      "scaled by the range that the training images use)"
    )
  else:
    fix = (
      f"(({floats} - {low:.9g}) / {high - low:.9g} * 255).clip(0, 255)"
      ".round().astype('uint8')"
    )
  return f"its values go from {low:.9g} to {high:.9g}: store {fix}"


def _whole(values):
  return values.dtype.kind in "iu" or all(
    np.array_equal(image, np.rint(image)) for image in values
  )


def of_labels(values: np.ndarray | None, key: str) -> str:
  """Returns how labels of another type or shape become whole numbers.

  Args:
    values: the labels, one or more for each image; None for other types.
    key: name of the array.
  """
  if values is None:
    return "store an array of such numbers"
  if values.dtype.kind == "U":
    return (
      f"store class_names, {key} = np.unique({key}.reshape(-1), "
      "return_inverse=True), both of them"
    )
  if values.size > len(values):
    one_hot = values.ndim == 2 and bool(
      np.all((values == 0) | (values == 1)) and np.all(values.sum(1) == 1)
    )
    several = "these are several targets for an image"
    if one_hot:
      return f"{several}, one-hot, so store {key}.argmax(1)"
    return f"{several}; choose one of them"
  if values.dtype.kind == "b" or bool(np.all(values == np.rint(values))):
    return f"store {key}.astype('int64')"
  return "these have decimals"
