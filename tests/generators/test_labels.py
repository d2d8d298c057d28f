import numpy as np
import pytest

from vqvae_jax.data import DataSpec
from vqvae_jax.errors import ConfigError
from vqvae_jax.generators.labels import chosen, explained, labels_of


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
  "choice", ["balanced", "as-data", "dog,cat", "fill-minority"]
)
def test_label_of_an_image_does_not_depend_on_the_others(choice):
  whole = labels_of(choice, np.arange(1000), spec())
  part = labels_of(choice, np.arange(400, 420), spec())
  np.testing.assert_array_equal(part, whole[400:420])


def test_a_number_is_a_position_only_if_no_class_is_called_by_one():
  # The class called "1" is number 2.
  assert labels_of("1, cat", np.arange(2), spec()).tolist() == [2, 0]
  for numeric in ("01", "1", "+3", "1.5", " 2", "1e3", "\u0663", "1_000"):
    for choice in ("0", "7", "cat,0"):
      with pytest.raises(ConfigError, match="is not taken for a position"):
        labels_of(choice, np.arange(3), spec(("cat", "dog", numeric)))
    # By its name it can be asked for.
    given = labels_of(numeric, np.arange(1), spec(("cat", "dog", numeric)))
    assert given.tolist() == [2]
  plain = spec(("cat", "dog", "nan"))
  assert labels_of("2,dog,0", np.arange(3), plain).tolist() == [2, 1, 0]
  # Never in silence.
  assert explained("2,dog", plain) == (
    "--labels by position, from 0 on: 2 is 'nan', 1 is 'dog'"
  )
  assert explained("dog,nan", plain) is None


def test_positions_are_plain_decimals():
  plain = spec(("cat", "dog", "owl"))
  for choice in ("01", "+1", "1.0", "\u0661", "1_0", "0x1", "9" * 5000, "3"):
    with pytest.raises(ConfigError, match="is not a class of pets") as error:
      labels_of(choice, np.arange(3), plain)
    assert len(str(error.value)) < 300


def test_hostile_names_can_be_asked_for():
  names = ("a,b", "c", "balanced", " d ", "a\u0308", 'say "hi"')
  hostile = spec(names, (1,) * len(names))

  def of(choice):
    return chosen(choice, hostile)

  assert of("a,b") == [0]
  assert of('c,"a,b"') == [1, 0]
  assert of('"balanced"') == [2]
  assert of("d,c,c") == [3, 1, 1]
  assert of("\u00e4") == [4]
  assert of('say "hi"') == [5]
  with pytest.raises(ConfigError, match="comma stands in double quotes"):
    of("c,a,b")
  # The rule of that name goes on working, with a word on it.
  assert labels_of("balanced", np.arange(2), hostile).tolist() == [0, 1]
  assert "is the rule balanced" in explained("balanced", hostile)
  assert explained("balanced", spec()) is None
  both = spec(("a", "b", "a,b"))
  with pytest.raises(ConfigError, match="is one class and also several"):
    chosen("a,b", both)
  assert chosen("b,a", both) == [1, 0]
  with pytest.raises(ConfigError, match="2 classes have this name"):
    chosen("cat", spec(("cat", "cat", "dog")))


@pytest.mark.parametrize("choice", ["fish", "cat,,dog", "cat,", "-1", "'cat'"])
def test_unknown_class_is_named(choice):
  with pytest.raises(ConfigError, match="is not a class of pets: cat, dog, 1"):
    labels_of(choice, np.arange(3), spec())


def test_no_labels_to_choose_from():
  unlabelled = spec(names=(), counts=(100,))
  assert labels_of("balanced", np.arange(3), unlabelled).tolist() == [0, 0, 0]
  with pytest.raises(ConfigError, match="has no labels"):
    labels_of("as-data", np.arange(3), unlabelled)
