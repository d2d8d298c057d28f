"""What callers may give a model: every other array is refused in one line."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from vqvae_jax.data import DataSpec
from vqvae_jax.errors import ArgumentError, ConfigError
from vqvae_jax.generators import arguments

SPEC = DataSpec(
  name="animals",
  image_shape=(6, 4, 3),
  class_names=("cat", "dog", "猫"),
  class_counts=(5, 5, 5),
  num_train=15,
  num_validation=3,
  variance=0.1,
  augment="none",
  digest="",
)
GREY = dataclasses.replace(SPEC, image_shape=(6, 4, 1))
UNLABELLED = dataclasses.replace(SPEC, class_names=(), class_counts=(15,))


def refused(call, *args) -> str:
  """What is said; callers of a library expect a ValueError."""
  with pytest.raises(ValueError) as caught:
    call(*args)
  assert isinstance(caught.value, ArgumentError)
  assert isinstance(caught.value, ConfigError)
  message = str(caught.value)
  assert "\n" not in message and len(message) < 300, message
  return message


def test_images_of_every_right_kind_are_the_same():
  pixels = np.random.default_rng(0).integers(0, 256, (2, 6, 4, 3))
  pixels = pixels.astype(np.uint8)
  expected = pixels.astype(np.float32) / 255
  for given in (
    pixels,
    jnp.asarray(pixels),
    list(pixels),
    expected,
    jnp.asarray(expected),
    expected.astype(np.float64),
    expected.tolist(),
  ):
    found = arguments.checked_images(given, SPEC)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)
  for none in ([], np.zeros((0, 6, 4, 3))):
    assert arguments.checked_images(none, SPEC).shape == (0, 6, 4, 3)


def test_images_of_every_wrong_kind_are_refused():
  good = np.full((2, 6, 4, 3), 0.5)
  one = good[0]
  for images, spec, said in (
    (one, SPEC, "images[None] makes a list of one image"),
    (good.transpose(0, 3, 1, 2), SPEC, "images.transpose(0, 2, 3, 1)"),
    (good[..., 0], GREY, "images[..., None] adds the channel"),
    (one[..., 0], GREY, "images[None, ..., None]"),
    (good[:, :5], SPEC, "(2, 5, 4, 3) are not [n, 6, 4, 3]"),
    (good[None], SPEC, "are not [n, 6, 4, 3]"),
    (np.float64(1), SPEC, "images of shape () are not"),
    ([one, one[:3]], SPEC, "images are not one array"),
    (good * 255, SPEC, "from 0 to 255, divide them by 255"),
    (good * 3 - 2, SPEC, "take (images + 1) / 2"),
    (good * 3000, SPEC, "neither uint8 nor in [0, 1]"),
    (-good, SPEC, "images from -0.5 to -0.5"),
    (good * np.nan, SPEC, "images hold nan"),
    (good * np.inf, SPEC, "images hold infinity"),
    (good.astype(int), SPEC, "int64 are neither uint8 nor floats"),
    (good.astype(bool), SPEC, "images of bool are neither"),
    (good.astype(complex), SPEC, "images of complex128 are neither"),
    (good.astype(str), SPEC, "are neither uint8 nor floats"),
    (good.astype(object), SPEC, "images of object are neither"),
    (None, SPEC, "images of shape () are not"),
    ("x.png", SPEC, "images of shape () are not"),
  ):
    assert said in refused(arguments.checked_images, images, spec)


def test_labels_are_names_or_positions():
  expected = np.array([2, 0, 1], np.int32)
  for given in (
    ["猫", "cat", "dog"],
    ("猫", "cat", "dog"),
    np.array(["猫", "cat", "dog"]),
    np.array(["猫", "cat", "dog"], object),
    [2, 0, 1],
    jnp.array([2, 0, 1]),
    np.array([2, 0, 1], np.uint8),
  ):
    for check in (arguments.checked_labels, arguments.chosen_labels):
      found = check(given, SPEC)
      assert found.dtype == np.int32
      np.testing.assert_array_equal(found, expected)
  for none in ([], (), np.zeros(0)):
    assert arguments.checked_labels(none, SPEC).shape == (0,)
  np.testing.assert_array_equal(
    arguments.checked_labels([0, 0], UNLABELLED), [0, 0]
  )


def test_other_labels_are_refused():
  for labels, spec, said in (
    (["cow"], SPEC, "label 'cow' is not a class of animals: cat, dog, 猫"),
    (["Cat"], SPEC, "'Cat' is not a class"),
    (["0"], SPEC, "'0' is not a class"),
    (["cat", 1], SPEC, "both names and numbers"),
    ("cat", SPEC, "put a single one in a list"),
    (1, SPEC, "put a single one in a list"),
    ([[0, 1]], SPEC, "labels of shape (1, 2) are not [n]"),
    ([[0], [0, 1]], SPEC, "labels are not one array"),
    ([3], SPEC, "labels from 3 to 3 are not all in [0, 3)"),
    ([-1], SPEC, "labels from -1 to -1"),
    ([10**30], SPEC, "object are not integers"),
    ([0.5], SPEC, "labels of float64 are not integers"),
    ([1.0], SPEC, "labels of float64 are not integers"),
    ([True], SPEC, "labels of bool are not integers"),
    ([None], SPEC, "labels of object are not integers"),
    ([b"cat"], SPEC, "are not integers, nor names"),
    (["cat"], UNLABELLED, "animals has no classes; give 0 for every image"),
    ([1], UNLABELLED, "not all in [0, 1)"),
    (["a\nb" * 100], SPEC, "is not a class"),
  ):
    assert said in refused(arguments.checked_labels, labels, spec)
  assert "2 images but 1 labels" in refused(
    arguments.checked_labels, ["cat"], SPEC, 2
  )


def test_a_label_that_could_mean_two_classes_is_refused():
  numbered = dataclasses.replace(SPEC, class_names=("1", "2", "3"))
  twice = dataclasses.replace(SPEC, class_names=("a", "b", "a"))
  padded = dataclasses.replace(SPEC, class_names=("00", "01", "02"))
  assert "label 1 could mean class '1' or the class at position 1, '2'" in (
    refused(arguments.chosen_labels, [0, 1], numbered)
  )
  # No class is called 0, and names say what they mean.
  assert arguments.chosen_labels([0], numbered).tolist() == [0]
  assert arguments.chosen_labels(["3", "1"], numbered).tolist() == [2, 0]
  assert arguments.chosen_labels([0, 1, 2], padded).tolist() == [0, 1, 2]
  # The labels of images are positions, as data sets give them.
  assert arguments.checked_labels([0, 1, 2], numbered).tolist() == [0, 1, 2]
  assert "name of several classes" in refused(
    arguments.checked_labels, ["a"], twice
  )
  assert arguments.checked_labels(["b"], twice).tolist() == [1]


def test_ids_and_vectors():
  grid = (2, 3)
  ids = np.arange(6).reshape(1, 2, 3)
  for given in (ids, ids.tolist(), jnp.asarray(ids), ids.astype(np.uint16)):
    found = arguments.checked_ids(given, grid, 6)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, ids)
  assert arguments.checked_ids([], grid, 6).shape == (0, 2, 3)
  for wrong, said in (
    (ids + 0.7, "ids of float64 are not integers"),
    (ids > 2, "ids of bool are not integers"),
    (ids.astype(str), "are not integers"),
    (ids + 1, "ids from 1 to 6 are not all in [0, 6)"),
    (ids - 1, "ids from -1 to 4"),
    (ids[0], "ids[None] makes a list of one image"),
    (ids.reshape(1, 6), "(1, 6) are not [n, 2, 3]"),
    (7, "ids of shape () are not"),
  ):
    assert said in refused(arguments.checked_ids, wrong, grid, 6)
  vectors = np.linspace(-3, 3, 8).reshape(2, 4)
  found = arguments.checked_vectors(vectors.tolist(), 4, "latents")
  np.testing.assert_allclose(found, vectors, rtol=1e-6)
  assert arguments.checked_vectors([], 4, "latents").shape == (0, 4)
  for wrong, said in (
    (vectors[0], "latents of shape (4,) are not [n, 4]"),
    (vectors[:, :3], "(2, 3) are not [n, 4]"),
    (vectors * np.nan, "latents hold nan"),
    (vectors * 1e300, "latents hold infinity"),
    (vectors.astype(str), "are not numbers"),
    (vectors > 0, "latents of bool are not numbers"),
    (vectors * 1j, "latents of complex128 are not numbers"),
  ):
    assert said in refused(arguments.checked_vectors, wrong, 4, "latents")


def test_seeds_and_numbers():
  for seed in (0, 7, 2**31 - 1, np.int64(3), np.uint8(3)):
    assert arguments.checked_seed(seed) == int(seed)
  wrong = (-1, 2**31, 10**5000, 1.5, 1.0, None, "1", True, [1], np.array([1]))
  for seed in wrong:
    assert "is not a whole number from 0 to 2147483647" in refused(
      arguments.checked_seed, seed
    )
  for value in (0, 0.5, np.float32(0.5), np.int8(2)):
    assert arguments.checked_number("temperature", value) == float(value)
  assert arguments.checked_number("temperature", 10**400) == np.inf
  for value in ("1", None, True, [0.5], 1j, np.ones(1)):
    assert "temperature " in refused(
      arguments.checked_number, "temperature", value
    )
