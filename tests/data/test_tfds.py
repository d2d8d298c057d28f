"""TFDS sets on disk in both formats, without TensorFlow, and their faults."""

import io
import json
import struct
import sys

import numpy as np
import pytest
from array_record.python.array_record_module import ArrayRecordWriter
from pictures import random_image
from PIL import Image
from tensorflow_datasets.proto import tf_example_pb2

from vqvae_jax.config import Config
from vqvae_jax.data import load_data
from vqvae_jax.errors import DataError

FEATURES = "tensorflow_datasets.core.features."
LABEL = {
  "pythonClassName": FEATURES + "class_label_feature.ClassLabel",
  "classLabel": {"numClasses": "3"},
}


def image_feature(dtype="uint8", sides=(8, 8)):
  shape = {"dimensions": [str(side) for side in (*sides, 1)]}
  return {
    "pythonClassName": FEATURES + "image_feature.Image",
    "image": {"dtype": dtype, "shape": shape},
  }


def record(image, label):
  stream = io.BytesIO()
  Image.fromarray(image[..., 0]).save(stream, "PNG")
  example = tf_example_pb2.Example()
  feature = example.features.feature
  feature["image"].bytes_list.value.append(stream.getvalue())
  if label is not None:
    feature["label"].int64_list.value.append(label)
  return example.SerializeToString()


def write_tfrecord(path, records):
  with open(path, "wb") as file:
    for data in records:
      file.write(struct.pack("<Q", len(data)) + b"cccc" + data + b"cccc")


def write_array_record(path, records):
  writer = ArrayRecordWriter(str(path), "group_size:1")
  for data in records:
    writer.write(data)
  writer.close()


def prepare_on_disk(
  root, kind="tfrecord", splits=None, features=None, shards=4, name="tiny"
):
  """Writes a set as TFDS lays it out: splits are lists of (image, label)."""
  if splits is None:
    splits = {
      "train": [(random_image(i), i % 3) for i in range(30)],
      "test": [(random_image(100 + i), i % 3) for i in range(6)],
    }
  folder = root / name / "1.0.0"
  folder.mkdir(parents=True)
  infos = []
  for split, examples in splits.items():
    parts = np.array_split(np.arange(len(examples)), shards)
    for shard, part in enumerate(parts):
      file = folder / f"{name}-{split}.{kind}-{shard:05}-of-{shards:05}"
      write = write_tfrecord if kind == "tfrecord" else write_array_record
      write(file, [record(*examples[i]) for i in part])
    infos.append(
      {
        "name": split,
        "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
        "numBytes": "1000",
        "shardLengths": [str(len(part)) for part in parts],
      }
    )
  info = {"name": name, "version": "1.0.0", "fileFormat": kind}
  (folder / "dataset_info.json").write_text(
    json.dumps(info | {"splits": infos})
  )
  features = features or {"image": image_feature(), "label": LABEL}
  tree = {
    "pythonClassName": FEATURES + "features_dict.FeaturesDict",
    "featuresDict": {"features": features},
  }
  (folder / "features.json").write_text(json.dumps(tree))
  return folder


def load(root, splits=("train", "validation"), name="tiny", **settings):
  return load_data(Config(dataset=name, data_dir=str(root), **settings), splits)


@pytest.fixture(autouse=True)
def no_tensorflow():
  """Reading never imports TensorFlow, which would take the accelerator."""
  before = "tensorflow" in sys.modules
  yield
  assert ("tensorflow" in sys.modules) == before


@pytest.mark.parametrize("kind", ["tfrecord", "array_record"])
def test_both_formats_give_every_image_its_label(tmp_path, kind):
  prepare_on_disk(tmp_path, kind)
  data = load(tmp_path, ("train", "validation", "test"))
  assert [len(split) for split in data.splits.values()] == [24, 6, 6]
  assert data.spec.class_names == ("0", "1", "2")
  labels = {random_image(i).tobytes(): i % 3 for i in range(30)}
  for name in ("train", "validation"):
    for image, label in zip(data[name].images, data[name].labels, strict=True):
      assert labels.pop(image.tobytes()) == label
  assert not labels
  for i in range(6):
    np.testing.assert_array_equal(data["test"].images[i], random_image(100 + i))


def test_both_formats_are_one_set(tmp_path):
  prepare_on_disk(tmp_path / "a", "tfrecord")
  prepare_on_disk(tmp_path / "b", "array_record")
  assert load(tmp_path / "a").spec == load(tmp_path / "b").spec


def test_images_are_read_one_by_one_where_they_are_many(tmp_path, monkeypatch):
  from vqvae_jax.data import tfds_source

  prepare_on_disk(tmp_path)
  whole = load(tmp_path)
  monkeypatch.setattr(tfds_source, "MAX_ENCODED_BYTES", 0)
  assert load(tmp_path).spec == whole.spec


@pytest.mark.parametrize("kind", ["tfrecord", "array_record"])
def test_the_test_files_are_never_opened(tmp_path, kind):
  folder = prepare_on_disk(tmp_path, kind)
  before = load(tmp_path)
  for file in folder.glob("*-test.*"):
    file.unlink()
  assert load(tmp_path).spec == before.spec
  with pytest.raises(DataError, match="tiny.*test"):
    load(tmp_path, ("test",))


def test_a_set_without_test_has_one_cut_off(tmp_path):
  examples = [(random_image(i), i % 3) for i in range(30)]
  prepare_on_disk(tmp_path, splits={"train": examples})
  data = load(tmp_path, ("train", "validation", "test"), seed=1)
  other = load(tmp_path, ("test",), seed=2)
  assert [len(split) for split in data.splits.values()] == [19, 5, 6]
  np.testing.assert_array_equal(data["test"].images, other["test"].images)


def test_classes_without_an_image_are_left_out(tmp_path, capsys):
  examples = [(random_image(i), 2 * (i % 2)) for i in range(20)]
  prepare_on_disk(
    tmp_path, splits={"train": examples, "validation": examples[:4]}
  )
  data = load(tmp_path)
  assert data.spec.class_names == ("0", "2")
  assert data["validation"].labels.tolist() == [0, 1, 0, 1]
  assert "1 of its 3 classes have no image" in capsys.readouterr().err


def test_a_set_without_labels(tmp_path):
  examples = [(random_image(i), None) for i in range(20)]
  prepare_on_disk(
    tmp_path,
    splits={"train": examples},
    features={"image": image_feature()},
  )
  assert load(tmp_path).spec.class_names == ()


def test_images_of_many_sizes_need_image_size(tmp_path):
  examples = [(random_image(i, 8, 8 + i), i % 3) for i in range(30)]
  prepare_on_disk(
    tmp_path,
    splits={"train": examples, "test": examples},
    features={"image": image_feature(sides=(-1, -1)), "label": LABEL},
  )
  with pytest.raises(DataError, match=r"of tiny \(train\) is .*--image-size"):
    load(tmp_path)
  assert load(tmp_path, image_size=8).spec.image_shape == (8, 8, 1)


def refused(root, match, **settings):
  with pytest.raises(DataError, match=match) as caught:
    load(root, **settings)
  assert "\n" not in str(caught.value)


def test_a_truncated_or_short_file_is_named(tmp_path):
  folder = prepare_on_disk(tmp_path)
  file = folder / "tiny-train.tfrecord-00001-of-00004"
  whole = file.read_bytes()
  file.write_bytes(whole[:-10])
  refused(tmp_path, "00001-of-00004 should have 8 records but has a broken")
  file.write_bytes(b"")
  refused(tmp_path, "00001-of-00004 should have 8 records but has 0")


def test_features_that_cannot_be_used(tmp_path):
  pictures = {"picture": image_feature(), "label": LABEL}
  prepare_on_disk(tmp_path / "a", features=pictures)
  refused(tmp_path / "a", "no feature 'image'; its features: label, picture")
  deep = {"image": image_feature("uint16"), "label": LABEL}
  prepare_on_disk(tmp_path / "b", features=deep)
  refused(tmp_path / "b", "images of uint16, not of uint8")
  several = {
    "pythonClassName": FEATURES + "sequence_feature.Sequence",
    "sequence": {"feature": LABEL, "length": "-1"},
  }
  both = {"image": image_feature(), "label": several}
  prepare_on_disk(tmp_path / "c", features=both)
  refused(tmp_path / "c", "not one class for each image")


def test_images_without_a_label(tmp_path):
  examples = [(random_image(i), i % 3) for i in range(30)]
  prepare_on_disk(
    tmp_path / "a", splits={"train": [*examples, (random_image(0), -1)]}
  )
  refused(tmp_path / "a", "training images without a label")
  prepare_on_disk(
    tmp_path / "b",
    splits={"train": examples, "test": [(random_image(0), -1)]},
    shards=1,
  )
  with pytest.raises(DataError, match="image 0 of tiny .test. has the label -"):
    load(tmp_path / "b", ("test",))


def test_a_set_without_train(tmp_path):
  prepare_on_disk(tmp_path, splits={"test": [(random_image(0), 0)]}, shards=1)
  refused(tmp_path, "tiny has no train split; its splits: test")
