"""How the images of a shard are kept: PNG files, npz, or a TFDS data set."""

import concurrent.futures
import contextlib
import io
import re
import zipfile
from collections.abc import Iterator, Sequence

import numpy as np
from etils import epath
from PIL import Image

from vqvae_jax.files import PARTIAL, replace
from vqvae_jax.generation.format_base import (
  Format,
  FormatBase,
  Images,
  Labels,
  Put,
)
from vqvae_jax.generation.shards import FORMATS, Shard
from vqvae_jax.generation.tfds_format import TfdsSet
from vqvae_jax.training.pictures import png


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


def class_folders(class_names: Sequence[str]) -> list[str]:
  """A safe and distinct folder name for each class; "unlabelled" for none.

  Letters, digits, dots, dashes and underscores stay, anything else becomes an
  underscore; names that then collide, also where case does not count, get
  their number.
  """
  if not class_names:
    return ["unlabelled"]
  folders, taken = [], set()
  for number, name in enumerate(class_names):
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".")[:80]
    # Digits alone are a number already: "3" must not become "3_7".
    if not safe or safe.lower() in taken:
      safe = f"{safe or 'class'}_{number}"
    while safe.lower() in taken:
      safe += "_"
    taken.add(safe.lower())
    folders.append(safe)
  return folders


class PngFolders(FormatBase):
  """`images/<class>/<number>.png`, as torchvision's ImageFolder reads them."""

  def __init__(self, *args):
    super().__init__(*args)
    self._folders = class_folders(self._class_names)
    for folder in self._folders:
      (self._out / "images" / folder).mkdir(parents=True, exist_ok=True)

  @contextlib.contextmanager
  def write(self, shard: Shard, labels: Labels) -> Iterator[Put]:
    paths = iter(self._paths(shard, labels))

    def put(images):
      jobs = [
        self._pool.submit(lambda path, x: replace(path, png(x)), path, image)
        for image, path in zip(images, paths, strict=False)
      ]
      for job in jobs:
        job.result()

    yield put

  def read(self, shard: Shard, labels: Labels) -> Iterator[Images]:
    for path in self._paths(shard, labels):
      yield _decoded(path.read_bytes(), self._shape)

  def strays(
    self, shards: Sequence[Shard], labels: Sequence[Labels]
  ) -> list[epath.Path]:
    """PNG files in class folders that are no images of the job."""
    known = {
      (path.parent.name, path.name)
      for pair in zip(shards, labels, strict=True)
      for path in self._paths(*pair)
    }
    return [
      path
      for folder in (self._out / "images").iterdir()
      if folder.is_dir()
      for path in folder.iterdir()
      if path.suffix == ".png" and (folder.name, path.name) not in known
    ]

  def _paths(self, shard, labels):
    return [
      self._out / "images" / self._folders[label] / f"{number:08d}.png"
      for number, label in enumerate(labels, shard.first)
    ]


class NpzShards(FormatBase):
  """`<number>-of-<shards>.npz`: images uint8 [n, h, w, c], labels int32 [n]."""

  @contextlib.contextmanager
  def write(self, shard: Shard, labels: Labels) -> Iterator[Put]:
    path = self._path(shard)
    partial = path.with_name(path.name + PARTIAL)
    # Array by array as np.savez does, but never all images in memory.
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
        yield lambda images: member.write(np.ascontiguousarray(images).data)
    partial.replace(path)

  def read(self, shard: Shard, labels: Labels) -> Iterator[Images]:
    with (
      self._path(shard).open("rb") as file,
      np.load(file, allow_pickle=False) as arrays,
    ):
      if not np.array_equal(arrays["labels"], labels):
        raise ValueError("the labels are not those of the record")
      yield arrays["images"]

  def _path(self, shard):
    return self._out / f"{shard.number:05d}-of-{self._shards:05d}.npz"


def _member(name):
  # With a fixed date, so that equal shards are equal files.
  return zipfile.ZipInfo(name)


def _decoded(data, shape):
  with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
    return np.asarray(image).reshape(1, *shape)
