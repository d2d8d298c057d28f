"""Shards as a TFDS data set in ArrayRecord."""

import contextlib
import errno
import io
from collections.abc import Iterator, Sequence

from vqvae_jax.files import PARTIAL
from vqvae_jax.generation.format_base import FormatBase, Images, Labels, Put
from vqvae_jax.generation.shards import Shard
from vqvae_jax.training.pictures import png


class TfdsSet(FormatBase):
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
