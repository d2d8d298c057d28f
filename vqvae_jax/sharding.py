"""The device mesh, and how arrays are laid out on it.

The mesh has one axis, `"data"`. Parameters are replicated, and batches are
split along the axis. Under `jax.jit` the code sees global arrays, so sums over
a batch are sums over all devices, and no collective is written by hand.
"""

import sys
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from vqvae_jax import rendezvous
from vqvae_jax.errors import ConfigError

DATA_AXIS = "data"
# Seconds that processes wait for each other at the start.
WAIT = 300


def start_processes(
  coordinator: str | None = None,
  num_processes: int | None = None,
  process_index: int | None = None,
  wait_at_exit: int = 300,
) -> None:
  """Makes this process one of several that compute together.

  Call this before anything else in JAX. No argument is needed on a Cloud TPU
  pod, and on clusters that JAX detects (Slurm, Open MPI).

  Args:
    coordinator: address of process 0, `host:port`.
    num_processes: number of processes.
    process_index: index of this process, from 0 on.
    wait_at_exit: seconds that processes wait for the last one at the end; JAX
      then ends those that are still at work.

  Raises:
    ConfigError: if the processes do not find each other.
  """
  if coordinator is not None:
    rendezvous.meet(coordinator, num_processes, process_index, WAIT)
  else:
    print(
      f"waiting for the other processes of the cluster, up to {WAIT // 60} "
      "minutes",
      file=sys.stderr,
      flush=True,
    )
  try:
    jax.distributed.initialize(
      coordinator,
      num_processes,
      process_index,
      initialization_timeout=WAIT,
      shutdown_timeout_seconds=wait_at_exit,
    )
  except (RuntimeError, ValueError) as error:
    raise ConfigError(
      f"--multihost: {' '.join(str(error).split())[:300]}"
    ) from error


def local_rows(batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Returns this process's consecutive images of a global batch."""
  rows = {name: len(x) // jax.process_count() for name, x in batch.items()}
  return {
    name: x[jax.process_index() * rows[name] :][: rows[name]]
    for name, x in batch.items()
  }


def make_mesh(devices: list[jax.Device] | None = None) -> Mesh:
  """Makes a one-axis mesh over `devices`, by default over all of them.

  The axis is of type Auto. With Explicit, the newer default of JAX, indexing
  the codebook with sharded ids is an error.
  """
  devices = jax.devices() if devices is None else devices
  return jax.make_mesh(
    (len(devices),), (DATA_AXIS,), (AxisType.Auto,), devices=devices
  )


def local_mesh() -> Mesh:
  """Makes a mesh over the devices of this process."""
  return make_mesh(jax.local_devices())


def replicated(mesh: Mesh) -> NamedSharding:
  """Returns the sharding in which every device holds the whole array."""
  return NamedSharding(mesh, PartitionSpec())


def split(mesh: Mesh) -> NamedSharding:
  """Returns the sharding that divides the first axis among the devices."""
  return NamedSharding(mesh, PartitionSpec(DATA_AXIS))


def check_batch(
  name: str, batch_size: int, accumulate: int, mesh: Mesh
) -> None:
  """Raises `ConfigError` if the mesh cannot divide a (micro-)batch evenly."""
  if batch_size % (accumulate * mesh.size):
    micro = f" times accumulate {accumulate}" if accumulate > 1 else ""
    raise ConfigError(
      f"{name} {batch_size} is not divisible by the {mesh.size} devices of "
      f"the mesh{micro}"
    )


def to_global(batch: Mapping[str, np.ndarray], mesh: Mesh) -> dict[str, Any]:
  """Puts this process's part of a batch on the devices as global arrays."""
  sharding = split(mesh)
  return {
    name: jax.make_array_from_process_local_data(sharding, rows)
    for name, rows in batch.items()
  }
