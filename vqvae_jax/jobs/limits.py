"""Checks the disk and memory that a job needs, before anything is made."""

import numpy as np
from etils import epath
from jax.sharding import Mesh

from vqvae_jax.config import SampleConfig
from vqvae_jax.data import DataSpec
from vqvae_jax.errors import ConfigError
from vqvae_jax.jobs.folder import MAX_SHARDS, RECORDS, JobFolder
from vqvae_jax.jobs.formats import FORMATS
from vqvae_jax.machine import free_bytes, host_memory, size

# A file takes at least one block of a file system.
_BLOCK = 4096
# Bytes of an image in lists of labels, and in records.
_LISTED = 40
# Making a block needs at least this many copies of its images in float32.
_COPIES = 3


def check(
  config: SampleConfig, spec: DataSpec, mesh: Mesh, job: JobFolder
) -> None:
  """Refuses what cannot be done, before anything is written.

  Args:
    config: settings of the job.
    spec: specification of the run's data.
    mesh: devices that make the images.
    job: folder of the job.

  Raises:
    ConfigError: naming the flag, what it needs, and what is available.
  """
  images = config.num_images
  if config.mode == "reconstruct":
    images = min(images, spec.num_validation)
  check_listed(images)
  shards = -(-images // config.shard_size)
  if shards > MAX_SHARDS:
    raise ConfigError(
      f"--shard-size {config.shard_size:,} divides {images:,} images into "
      f"{shards:,} shards, and {MAX_SHARDS:,} are allowed; make it larger"
    )
  block = config.batch_size * mesh.size
  if images + block >= 2**31:
    raise ConfigError(
      f"--num-images {images:,} and a block of {block:,} images are not below "
      f"{2**31:,} together, the numbers that images can have"
    )
  check_block(config.batch_size, mesh, spec.image_shape)
  records = job.out / RECORDS
  done = len(list(records.glob("*.json"))) if records.exists() else 0
  check_room(
    job.out, config.format, images, shards, min(done, shards), spec.image_shape
  )


def check_listed(num_images: int) -> None:
  """Raises `ConfigError` if the labels alone do not fit in memory."""
  listed = num_images * _LISTED
  if listed > host_memory():
    raise ConfigError(
      f"--num-images {num_images:,}: their labels alone need "
      f"{size(listed)} of memory, more than the {size(host_memory())} of "
      "this machine; make several smaller sets"
    )


def check_room(
  out: epath.Path,
  kind: str,
  num_images: int,
  shards: int,
  done: int,
  shape: tuple[int, int, int],
) -> None:
  """Refuses a job that cannot fit on the disk.

  The least that it needs is compared with the free space.

  Args:
    out: path of the folder of the job.
    kind: name of its format.
    num_images: number of images.
    shards: number of shards.
    done: number of shards that are whole already.
    shape: shape of an image.

  Raises:
    ConfigError: naming what is needed and what is free.
  """
  needed = num_images * FORMATS[kind].least_bytes(shape)
  needed = (needed + shards * _BLOCK) * (1 - done / shards)
  free = free_bytes(out)
  if free is not None and needed > free:
    raise ConfigError(
      f"--num-images {num_images:,} need {size(needed)} or more as {kind}, "
      f"and {out} has {size(free)} left; ask for fewer, or name "
      "another --out"
    )


def check_block(
  batch_size: int, mesh: Mesh, shape: tuple[int, int, int]
) -> None:
  """Raises `ConfigError` if the images of one block alone exceed the memory."""
  device = mesh.devices.flat[0]
  images = batch_size * int(np.prod(shape, dtype=np.int64)) * 4 * _COPIES
  limit = (device.memory_stats() or {}).get("bytes_limit")
  if limit is None:
    # Devices of the CPU share its memory.
    limit, images = host_memory(), images * mesh.size
  if images > limit:
    raise ConfigError(
      f"--batch-size {batch_size:,} needs {size(images)} or more of memory, "
      f"and there are {size(limit)}; the default, 250, suits most"
    )
