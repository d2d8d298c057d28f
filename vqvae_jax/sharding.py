"""The device mesh and how arrays lie on it.

One axis, `"data"`: parameters are replicated, batches are split along it.
Under `jax.jit` the code sees global arrays, so sums over a batch are sums over
all devices and no collective is written by hand.
"""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from vqvae_jax.errors import ConfigError

DATA_AXIS = "data"


def make_mesh(devices: list[jax.Device] | None = None) -> Mesh:
  """A one-axis mesh over `devices`, by default all there are.

  The axis is of type Auto: under JAX's newer default, Explicit, indexing the
  codebook with sharded ids is an error.
  """
  devices = jax.devices() if devices is None else devices
  return jax.make_mesh(
    (len(devices),), (DATA_AXIS,), (AxisType.Auto,), devices=devices
  )


def replicated(mesh: Mesh) -> NamedSharding:
  """Every device holds the whole array."""
  return NamedSharding(mesh, PartitionSpec())


def split(mesh: Mesh) -> NamedSharding:
  """The leading axis is divided among the devices."""
  return NamedSharding(mesh, PartitionSpec(DATA_AXIS))


def check_batch(name: str, batch_size: int, accumulate: int, mesh: Mesh):
  """Raises `ConfigError` if the mesh cannot divide a (micro-)batch evenly."""
  if batch_size % (accumulate * mesh.size):
    micro = f" times accumulate {accumulate}" if accumulate > 1 else ""
    raise ConfigError(
      f"{name} {batch_size} is not divisible by the {mesh.size} devices of "
      f"the mesh{micro}"
    )


def to_global(batch: Mapping[str, np.ndarray], mesh: Mesh) -> dict[str, Any]:
  """Puts this process's rows of a batch on the devices as global arrays."""
  sharding = split(mesh)
  return {
    name: jax.make_array_from_process_local_data(sharding, rows)
    for name, rows in batch.items()
  }
