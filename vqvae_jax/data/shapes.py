"""The one shape that all images of a data set are brought to."""

import numpy as np
from jaxtyping import Int

from vqvae_jax.config import Config
from vqvae_jax.data.images import MAX_PIXELS, Shape
from vqvae_jax.data.source import Source
from vqvae_jax.errors import DataError
from vqvae_jax.machine import host_memory
from vqvae_jax.progress import counted


def common_shape(
  source: Source,
  indices: Int[np.ndarray, " n"],
  config: Config,
  expected: Shape | None = None,
) -> Shape:
  """Returns the shape of all images after resizing.

  The headers of the images are read, unless the settings or the source give
  the shape.

  Args:
    source: source of the images.
    indices: indices of the images in the source.
    config: settings of the run.
    expected: shape of the training images; None if these are they.

  Raises:
    DataError: if an image cannot be read, or sizes differ and no `image_size`
      brings them to one.
  """
  size = config.image_size
  if size is not None and (expected or config.channels):
    return expected or Shape(size, size, config.channels)
  if source.common_shape is not None:
    indices = indices[:1]
  shapes = counted(
    (source.shape(int(i)) for i in indices), len(indices), "reading headers"
  )
  channels, first = 1, None
  for index, shape in zip(indices, shapes, strict=True):
    channels = max(channels, shape.channels)
    if first is None:
      first = shape
    if size is None and shape[:2] != first[:2]:
      raise DataError(
        f"{source.describe(int(indices[0]))} is {_pixels(first)} pixels but "
        f"{source.describe(int(index))} is {_pixels(shape)}; bring them to "
        "one size with --image-size"
      )
  if expected is not None:
    if first is not None and first[:2] != expected[:2]:
      raise DataError(
        f"{source.describe(int(indices[0]))} is {_pixels(first)} pixels, but "
        f"the training images are {_pixels(expected)}; bring them to one size "
        "with --image-size"
      )
    return expected
  height, width = (size, size) if size is not None else first[:2]
  return Shape(height, width, config.channels or channels)


def check_size(shape: Shape, config: Config) -> None:
  """Checks that one batch of floats fits in memory.

  Raises:
    DataError: if it does not.
  """
  height, width, channels = shape
  if height * width > MAX_PIXELS:
    raise DataError(
      f"--image-size={config.image_size} makes images of {width}x{height} "
      f"pixels ({4 * height * width * channels / 2**30:,.1f} GiB each in "
      f"training), more than the {MAX_PIXELS // 10**6} megapixels that are "
      "possible; choose a smaller size"
    )
  stages = (config.tokenizer, config.prior, config.baseline)
  batch = max(stage.batch_size or config.batch_size for stage in stages)
  needed, memory = 4 * batch * height * width * channels, host_memory()
  # Each of many machines holds only its share of a batch.
  if needed > memory and not config.multihost:
    raise DataError(
      f"one batch of {batch:,} images of {width}x{height} pixels takes "
      f"{needed / 2**30:,.1f} GiB, but this machine has "
      f"{memory / 2**30:,.1f} GiB of memory; choose a smaller --image-size or "
      "--batch-size"
    )


def _pixels(shape):
  return f"{shape.width}x{shape.height}"
