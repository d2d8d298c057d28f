"""The formats of a job: class folders of PNG files, npz, or a TFDS data set."""

import concurrent.futures
import hashlib
import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from etils import epath
from PIL import Image

from vqvae_jax.files import PARTIAL, replace
from vqvae_jax.jobs.folders import class_folders
from vqvae_jax.jobs.format_base import (
  FileOfShard,
  Format,
  FormatBase,
  Images,
  Labels,
  Parts,
)
from vqvae_jax.jobs.shards import FORMATS, Shard
from vqvae_jax.jobs.tfds_format import TfdsSet, check_names
from vqvae_jax.pictures import png

IMAGES = "images"


def open_format(
  name: str,
  out: epath.PathLike,
  class_names: Sequence[str],
  shape: tuple[int, int, int],
  shards: int,
  pool: concurrent.futures.Executor,
) -> Format:
  """The format "png", "npz" or "tfds".

  Args:
    name: of the format.
    out: the folder.
    class_names: none for sets without labels.
    shape: of an image.
    shards: how many there will be.
    pool: encodes images.
  """
  kinds = PngFolders, NpzShards, TfdsSet
  kind = dict(zip(FORMATS, kinds, strict=True))[name]
  return kind(epath.Path(out), class_names, shape, shards, pool)


def check_format(name: str, class_names: Sequence[str]):
  """Raises `ConfigError` if a format cannot hold these classes."""
  if name == "tfds":
    check_names(class_names)


class PngFolders(FormatBase):
  """`images/<class>/<number>.png`, as torchvision's ImageFolder reads them.

  See `folders` for the names of class folders. A folder is made with its first
  image: readers stumble over empty ones.
  """

  def __init__(self, *args):
    super().__init__(*args)
    self._folders = class_folders(self._class_names)

  def write(self, shard: Shard, labels: Labels, blocks: Iterable[Images]):
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
    """SHA-256 of the files, one after the other."""
    found = hashlib.sha256()
    paths = self._paths(shard, labels)
    for content in self._pool.map(lambda path: path.read_bytes(), paths):
      # With its length, so that no byte can move to the next file.
      found.update(len(content).to_bytes(8, "little"))
      found.update(content)
    return found.hexdigest()

  def missing(self, shard: Shard, labels: Labels) -> list[epath.Path]:
    """Files of a shard that do not exist."""
    return [p for p in self._paths(shard, labels) if not p.exists()]

  def read(self, shard: Shard, labels: Labels) -> Iterator[Images]:
    """The images one by one."""
    for path in self._paths(shard, labels):
      yield _decoded(path.read_bytes(), self._shape)

  def owns(self, parts: Parts, labels: Labels, *, folder: bool) -> bool:
    """Whether a path is an image, or a folder that holds one."""
    if parts[0] != IMAGES or len(parts) > 3 or folder == (len(parts) == 3):
      return False
    if len(parts) == 1:
      return True
    if len(parts) == 2:
      name = parts[1]
      label = self._folders.index(name) if name in self._folders else -1
      return bool(np.any(labels == label))
    stem = parts[2].removesuffix(".png")
    if not (stem.isascii() and stem.isdecimal() and len(stem) < 20):
      return False
    number = int(stem)
    return (
      number < len(labels)
      and parts[2] == _name(number)
      and parts[1] == self._folders[labels[number]]
    )

  def _paths(self, shard, labels):
    return [
      self._out / IMAGES / self._folders[label] / _name(number)
      for number, label in enumerate(labels, shard.first)
    ]


class NpzShards(FileOfShard):
  """`<number>-of-<shards>.npz`: images uint8 [n, h, w, c], labels int32 [n]."""

  def write(self, shard: Shard, labels: Labels, blocks: Iterable[Images]):
    """Writes the file, and never holds all its images in memory."""
    path = self._path(shard.number)
    partial = path.with_name(path.name + PARTIAL)
    with partial.open("wb") as file, zipfile.ZipFile(file, "w") as archive:
      with archive.open(_member("labels.npy"), "w") as member:
        np.save(member, np.asarray(labels, np.int32), allow_pickle=False)
      info = _member("images.npy")
      with archive.open(info, "w", force_zip64=True) as member:
        header = {
          "descr": "|u1",
          "fortran_order": False,
          "shape": (shard.count, *self._shape),
        }
        np.lib.format.write_array_header_1_0(member, header)
        for images in blocks:
          member.write(np.ascontiguousarray(images).data)
    partial.replace(path)

  def read(self, shard: Shard, labels: Labels) -> Iterator[Images]:
    """All images at once."""
    with (
      self._path(shard.number).open("rb") as file,
      np.load(file, allow_pickle=False) as arrays,
    ):
      if not np.array_equal(arrays["labels"], labels):
        raise ValueError("the labels are not those of the record")
      yield arrays["images"]

  def _path(self, number):
    return self._out / f"{number:05d}-of-{self._shards:05d}.npz"


def _name(number):
  return f"{number:08d}.png"


def _member(name):
  # With a fixed date, so that equal shards are equal files.
  return zipfile.ZipInfo(name)


def _decoded(data, shape):
  with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
    return np.asarray(image).reshape(1, *shape)
