import numpy as np
import pytest

from vqvae_jax.data import DataSpec
from vqvae_jax.errors import ConfigError
from vqvae_jax.generation.labels import labels_of


def spec(names=("cat", "dog", "1"), counts=(70, 20, 10)) -> DataSpec:
  return DataSpec(
    name="pets",
    image_shape=(8, 8, 1),
    class_names=names,
    class_counts=counts,
    num_train=sum(counts),
    num_validation=10,
    variance=0.1,
    augment="none",
    digest="",
  )


def test_balanced_takes_classes_in_turn():
  labels = labels_of("balanced", np.arange(7), spec())
  assert labels.tolist() == [0, 1, 2, 0, 1, 2, 0]


@pytest.mark.parametrize("count", [10, 100, 1000])
def test_as_data_keeps_proportions_in_every_prefix(count):
  labels = labels_of("as-data", np.arange(count), spec())
  shares = np.bincount(labels, minlength=3) / count
  # A random draw of 1,000 would be off by 0.015, one standard deviation.
  np.testing.assert_allclose(shares, [0.7, 0.2, 0.1], atol=2 / count + 1e-3)


def test_minorities_are_filled_up_to_an_even_set():
  labels = labels_of("fill-minority", np.arange(170), spec())
  # First class 2 from 10 to 20, then 2 and 1 in turn up to 70, then all.
  assert labels[:14].tolist() == [2] * 10 + [1, 2, 1, 2]
  counts = np.bincount(labels, minlength=3) + [70, 20, 10]
  assert counts.tolist() == [90, 90, 90]


@pytest.mark.parametrize(
  "choice", ["balanced", "as-data", "dog,0", "fill-minority"]
)
def test_label_of_an_image_does_not_depend_on_the_others(choice):
  whole = labels_of(choice, np.arange(1000), spec())
  part = labels_of(choice, np.arange(400, 420), spec())
  np.testing.assert_array_equal(part, whole[400:420])


def test_names_come_before_numbers():
  # The class called "1" is number 2.
  assert labels_of("1, cat,0", np.arange(3), spec()).tolist() == [2, 0, 0]


@pytest.mark.parametrize("choice", ["3", "fish", "cat,,dog", "-1"])
def test_unknown_class_is_named(choice):
  with pytest.raises(ConfigError, match="is no class of pets: cat, dog, 1"):
    labels_of(choice, np.arange(3), spec())


def test_no_labels_to_choose_from():
  unlabelled = spec(names=(), counts=(100,))
  assert labels_of("balanced", np.arange(3), unlabelled).tolist() == [0, 0, 0]
  with pytest.raises(ConfigError, match="has no labels"):
    labels_of("as-data", np.arange(3), unlabelled)
