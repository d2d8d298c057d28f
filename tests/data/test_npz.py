"""npz files: the layouts that are read, and every way they can be wrong."""

import io
import zipfile

import numpy as np
import pytest
from pictures import random_image

from vqvae_jax.data import npz
from vqvae_jax.data.kinds import open_dataset
from vqvae_jax.errors import DataError

IMAGES = np.stack([random_image(i) for i in range(6)])
LABELS = np.array([0, 1, 2, 0, 1, 2])


def write(tmp_path, **arrays):
  path = tmp_path / "set.npz"
  np.savez(path, **arrays)
  return path


def splits_of(path):
  return open_dataset(f"npz:{path}").splits


def refused(path, match):
  with pytest.raises(DataError, match=match) as caught:
    for opener in splits_of(path).values():
      opener()
  assert "\n" not in str(caught.value)


@pytest.mark.parametrize("labels", [LABELS, LABELS[:, None].astype(np.uint8)])
@pytest.mark.parametrize("images", [IMAGES, IMAGES[..., 0]])
def test_images_and_labels(tmp_path, images, labels):
  source = splits_of(write(tmp_path, images=images, labels=labels))["train"]()
  assert source.class_names == ("0", "1", "2")
  np.testing.assert_array_equal(source[4]["image"], IMAGES[4])
  assert source[4]["label"] == 1


def test_class_names_and_unlabelled(tmp_path):
  names = np.array(["a", "b", "c"])
  path = write(tmp_path, images=IMAGES, labels=LABELS, class_names=names)
  assert splits_of(path)["train"]().class_names == ("a", "b", "c")
  source = splits_of(write(tmp_path, images=IMAGES))["train"]()
  assert source.class_names == ()
  assert source.labels.tolist() == [0] * 6


def test_the_layout_of_medmnist(tmp_path):
  arrays = {}
  for i, part in enumerate(("train", "val", "test")):
    arrays[f"{part}_images"] = IMAGES[..., 0] // (i + 1)
    arrays[f"{part}_labels"] = LABELS[:, None]
  splits = splits_of(write(tmp_path, **arrays))
  assert sorted(splits) == ["test", "train", "validation"]
  validation = splits["validation"]()
  np.testing.assert_array_equal(validation[2]["image"], IMAGES[2] // 2)
  assert validation.labels.tolist() == LABELS.tolist()


def test_the_test_arrays_are_read_only_when_asked_for(tmp_path):
  arrays = {}
  for part in ("train", "val", "test"):
    arrays[f"{part}_images"] = IMAGES
    arrays[f"{part}_labels"] = LABELS
  arrays["test_images"] = np.array([None], object)
  splits = splits_of(write(tmp_path, **arrays))
  splits["train"](), splits["validation"]()
  with pytest.raises(DataError, match="never unpickled"):
    splits["test"]()


@pytest.mark.parametrize(
  ("arrays", "match"),
  [
    ({"x": IMAGES}, "no array 'images'.*its arrays: x"),
    ({"images": IMAGES / 255}, "float64, not uint8; .*255"),
    ({"images": IMAGES[0, :, :, 0]}, r"is \[8, 8\], neither \[n, h, w\]"),
    ({"images": IMAGES.repeat(5, 3)}, r"is \[6, 8, 8, 5\], neither"),
    ({"images": IMAGES.transpose(0, 3, 1, 2)}, "channels first"),
    ({"images": IMAGES[:0]}, "no pixels"),
    ({"images": np.array([IMAGES[0], None], object)}, "never unpickled"),
    ({"images": IMAGES, "labels": LABELS[:5]}, "5 labels for 6 images"),
    ({"images": IMAGES, "labels": LABELS / 1}, "float64; labels are whole"),
    ({"images": IMAGES, "labels": LABELS - 1}, "has the label -1"),
    ({"images": IMAGES, "labels": LABELS + 1}, "counts from 1"),
    ({"images": IMAGES, "labels": LABELS * 2}, "no image has the label 1"),
    (
      {"images": IMAGES, "labels": np.full(6, 2**63, np.uint64)},
      "the label 9223372036854775808",
    ),
    (
      {"images": IMAGES, "labels": np.array([0, 10**9] * 3)},
      "reaches 1000000000 but no image has the label 1",
    ),
    ({"images": IMAGES, "labels": np.eye(6, dtype=int)}, "several targets"),
    ({"images": IMAGES, "labels": LABELS.astype(object)}, "never unpickled"),
    (
      {"images": IMAGES, "labels": LABELS, "class_names": np.array(["a"])},
      "label 2, beyond that of the last class, 0",
    ),
    (
      {"images": IMAGES, "labels": LABELS, "class_names": LABELS},
      "not text",
    ),
    (
      {
        "train_images": IMAGES,
        "train_labels": LABELS,
        "val_images": IMAGES,
        "val_labels": LABELS + 1,
      },
      "'val_labels' has the label 3, beyond that of the last class, 2",
    ),
    (
      {"train_images": IMAGES, "train_labels": LABELS, "val_images": IMAGES},
      "no array 'val_labels'",
    ),
  ],
)
def test_what_is_refused(tmp_path, arrays, match):
  refused(write(tmp_path, **arrays), match)


def test_missing_and_broken_files(tmp_path):
  refused(tmp_path / "no.npz", "no.npz does not exist")
  refused(tmp_path, "is a folder; for the images in it: folder:/")
  (tmp_path / "b.npz").touch()
  (tmp_path / "a.npz").touch()
  refused(tmp_path, "name one of its 2 files: npz:/.*/a.npz$")
  broken = tmp_path / "broken.npz"
  broken.write_bytes(b"no zip")
  refused(broken, "broken.npz is not an npz file")
  whole = write(tmp_path, images=IMAGES).read_bytes()
  broken.write_bytes(whole[: len(whole) // 2])
  refused(broken, "broken.npz is not an npz file")


def header(shape):
  stream = io.BytesIO()
  np.lib.format.write_array_header_1_0(
    stream, {"descr": "|u1", "fortran_order": False, "shape": shape}
  )
  return stream.getvalue()


def test_a_header_that_declares_more_than_the_file_holds(tmp_path):
  path = tmp_path / "lie.npz"
  with zipfile.ZipFile(path, "w") as archive:
    archive.writestr("images.npy", header((10**6, 1000, 1000)) + b"few")
  refused(path, "declares 1000000000000 bytes but the file holds 3")


def test_a_bomb_is_refused_before_memory_is_taken(tmp_path, monkeypatch):
  monkeypatch.setattr(npz, "MAX_ARRAY_BYTES", 2**20)
  path = tmp_path / "bomb.npz"
  np.savez_compressed(path, images=np.zeros((200, 100, 100), np.uint8))
  assert path.stat().st_size < 10_000
  refused(path, "declares 0.0 GiB, more than")


def test_one_huge_image_is_refused(tmp_path):
  path = tmp_path / "huge.npz"
  np.savez_compressed(path, images=np.zeros((1, 8001, 8001), np.uint8))
  refused(path, "declares 8001x8001 pixels")
