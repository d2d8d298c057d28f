"""Sizes that no machine of this memory can hold are refused at once."""

import dataclasses
import math

from vqvae_jax.config import StageConfig
from vqvae_jax.data import DataSpec
from vqvae_jax.errors import ConfigError
from vqvae_jax.machine import size

# An image takes at least its bytes, its floats, and its reconstruction.
BYTES_PER_NUMBER = 1 + 4 + 4


def check_batch_fits(
  name: str, batch_size: int, spec: DataSpec, memory: int, devices: int
):
  """Refuses batches that are too large for any model.

  Args:
    name: flag of the batch size.
    batch_size: images in a global batch.
    spec: specification of the images.
    memory: bytes of memory of a device.
    devices: number of devices that share a batch.

  Raises:
    ConfigError: naming the bytes that are needed and available.
  """
  image = BYTES_PER_NUMBER * math.prod(spec.image_shape)
  need = batch_size / devices * image
  if need > memory:
    height, width, channels = spec.image_shape
    raise ConfigError(
      f"{name} {batch_size:,}: a batch of images of {width}x{height}x"
      f"{channels} needs {size(need)} or more, and {there_is(memory)}; "
      "try a smaller one"
    )


def check_image_fits(side: int, channels: int, memory: int):
  """Refuses images of which not even one fits.

  Args:
    side: side of an image in pixels.
    channels: 1 or 3.
    memory: bytes of memory of a device.

  Raises:
    ConfigError: naming the bytes that are needed and available.
  """
  need = BYTES_PER_NUMBER * channels * side**2
  if need > memory:
    raise ConfigError(
      f"--image-size {side:,}: one image needs {size(need)} or more, "
      f"and {there_is(memory)}; try a smaller one"
    )


def check_model_fits(
  name: str, config: StageConfig, parameters: float, memory: int
):
  """Refuses models that are too large for any batch.

  Args:
    name: name of the stage in its flags.
    config: settings of the stage.
    parameters: count of the numbers that are learned.
    memory: bytes of memory of a device.

  Raises:
    ConfigError: naming the bytes, and the setting that is furthest above its
      default.
  """
  # The weights, the best of them, and their gradient.
  need = 3 * 4 * parameters
  if need > memory:
    raise ConfigError(
      f"the {name} has {rounded(parameters)} parameters, which need "
      f"{size(need)} or more, and {there_is(memory)}; try a smaller "
      f"{_largest(name, config)}"
    )


def there_is(memory):
  return f"this machine has {size(memory)} for each device"


def rounded(count):
  for unit, one in (("trillion", 1e12), ("billion", 1e9), ("million", 1e6)):
    if count >= one:
      return f"{count / one:,.1f} {unit}"
  return f"{count:,.0f}"


def _largest(name, config):
  """Names the flag of the whole number that is furthest above its default."""

  def excess(field):
    value = getattr(config, field.name)
    if type(value) is not int or type(field.default) is not int:
      return 0
    return value / max(field.default, 1)

  # Settings of the training, such as the steps, do not make a network larger.
  no_size = {field.name for field in dataclasses.fields(StageConfig)}
  fields = [f for f in dataclasses.fields(config) if f.name not in no_size]
  field = max(fields, key=excess)
  flag = field.name.replace("_", "-")
  return f"--{name}.{flag} (now {getattr(config, field.name):,})"
