"""Images as class folders of PNG files."""

import functools
import hashlib
import io
import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from etils import epath
from PIL import Image

from vqvae_jax.files import replace
from vqvae_jax.jobs.class_folders import class_folders
from vqvae_jax.jobs.formats.base import (
  COMPRESSED,
  Format,
  Images,
  Labels,
  Names,
)
from vqvae_jax.jobs.shards import Shard
from vqvae_jax.pictures import png

IMAGES = "images"


class PngFolders(Format):
  """`images/<class>/<number>.png`, as torchvision's ImageFolder reads them.

  See `jobs.class_folders` for the names of the folders. A folder is made with
  its first image, because some readers fail at empty folders.
  """

  unit = "image"

  @classmethod
  def least_bytes(cls, shape: Sequence[int]) -> float:
    """Returns how many bytes an image of this shape needs at least."""
    # A file takes at least one block of a file system.
    return max(math.prod(shape) * COMPRESSED, 4096)

  @functools.cached_property
  def _folders(self):
    return class_folders(self._class_names)

  def write(
    self, shard: Shard, labels: Labels, blocks: Iterable[Images]
  ) -> None:
    """Writes a file for each image."""
    for label in np.unique(labels).tolist():
      folder = self._out / IMAGES / self._folders[label]
      folder.mkdir(parents=True, exist_ok=True)
    paths = iter(self._paths(shard, labels))
    for images in blocks:
      jobs = [
        self._pool.submit(lambda path, x: replace(path, png(x)), path, image)
        for image, path in zip(images, paths, strict=False)
      ]
      for job in jobs:
        job.result()

  def digest(self, shard: Shard, labels: Labels) -> str:
    """Returns the SHA-256 of the files, one after the other."""
    sha = hashlib.sha256()
    paths = self._paths(shard, labels)
    for content in self._pool.map(lambda path: path.read_bytes(), paths):
      # The length makes sure that no byte can move to the next file.
      sha.update(len(content).to_bytes(8, "little"))
      sha.update(content)
    return sha.hexdigest()

  def missing(self, shard: Shard, labels: Labels) -> list[epath.Path]:
    """Returns the images of a shard that do not exist."""
    return [p for p in self._paths(shard, labels) if not p.exists()]

  def read(self, shard: Shard, labels: Labels) -> Iterator[Images]:
    """Yields the images one by one."""
    for path in self._paths(shard, labels):
      yield _decoded(path.read_bytes(), self._shape)

  def owns(self, names: Names, labels: Labels, *, folder: bool) -> bool:
    """Returns whether a path is an image, or a folder that holds one."""
    if names[0] != IMAGES or len(names) > 3 or folder == (len(names) == 3):
      return False
    if len(names) == 1:
      return True
    if len(names) == 2:
      name = names[1]
      label = self._folders.index(name) if name in self._folders else -1
      return bool(np.any(labels == label))
    stem = names[2].removesuffix(".png")
    if not (stem.isascii() and stem.isdecimal() and len(stem) < 20):
      return False
    number = int(stem)
    return (
      number < len(labels)
      and names[2] == _name(number)
      and names[1] == self._folders[labels[number]]
    )

  def _paths(self, shard, labels):
    return [
      self._out / IMAGES / self._folders[label] / _name(number)
      for number, label in enumerate(labels, shard.first)
    ]


def _name(number):
  return f"{number:08d}.png"


def _decoded(data, shape):
  with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
    return np.asarray(image).reshape(1, *shape)
