"""What a job needs of disk and memory, before anything is made."""

import shutil

import numpy as np
from etils import epath
from jax.sharding import Mesh

from vqvae_jax.config import SampleConfig
from vqvae_jax.data import DataSpec
from vqvae_jax.errors import ConfigError
from vqvae_jax.files import is_remote
from vqvae_jax.jobs.shards import MAX_SHARDS, RECORDS, Job
from vqvae_jax.machine import host_memory, size

# Of a file system: a file takes at least one.
_BLOCK = 4096
# No image of a set is compressed to less than this share of its pixels.
_COMPRESSED = 1 / 100
# Bytes that an image takes in lists of labels, and on record.
_LISTED = 40
# Copies of a block's images in float32 that its making needs at least.
_COPIES = 3


def check(config: SampleConfig, spec: DataSpec, mesh: Mesh, job: Job):
  """Refuses what cannot be done, before anything is written.

  Args:
    config: of the job.
    spec: of the run's data.
    mesh: the devices that make the images.
    job: the folder.

  Raises:
    ConfigError: naming the flag, what it needs and what there is.
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


def check_listed(num_images: int):
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
):
  """Refuses a job that does not fit on the disk, by what it needs at the least.

  Args:
    out: folder of the job.
    kind: its format.
    num_images: images in all.
    shards: shards in all.
    done: shards that are whole already.
    shape: shape of an image.

  Raises:
    ConfigError: naming what is needed and what there is.
  """
  if is_remote(out):
    return
  pixels = num_images * int(np.prod(shape, dtype=np.int64))
  needed = {
    "npz": pixels,
    "tfds": max(pixels * _COMPRESSED, num_images * 70),
    "png": max(pixels * _COMPRESSED, num_images * _BLOCK),
  }[kind]
  needed = (needed + shards * _BLOCK) * (1 - done / shards)
  total, _, free = shutil.disk_usage(_existing(out))
  # Of no size are file systems that hold no files, and those that do not tell.
  if total and needed > free:
    raise ConfigError(
      f"--num-images {num_images:,} need {size(needed)} or more as {kind}, "
      f"and {_existing(out)} has {size(free)} left; ask for fewer, or name "
      "another --out"
    )


def check_block(batch_size: int, mesh: Mesh, shape: tuple[int, int, int]):
  """Raises `ConfigError` if one block's images alone exceed the memory."""
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


def _existing(path):
  while not path.exists() and path.parent != path:
    path = path.parent
  return path
