"""Folders: what is read, what is passed over, what is refused."""

import numpy as np
import pytest
from pictures import class_folders, random_image, save

from vqvae_jax.data.sources import open_dataset
from vqvae_jax.errors import DataError


def train_of(path, **options):
  return open_dataset(f"folder:{path}", **options).splits["train"]()


def test_class_folders_give_sorted_classes_and_their_own_images(tmp_path):
  class_folders(tmp_path, ("dog", "cat"), 3)
  source = train_of(tmp_path)
  assert source.class_names == ("cat", "dog")
  assert source.labels.tolist() == [0, 0, 0, 1, 1, 1]
  # class_folders drew dogs first.
  np.testing.assert_array_equal(source[4]["image"], random_image(1))
  np.testing.assert_array_equal(source[0]["image"], random_image(1000))
  assert source[4]["label"] == 1


def test_a_flat_folder_has_no_labels(tmp_path):
  for i in range(3):
    save(tmp_path / f"{i}.png", random_image(i))
  source = train_of(tmp_path)
  assert source.class_names == ()
  assert source.num_classes == 1
  assert source.labels.tolist() == [0, 0, 0]


def test_companions_are_passed_over_and_subfolders_searched(tmp_path):
  class_folders(tmp_path, count=2)
  for name in ("README.txt", "LICENSE", "cat/Thumbs.db", "cat/.DS_Store"):
    (tmp_path / name).write_text("no image")
  (tmp_path / ".git").mkdir()
  (tmp_path / "__MACOSX").mkdir()
  save(tmp_path / "dog" / "more" / "x.PNG", random_image(5))
  source = train_of(tmp_path)
  assert source.files == [
    "cat/000.png",
    "cat/001.png",
    "dog/000.png",
    "dog/001.png",
    "dog/more/x.PNG",
  ]


def test_own_splits_are_found_under_their_usual_names(tmp_path):
  for part in ("train", "valid", "test"):
    class_folders(tmp_path / part, count=2)
  dataset = open_dataset(f"folder:{tmp_path}")
  assert sorted(dataset.splits) == ["test", "train", "validation"]
  assert dataset.splits["validation"]().files[0] == "valid/cat/000.png"


def test_a_class_called_train_is_a_class(tmp_path):
  class_folders(tmp_path, ("bus", "train"), 2)
  assert train_of(tmp_path).class_names == ("bus", "train")


def test_groups_are_the_first_group_or_the_whole_match(tmp_path):
  class_folders(tmp_path, ("cat",), 2, "p{:02}_a.png")
  by_group = train_of(tmp_path, group_regex=r"^[^/]*/p(\d+)_")
  assert by_group.groups == ["00", "01"]
  assert train_of(tmp_path, group_regex=r"p\d").groups == ["p0", "p0"]


def refused(path, match, **options):
  with pytest.raises(DataError, match=match) as caught:
    train_of(path, **options)
  assert "\n" not in str(caught.value)


def test_a_missing_folder(tmp_path):
  (tmp_path / "Photos").mkdir()
  refused(tmp_path / "photo", "there is no such folder; did you mean .*Photos")
  refused(tmp_path / "xyz", "xyz: there is no such folder$")
  refused("", "folder: names no folder; write folder:DIR")
  refused("~nobody-of-that-name/x", "~nobody-of-that-name")
  (tmp_path / "file").write_text("")
  refused(tmp_path / "file", "is a file, not a folder")
  (tmp_path / "link").symlink_to("nowhere")
  refused(tmp_path / "link", "is a link to nothing")
  refused(tmp_path / ("x" * 300), "there is no such folder")


def test_an_empty_class_folder(tmp_path):
  class_folders(tmp_path, count=2)
  (tmp_path / "emu").mkdir()
  refused(tmp_path, "class folder .*emu has no PNG")


def test_a_folder_without_images(tmp_path):
  refused(tmp_path, "has no PNG, JPEG or WebP image")


@pytest.mark.parametrize("name", ["scan.tiff", "scan", "array.npy"])
def test_a_file_of_another_kind_is_named(tmp_path, name):
  class_folders(tmp_path, count=2)
  (tmp_path / "cat" / name).write_bytes(b"II*\0")
  refused(tmp_path, f"cat/{name} is no PNG, JPEG or WebP image")


def test_an_image_beside_class_folders(tmp_path):
  class_folders(tmp_path, count=2)
  save(tmp_path / "lost.png", random_image(0))
  refused(tmp_path, "lost.png lies beside the class folders")


def test_a_path_that_the_group_regex_does_not_match(tmp_path):
  class_folders(tmp_path, count=2)
  save(tmp_path / "dog" / "odd.png", random_image(0))
  refused(tmp_path, "does not match dog/odd.png", group_regex=r"/(\d+)")


def test_own_splits_must_not_share_a_group(tmp_path):
  class_folders(tmp_path / "train", count=3, name="p{:02}.png")
  class_folders(tmp_path / "test", count=1, name="p{:02}.png")
  refused(tmp_path, "group '00' both in its train", group_regex=r"p(\d+)")


def test_a_class_that_train_lacks(tmp_path):
  class_folders(tmp_path / "train", count=2)
  class_folders(tmp_path / "val", ("cat", "emu"), 2)
  refused(tmp_path, "val/emu is a class that the train folder does not have")


def test_two_folders_for_one_split(tmp_path):
  for part in ("train", "val", "valid"):
    class_folders(tmp_path / part, count=2)
  refused(tmp_path, "two folders for the validation split, val and valid")


def test_links_in_a_circle(tmp_path):
  class_folders(tmp_path, count=2)
  (tmp_path / "cat" / "again").symlink_to(tmp_path / "cat")
  refused(tmp_path, "cat/again is a link to a folder that it lies in")
  (tmp_path / "cat" / "again").unlink()
  (tmp_path / "cat" / "self").symlink_to(tmp_path / "cat" / "self")
  refused(tmp_path, "cat/self")


def test_a_linked_class_folder_is_followed(tmp_path):
  class_folders(tmp_path / "elsewhere", ("cat",), 2)
  class_folders(tmp_path / "set", ("dog",), 2)
  (tmp_path / "set" / "cat").symlink_to(tmp_path / "elsewhere" / "cat")
  assert train_of(tmp_path / "set").class_names == ("cat", "dog")
