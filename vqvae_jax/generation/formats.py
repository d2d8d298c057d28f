"""How the images of a shard are kept: PNG files, npz, or a TFDS data set."""

import concurrent.futures
import contextlib
import errno
import io
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np
from etils import epath
from jaxtyping import Int, UInt8
from PIL import Image

from vqvae_jax.generation.shards import FORMATS, PARTIAL, Shard, replace
from vqvae_jax.training.pictures import png

Images = UInt8[np.ndarray, "n h w c"]
Labels = Int[np.ndarray, " n"]
# Takes the next images of a shard.
Put = Callable[[Images], None]


class Format(Protocol):
  """How shards are kept in a folder."""

  def write(
    self, shard: Shard, labels: Labels
  ) -> contextlib.AbstractContextManager[Put]:
    """Writes a shard; its files are there once the context has ended well."""

  def read(self, shard: Shard, labels: Labels) -> Iterator[Images]:
    """The images of a shard, one or several at a time."""

  def strays(
    self, shards: Sequence[Shard], labels: Sequence[Labels]
  ) -> list[epath.Path]:
    """Images beside those of all shards, where a reader would take them in."""

  def complete(self, counts: Sequence[int]):
    """Writes what goes with the whole set, given the images of each shard."""


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


class _Base:
  def __init__(self, out, class_names, shape, shards, pool):
    self._out = out
    self._class_names = list(class_names)
    self._shape = tuple(shape)
    self._shards = shards
    self._pool = pool

  def strays(
    self, shards: Sequence[Shard], labels: Sequence[Labels]
  ) -> list[epath.Path]:
    """None: files of this format say how many they are."""
    del shards, labels
    return []

  def complete(self, counts: Sequence[int]):
    """Nothing goes with the set but its manifest."""


class PngFolders(_Base):
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


class NpzShards(_Base):
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


class TfdsSet(_Base):
  """A TFDS data set "generated" in ArrayRecord, with the one split "train"."""

  NAME = "generated"

  def __init__(self, *args):
    super().__init__(*args)
    # Slow to import, and of no use to the other formats.
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core import example_serializer

    features = {
      "image": tfds.features.Image(shape=self._shape, encoding_format="png")
    }
    if self._class_names:
      # TFDS keeps names as the lines of a file.
      names = [" ".join(name.split()) for name in self._class_names]
      features["label"] = tfds.features.ClassLabel(names=names)
    self._tfds = tfds
    self._features = tfds.features.FeaturesDict(features)
    self._serializer = example_serializer.ExampleSerializer(
      self._features.get_serialized_info()
    )

  @contextlib.contextmanager
  def write(self, shard: Shard, labels: Labels) -> Iterator[Put]:
    from array_record.python.array_record_module import ArrayRecordWriter

    path = self._path(shard)
    partial = path.with_name(path.name + PARTIAL)
    writer = ArrayRecordWriter(str(partial), "group_size:1")
    remaining = iter(labels)

    def put(images):
      for data in self._pool.map(self._encode, images, remaining):
        writer.write(data)

    try:
      yield put
      writer.close()
    except RuntimeError as error:
      # A full disk, say, is no OSError to ArrayRecord.
      raise OSError(errno.EIO, str(error), str(partial)) from error
    finally:
      with contextlib.suppress(RuntimeError):
        writer.close()
    partial.replace(path)

  def read(self, shard: Shard, labels: Labels) -> Iterator[Images]:
    from array_record.python.array_record_module import ArrayRecordReader

    path = self._path(shard)
    # ArrayRecord's own message does not say which file is missing.
    path.stat()
    reader = ArrayRecordReader(str(path))
    try:
      if reader.num_records() != shard.count:
        raise ValueError(f"{reader.num_records()} records")
      for data, label in zip(reader.read_all(), labels, strict=True):
        example = self._features.deserialize_example_np(data)
        if self._class_names and example["label"] != label:
          raise ValueError("a label is not that of the record")
        yield example["image"][None]
    finally:
      reader.close()

  def complete(self, counts: Sequence[int]):
    """Writes TFDS's description of the set."""
    template = self._tfds.core.ShardedFileTemplate(
      data_dir=self._out,
      dataset_name=self.NAME,
      split="train",
      filetype_suffix="array_record",
    )
    split = self._tfds.core.SplitInfo(
      name="train",
      shard_lengths=list(counts),
      num_bytes=sum(
        self._file(number).stat().length for number in range(self._shards)
      ),
      filename_template=template,
    )
    self._tfds.folder_dataset.write_metadata(
      data_dir=self._out,
      features=self._features,
      split_infos=[split],
      check_data=False,
    )

  def _encode(self, image, label):
    example = {"image": io.BytesIO(png(image))}
    if self._class_names:
      example["label"] = int(label)
    return self._serializer.serialize_example(
      self._features.encode_example(example)
    )

  def _path(self, shard):
    return self._file(shard.number)

  def _file(self, number):
    name = f"{self.NAME}-train.array_record"
    return self._out / f"{name}-{number:05d}-of-{self._shards:05d}"


def _member(name):
  # With a fixed date, so that equal shards are equal files.
  return zipfile.ZipInfo(name)


def _decoded(data, shape):
  with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
    return np.asarray(image).reshape(1, *shape)
