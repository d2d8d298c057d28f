"""The file formats of a set."""

import concurrent.futures
from collections.abc import Mapping
from typing import Any

from etils import epath

from vqvae_jax.jobs.formats.base import Format
from vqvae_jax.jobs.formats.npz import NpzFiles
from vqvae_jax.jobs.formats.png import PngFolders
from vqvae_jax.jobs.formats.tfds import TfdsSet
from vqvae_jax.jobs.shards import plan

# The choices of --format.
FORMATS: dict[str, type[Format]] = {
  "png": PngFolders,
  "npz": NpzFiles,
  "tfds": TfdsSet,
}


def open_format(
  out: epath.PathLike,
  settings: Mapping[str, Any],
  pool: concurrent.futures.Executor,
) -> Format:
  """Returns the format of a set.

  Args:
    out: folder of the set.
    settings: settings of its job.
    pool: threads that encode images.
  """
  return FORMATS[settings["format"]](
    out,
    settings["class_names"],
    settings["image_shape"],
    len(plan(settings["num_images"], settings["shard_size"])),
    pool,
  )


__all__ = ["FORMATS", "Format", "open_format"]
