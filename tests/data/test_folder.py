"""Folders: what is read, what is passed over, what is refused."""

import os

import numpy as np
import pytest
from folders import jpeg, refused, said, train_of, tree
from pictures import class_folders, random_image, save

from vqvae_jax.config import Config
from vqvae_jax.data import load_data
from vqvae_jax.data.kinds import open_dataset
from vqvae_jax.errors import DataError


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


def test_a_missing_folder(tmp_path):
  (tmp_path / "Photos").mkdir()
  refused(tmp_path / "photo", "photo does not exist; did you mean .*Photos")
  refused(tmp_path / "xyz", "xyz does not exist$")
  refused("", "folder: does not name a folder; write folder:DIR")
  refused("~nobody-of-that-name/x", "~nobody-of-that-name")
  (tmp_path / "file").write_text("")
  refused(tmp_path / "file", "is a file, not a folder")
  (tmp_path / "link").symlink_to("nowhere")
  refused(tmp_path / "link", "is a link to nothing")
  refused(tmp_path / ("x" * 300), "does not exist")


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
  refused(tmp_path, f"cat/{name} is not a PNG, JPEG or WebP image")


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
  refused(tmp_path, "cat/again is a link to a folder that contains it")
  (tmp_path / "cat" / "again").unlink()
  (tmp_path / "cat" / "self").symlink_to(tmp_path / "cat" / "self")
  refused(tmp_path, "cat/self")


def test_a_linked_class_folder_is_followed(tmp_path):
  class_folders(tmp_path / "elsewhere", ("cat",), 2)
  class_folders(tmp_path / "set", ("dog",), 2)
  (tmp_path / "set" / "cat").symlink_to(tmp_path / "elsewhere" / "cat")
  assert train_of(tmp_path / "set").class_names == ("cat", "dog")


def test_only_known_rubbish_is_skipped_and_counted_once(tmp_path, capsys):
  rubbish = [
    *(
      ".git/config",
      "cat/.DS_Store",
      "dog/._1.png",
      ".ipynb_checkpoints/x.png",
    ),
    *("__MACOSX/cat/1.png", "__pycache__/x.pyc", "@eaDir/1.jpg"),
    *("Thumbs.db", "cat/desktop.ini", "dog/THUMBS.DB"),
    *("notes.csv", "cat/old.zip", "LICENSE"),
  ]
  kept = [
    *("__background/1.png", "__1/2.jpg", "_/3.webp", "cat/__miku_3.png"),
    *("cat/1.PNG", "dog/@1.png", "dog/#2.png", "dog/~3.png", "+/1.png"),
  ]
  source = train_of(tree(tmp_path, *rubbish, *kept))
  assert sorted(source.files) == sorted(kept)
  assert source.class_names == ("+", "_", "__1", "__background", "cat", "dog")
  lines = said(capsys)
  assert lines == [
    f"folder:{tmp_path}: 8 files and 5 folders are skipped: 4 hidden (.git, "
    ".ipynb_checkpoints, cat/.DS_Store, ...), 6 of the system (@eaDir, "
    "Thumbs.db, __MACOSX, ...), 3 beside the images (LICENSE, notes.csv, "
    "cat/old.zip)"
  ]
  # A study opens its set again and again.
  train_of(tmp_path)
  assert said(capsys) == []


def test_skipped_files_of_all_splits_are_one_line(tmp_path, capsys):
  for part in ("train", "val", "test"):
    tree(tmp_path / part, "a/1.png", "b/2.png", "b/.hidden")
  (tmp_path / "README.md").write_text("x")
  load_data(Config(dataset=f"folder:{tmp_path}"), ("train", "test"))
  (line,) = said(capsys)
  assert (
    "4 files are skipped: 1 beside the images (README.md), 3 hidden" in line
  )


def test_a_class_of_skipped_files_alone_says_so(tmp_path):
  tree(tmp_path, "a/1.png", "b/.1.png", "b/notes.txt")
  refused(tmp_path, r"b has no PNG.*\(skipped: b/.1.png, b/notes.txt\)")


def test_jpeg_and_png_under_their_other_names(tmp_path):
  names = [
    f"{i}{suffix}"
    for i, suffix in enumerate(
      (".jfif", ".jpe", ".jif", ".JFIF", ".JPG", ".Jpeg", ".pjpeg", ".pjp")
    )
  ]
  for name in names:
    jpeg(tmp_path / "a" / name)
  save(tmp_path / "a" / "x.png", random_image(1))
  (tmp_path / "a" / "x.png").rename(tmp_path / "a" / "x.apng")
  source = train_of(tmp_path)
  assert len(source) == len(names) + 1
  assert all(source[i]["image"].shape == (8, 8, 1) for i in range(len(source)))


@pytest.mark.parametrize(
  "suffix", ["heic", "HEIF", "avif", "tif", "bmp", "gif"]
)
def test_other_formats_come_with_a_command_on_a_copy(tmp_path, suffix):
  root = tree(tmp_path / "my photos", "a/1.png", f"b/2.{suffix}")
  message = refused(root, f"b/2.{suffix} is not a PNG, JPEG or WebP image but ")
  assert f"cp -r '{root}' '{root}_png' && find '{root}_png' -iname" in message
  assert f"'*.{suffix.lower()}'" in message


@pytest.mark.parametrize(
  ("name", "content", "match"),
  [
    (
      "1.dcm",
      b"x",
      "is a DICOM file; convert the folder first with",
    ),
    ("IM01", bytes(128) + b"DICM", "is a DICOM file.*in docs/xrays.md"),
    ("1.nii.gz", b"x", "is a volume of many slices"),
    ("1.nii", b"x", "is a volume of many slices"),
    ("1.png.gz", b"x", "is compressed; unpack it"),
    ("1.png.partial", b"x", "when a job stopped"),
    (
      "noname",
      b"\xff\xd8\xff\xe0",
      "is a JPEG image; rename it to end",
    ),
    ("1.jpg!d", b"\x89PNG\r\n\x1a\n", "is a PNG image; rename it"),
    ("1.bin", b"RIFF1234WEBPVP8", "is a WebP image; rename it"),
    ("1.mat", b"x", "1.mat is not a PNG, JPEG or WebP image; convert it"),
  ],
)
def test_what_is_no_image_says_what_to_do(tmp_path, name, content, match):
  tree(tmp_path, "a/1.png")
  (tmp_path / "a" / name).write_bytes(content)
  refused(tmp_path, match)


def test_links_to_nothing_and_things_that_are_no_files(tmp_path):
  tree(tmp_path, "a/1.png", "b/1.png")
  for path in ("c", "a/2.png", "b/readable"):
    (tmp_path / path).symlink_to("nowhere")
    refused(tmp_path, f"{path} is a link to nothing; mend it or remove it")
    (tmp_path / path).unlink()
  os.mkfifo(tmp_path / "a" / "3.png")
  refused(tmp_path, "a/3.png is neither a file nor a folder")


def test_a_file_or_folder_met_twice(tmp_path):
  tree(tmp_path, "a/1.png", "b/2.png")
  twin = tmp_path / "b" / "twin.png"
  for link in (twin.symlink_to, lambda path: os.link(path, twin)):
    link(tmp_path / "a" / "1.png")
    refused(tmp_path, "a/1.png and .*b/twin.png are one file")
    twin.unlink()
  (tmp_path / "c").symlink_to("a")
  refused(tmp_path, "c and .*a are one folder")


def test_one_folder_linked_as_two_splits(tmp_path):
  tree(tmp_path, "train/a/1.png", "test/a/2.png")
  (tmp_path / "val").symlink_to("test")
  refused(tmp_path, "val/a and .*test/a are one folder")


def test_names_that_cannot_be_written_or_told_apart(tmp_path, capsys):
  root = os.fsencode(tree(tmp_path / "raw", "a/1.png"))
  os.makedirs(root + b"/k\xe4se")
  refused(tmp_path / "raw", r"'k.udce4se', whose name is not UTF-8")
  tree(tmp_path / "control", "a\x1b[31m\nb/1.png", "c/1.png")
  refused(tmp_path / "control", r"'a.x1b\[31m.nb', whose name is not UTF-8 or")
  tree(tmp_path / "look", "caf\u00e9/1.png", "cafe\u0301/2.png")
  refused(tmp_path / "look", "two classes that look the same, 'caf")
  tree(tmp_path / "case", "Cat/1.png", "cat/2.png")
  assert train_of(tmp_path / "case").class_names == ("Cat", "cat")
  assert (
    "'Cat' and 'cat' are two classes, though they differ" in said(capsys)[0]
  )


def test_file_names_that_are_not_utf8_are_read(tmp_path):
  for name in ("a", "b"):
    folder = os.fsencode(tmp_path / name)
    os.makedirs(folder)
    for i in range(6):
      save(tmp_path / "x.png", random_image(i))
      os.rename(tmp_path / "x.png", folder + b"/\xe4\n%d.png" % i)
  config = Config(dataset=f"folder:{tmp_path}", group_regex=r"(\d)\.png")
  data = load_data(config)
  assert len(data["train"]) + len(data["validation"]) == 10
  assert set(data["train"].groups) <= set("012345")


def test_an_image_that_goes_while_it_is_read(tmp_path):
  source = train_of(tree(tmp_path, "a/1.png"))
  (tmp_path / "a" / "1.png").unlink()
  for read in (source.shape, source.image):
    with pytest.raises(DataError, match="a/1.png was listed, but is gone"):
      read(0)


def test_a_folder_that_may_not_be_listed(tmp_path, monkeypatch):
  tree(tmp_path, "a/1.png", "b/1.png")
  scandir = os.scandir

  def closed(path):
    if str(path).endswith("b"):
      raise PermissionError(13, "Permission denied")
    return scandir(path)

  monkeypatch.setattr(os, "scandir", closed)
  refused(tmp_path, "b cannot be read: Permission denied")
