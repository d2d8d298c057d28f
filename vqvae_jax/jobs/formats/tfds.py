"""Shards as a TFDS data set in ArrayRecord."""

import contextlib
import errno
import io
import logging
import math
from collections.abc import Iterable, Iterator, Sequence

from etils import epath

from vqvae_jax.errors import ConfigError
from vqvae_jax.extras import TFDS, need
from vqvae_jax.files import PARTIAL
from vqvae_jax.jobs.formats.base import COMPRESSED, Images, Labels, OneFile
from vqvae_jax.jobs.shards import Shard
from vqvae_jax.pictures import png


class TfdsSet(OneFile):
  """A TFDS data set "generated" in ArrayRecord, with the one split "train".

  `as_data_source()` reads it; `as_dataset()` of TFDS reads only TFRecord.
  """

  NAME = "generated"
  loading = (
    "import tensorflow_datasets as tfds",
    "builder = tfds.builder_from_directory('.')",
    "source = builder.as_data_source(split='train')",
  )
  advice = (
    "The files are ArrayRecord: `as_dataset()` needs TFRecord and does not "
    "read them."
  )

  def __init__(self, *args):
    super().__init__(*args)
    # Imported here because it is slow, and the other formats do not need it.
    tfds = need("tensorflow_datasets", "--format=tfds", TFDS, ConfigError)
    from tensorflow_datasets.core import example_serializer

    logging.getLogger("absl").addFilter(_is_no_advice)
    features = {
      "image": tfds.features.Image(shape=self._shape, encoding_format="png")
    }
    self.extras = ("dataset_info.json", "features.json")
    if self._class_names:
      features["label"] = tfds.features.ClassLabel(names=self._class_names)
      self.extras += ("label.labels.txt",)
    self._tfds = tfds
    self._features = tfds.features.FeaturesDict(features)
    self._serializer = example_serializer.ExampleSerializer(
      self._features.get_serialized_info()
    )

  @classmethod
  def least_bytes(cls, shape: Sequence[int]) -> float:
    """Returns how many bytes an image of this shape needs at least."""
    # A record has a header beside the PNG file.
    return max(math.prod(shape) * COMPRESSED, 70)

  @classmethod
  def check_classes(cls, class_names: Sequence[str]) -> None:
    """Checks that TFDS, which stores class names as lines of a file, can.

    Raises:
      ConfigError: naming the first class that would be lost or changed.
    """
    seen = {}
    for label, name in enumerate(class_names):
      wrong = _wrong_name(name)
      if name in seen:
        wrong = f"class {seen[name]} has the same name"
      if wrong:
        raise ConfigError(
          f"--format=tfds cannot hold class {label}, {name[:60]!r}: {wrong}; "
          "rename it and train again, or use --format=png or npz"
        )
      seen[name] = label

  def path(self, number: int) -> epath.Path:
    """Returns the path of the file of a shard."""
    name = f"{self.NAME}-train.array_record"
    return self._out / f"{name}-{number:05d}-of-{self._num_shards:05d}"

  def write(
    self, shard: Shard, labels: Labels, blocks: Iterable[Images]
  ) -> None:
    """Writes a record for each image."""
    from array_record.python.array_record_module import ArrayRecordWriter

    path = self.path(shard.number)
    partial = path.with_name(path.name + PARTIAL)
    writer = ArrayRecordWriter(str(partial), "group_size:1")
    remaining = iter(labels)
    try:
      for images in blocks:
        encoded = list(self._pool.map(self._encode, images, remaining))
        with _disk_errors(partial):
          for data in encoded:
            writer.write(data)
      with _disk_errors(partial):
        writer.close()
    finally:
      with contextlib.suppress(RuntimeError):
        writer.close()
    partial.replace(path)

  def read(self, shard: Shard, labels: Labels) -> Iterator[Images]:
    """Yields the images one by one."""
    from array_record.python.array_record_module import ArrayRecordReader

    path = self.path(shard.number)
    # The message of ArrayRecord does not say which file is missing.
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

  def complete(self, counts: Sequence[int]) -> None:
    """Writes the description of the set that TFDS reads."""
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
        self.path(number).stat().length for number in range(self._num_shards)
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


@contextlib.contextmanager
def _disk_errors(path):
  """Turns the RuntimeError that ArrayRecord raises for a full disk."""
  try:
    yield
  except RuntimeError as error:
    raise OSError(errno.EIO, str(error), str(path)) from error


def _is_no_advice(record):
  """Returns whether a record is not the advice to install OpenCV for PNGs."""
  return "OpenCV" not in str(record.msg)


def _wrong_name(name):
  """Says why TFDS cannot store a class name, if it cannot."""
  if not name.strip():
    return "the name is empty"
  if name != name.strip():
    return "spaces at its ends would be lost"
  if any(ord(char) < 32 or ord(char) == 127 for char in name):
    return "it holds a line break or another control character"
  if any(0xD800 <= ord(char) < 0xE000 for char in name):
    return "it is not valid Unicode"
  return None
