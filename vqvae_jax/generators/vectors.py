"""What the generators have in common in which one vector stands for an image.

They have one stage, whose settings are the group `baseline`.
"""

import abc
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from vqvae_jax.config import BaselineConfig, Config
from vqvae_jax.data import DataSpec
from vqvae_jax.data.augment import augment
from vqvae_jax.errors import ArgumentError, ConfigError
from vqvae_jax.generators.arguments import checked_number, checked_vectors
from vqvae_jax.generators.base import Generator, Stage
from vqvae_jax.pixels import to_float

STAGE = "baseline"
# Coarser grids than this are of no use to a dense layer.
_COARSEST = 8


class VectorGenerator(Generator):
  """A generator whose latents are vectors of a normal distribution.

  Attributes:
    network: Flax module of the generator.
    task: class of the task that trains it.
  """

  task: ClassVar[type["VectorTask"]]

  def __init__(self, config: Config, spec: DataSpec):
    super().__init__(config, spec)
    settings = config.baseline.resolve(config.model)
    self.latent_shape = (settings.latent_dim,)
    self.network = self.build()
    task = self.task(self.network, settings, spec.augment)
    self.stages = (Stage(STAGE, config.model, settings, lambda _: task),)

  @abc.abstractmethod
  def build(self) -> nn.Module:
    """Returns the network.

    Raises:
      ConfigError: if it cannot take images of their size.
    """

  @property
  def network_settings(self) -> dict[str, Any]:
    """What the networks of these generators have in common."""
    settings, shape = self.config.baseline, tuple(self.spec.image_shape)
    return {
      "image_shape": shape,
      "stride": coarsest_stride(*shape[:2]),
      "latent_dim": settings.latent_dim,
      "hidden": settings.hidden,
      "num_classes": self.spec.num_classes,
      "dtype": jnp.dtype(self.config.dtype),
    }

  @property
  def described(self) -> str:
    return f"{self.called} with {self.latent_shape[0]} latents"

  @property
  def introduced(self) -> str:
    return f"{self.config.model}, {self.latent_shape[0]} latents per image"

  def check_latents(self, latents: Any) -> Float[np.ndarray, "n d"]:
    return checked_vectors(latents, self.latent_shape[0], "latents")

  def check_sampling(self, values: dict[str, Any]) -> dict[str, Any]:
    temperature = checked_number("temperature", values["temperature"])
    if not 0 <= temperature < math.inf:
      raise ArgumentError(
        f"temperature {temperature} is not a finite number from 0 on"
      )
    return {"temperature": temperature}

  def draw(self, weights, fitted, keys, labels, settings):
    noise = jax.vmap(lambda key: jax.random.normal(key, self.latent_shape))(
      keys
    )
    latents = self.place(settings["temperature"] * noise, fitted, labels)
    return self.decode(weights[STAGE], latents, labels)

  def place(
    self, noise: Float[Array, "b d"], fitted: PyTree, labels: Array
  ) -> Float[Array, "b d"]:
    """Turns normal noise into latents of these classes."""
    del fitted, labels
    return noise


class VectorTask:
  """What the tasks of these generators have in common; see `state.Task`."""

  frozen = ()

  def __init__(self, model: nn.Module, settings: BaselineConfig, kind: str):
    """Keeps what the task reads.

    Args:
      model: network to train.
      settings: settings of the stage, with nothing left to the generator.
      kind: augmentation of the images.
    """
    self.model = model
    self.settings = settings
    self._augment = kind
    self._float = jnp.promote_types(model.dtype, jnp.float32)

  def prepare(self, frozen, batch, key):
    del frozen
    images = to_float(batch["image"], self._float)
    return {
      "image": augment(key, images, self._augment),
      "label": batch["label"],
    }

  def update_collections(self, variables, arrays, key):
    del arrays, key
    return variables

  def warning(self, sums):
    del sums


def coarsest_stride(height: int, width: int) -> int:
  """Returns the pixels of a position of the coarsest grid, along each side.

  Sides are halved at least twice, and then while they are even and the shorter
  one is 8 or more: 28x28 to 7x7, 32x32 and 128x128 to 4x4.

  Raises:
    ConfigError: if the sides are not divisible by 4.
  """
  if height % 4 or width % 4:
    nearest = max(round(min(height, width) / 4), 1) * 4
    raise ConfigError(
      f"images are {width}x{height}; autoencoders and the dcgan need sides "
      f"divisible by 4, for example --image-size={nearest}"
    )
  stride = 4
  while (
    min(height, width) // stride >= _COARSEST
    and height // stride % 2 == 0
    and width // stride % 2 == 0
  ):
    stride *= 2
  return stride


def averages(sums: Mapping[str, Any]) -> dict[str, Any]:
  """Divides sums over images by their number, which is among them."""
  return {
    name: value / sums["count"]
    for name, value in sums.items()
    if name != "count"
  }
