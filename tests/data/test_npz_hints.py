"""Hints on arrays that cannot be used: followed, they give the right values."""

import re

import numpy as np
import pytest
from pictures import random_image

from vqvae_jax.data.kinds import open_dataset
from vqvae_jax.errors import DataError

IMAGES = np.stack([random_image(i, 4, 4, 3) for i in range(6)])
IMAGES[0, 0, 0] = 0, 255, 128
LABELS = np.array([0, 1, 2, 0, 1, 2])


def read(tmp_path, **arrays):
  np.savez(tmp_path / "set.npz", **arrays)
  return open_dataset(f"npz:{tmp_path / 'set.npz'}").splits["train"]()


def hint(tmp_path, **arrays):
  """The expression after "store" in the message about the arrays."""
  with pytest.raises(DataError) as caught:
    read(tmp_path, **arrays)
  message = str(caught.value)
  assert "\n" not in message
  return re.search(
    r"store (.*?)( \(16-bit values.*|, both of them)?$", message
  )[1]


INTEGERS = ("int16", "int32", "int64", "uint32", "uint64", ">i4")
FLOATS = ("float32", "float64", ">f4")
PIXELS = (
  [(IMAGES.astype(kind), IMAGES) for kind in (*INTEGERS, *FLOATS)]
  + [((IMAGES / 255).astype(kind), IMAGES) for kind in (*FLOATS, "float16")]
  + [((IMAGES / 127.5 - 1).astype(kind), IMAGES) for kind in FLOATS]
  + [
    ((IMAGES > 127).astype(k), (IMAGES > 127) * 255) for k in ("?", "i1", "i8")
  ]
  + [
    (IMAGES.astype(kind) * 16, IMAGES.astype(int) * 16)
    for kind in (*INTEGERS, *FLOATS)
  ]
  + [(IMAGES.astype("i4") - 128, IMAGES), ((IMAGES - 128).view("i1"), None)]
  + [(IMAGES.astype("i2") * 16 - 1024, IMAGES.astype("i4") * 16)]
  + [(IMAGES * 1000.0 - 3000.5, IMAGES), (IMAGES.astype("i8") * 10**6, IMAGES)]
)


@pytest.mark.parametrize("number", range(len(PIXELS)))
def test_the_hint_gives_the_right_pixels(tmp_path, number):
  given, expected = PIXELS[number]
  if expected is None:  # From -128 on.
    expected = given.astype(int) + 128
  for arrange in (lambda a: a, lambda a: a.transpose(0, 3, 1, 2)):
    images = arrange(given)
    fixed = eval(hint(tmp_path, images=images))
    source = read(tmp_path, images=fixed)
    found = np.stack([source[i]["image"] for i in range(6)]).astype(int)
    assert np.abs(found - expected).max() <= 1, given.dtype
    if given.dtype.kind in "iub":
      np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
  ("labels", "expected"),
  [
    (np.eye(3)[LABELS], LABELS),
    (np.eye(3, dtype="int8")[LABELS], LABELS),
    (np.eye(3, dtype=bool)[LABELS], LABELS),
    (LABELS.astype("float32"), LABELS),
    (LABELS[:, None].astype("float64"), LABELS),
    (LABELS % 2 == 1, LABELS % 2),
  ],
)
def test_the_hint_gives_the_right_labels(tmp_path, labels, expected):
  fixed = eval(hint(tmp_path, images=IMAGES, labels=labels))
  source = read(tmp_path, images=IMAGES, labels=fixed)
  np.testing.assert_array_equal(source.labels, expected)


def test_labels_in_words_become_numbers_and_names(tmp_path):
  labels = np.array(["dog", "cat", "dog", "ape", "cat", "dog"])
  told = hint(tmp_path, images=IMAGES, labels=labels)
  assert told.startswith("class_names, labels = np.unique(")
  class_names, fixed = eval(told.partition(" = ")[2])
  source = read(tmp_path, images=IMAGES, labels=fixed, class_names=class_names)
  assert source.class_names == ("ape", "cat", "dog")
  assert source.labels.tolist() == [2, 1, 2, 0, 1, 2]


@pytest.mark.parametrize(
  ("images", "shape"),
  [
    (IMAGES[..., [0, 1, 2, 0]], (4, 4, 3)),
    (IMAGES[..., 0].reshape(6, 16), (4, 4, 1)),
  ],
)
def test_the_hint_gives_the_right_shape(tmp_path, images, shape):
  source = read(tmp_path, images=eval(hint(tmp_path, images=images)))
  assert source[0]["image"].shape == shape
  np.testing.assert_array_equal(source[0]["image"][..., 0], IMAGES[0, ..., 0])


@pytest.mark.parametrize("kind", ["uint16", ">u2"])
def test_16_bits_are_read_as_they_are(tmp_path, kind):
  values = IMAGES[..., 0].astype(kind) * 16
  source = read(tmp_path, images=values)
  assert source[3]["image"].dtype == np.uint16
  np.testing.assert_array_equal(source[3]["image"][..., 0], values[3])


@pytest.mark.parametrize(
  ("arrays", "match"),
  [
    ({"images": np.full((6, 4, 4), np.nan)}, "NaN or infinite"),
    ({"images": IMAGES * 1j}, "complex128, not uint8; store pixels as numbers"),
    ({"images": IMAGES, "labels": LABELS + 0.5}, "these have decimals"),
    ({"images": IMAGES, "labels": np.ones((6, 2), int)}, "choose one of them"),
    ({"images": IMAGES, "labels": LABELS[:0]}, "it has no labels"),
    ({"images": IMAGES, "labels": np.array(3)}, "it has no labels"),
  ],
)
def test_what_no_expression_mends_is_told(tmp_path, arrays, match):
  with pytest.raises(DataError, match=match) as caught:
    read(tmp_path, **arrays)
  assert "\n" not in str(caught.value)
