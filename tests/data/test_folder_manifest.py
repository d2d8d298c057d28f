"""Sets that sample.py wrote are read with the classes they were made of."""

import json

import numpy as np
import pytest
from folders import labelled, plain, refused, said, splits_of, train_of, tree

from vqvae_jax.config import Config
from vqvae_jax.data import load_data

HOSTILE = (
  ("hot dog", "hot-sauce", "ramen", "soup"),
  ("birnen", "äpfel", "кот", "日本"),
  ("__background", "_", "__1", "+", "a+b", "x..", "~", "#", "@1", "$HOME"),
  ("犬", "猫", "🐈‍⬛", "لا‌م", "नमस्ते", "ê", "-rf", "con", "a'b", 'a"b', "%s"),
  tuple(str(number) for number in range(12)),
  ("images", "records", "train", "masks"),
  ("café", "cafe\u0301", "Cat", "cat"),
)


def write(out, names, folders=None, counts=None, unlabelled=False, **changes):
  """The folder of a finished job; pictures are named by their label."""
  folders = folders or names
  counts = counts or [3] * len(names)
  paths = [
    f"images/{folder}/{label:04d}{i:04d}.png"
    for label, (folder, count) in enumerate(zip(folders, counts, strict=True))
    for i in range(count)
  ]
  tree(out, *paths, "images/", "records/00000.json", "grid.png", "README.md")
  classes = [
    {"label": label, "name": name, "folder": folder, "count": count}
    for label, (name, folder, count) in enumerate(
      zip(names, folders, counts, strict=True)
    )
  ]
  manifest = {
    "format": "png",
    "class_names": [] if unlabelled else list(names),
    "classes": classes,
    "shards": [],
    **changes,
  }
  (out / "manifest.json").write_text(json.dumps(manifest))
  (out / "job.json").write_text("{}")
  return out


@pytest.mark.parametrize("names", HOSTILE)
@pytest.mark.parametrize("numbered", [False, True])
def test_labels_and_names_come_back(tmp_path, names, numbered):
  folders = [f"{i:02d}_{name}" for i, name in enumerate(names)]
  out = write(tmp_path / "out", names, folders if numbered else None)
  first = train_of(out)
  assert first.class_names == names
  for file, label in zip(first.files, first.labels, strict=True):
    assert int(file.rpartition("/")[2][:4]) == label
  again = train_of(out / "images")
  assert (again.files, again.class_names) == (first.files, first.class_names)
  digests = {
    load_data(Config(dataset=f"folder:{path}")).spec.digest
    for path in (out, out / "images", f"{out}/images/")
  }
  assert len(digests) == 1


def test_names_that_no_folder_can_have(tmp_path, capsys):
  names = ("a\nb", "\x1b[31m", "\udce4", "", "a/b", "../x")
  out = write(tmp_path / "out", names, [str(i) for i in range(len(names))])
  source = train_of(out)
  assert source.class_names == (
    *("a\\nb", "\\x1b[31m", "\\udce4", "", "a/b", "../x"),
  )
  assert source.labels.tolist() == sorted(list(range(6)) * 3)
  (line,) = said(capsys)
  assert "are written out: a\\nb, \\x1b[31m, \\udce4" in line


@pytest.mark.parametrize("names", HOSTILE[:-2])
def test_folders_alone_are_classes_as_python_sorts_them(tmp_path, names):
  # As torchvision's ImageFolder does it.
  source = train_of(tree(tmp_path, *(f"{name}/1.png" for name in names)))
  assert source.class_names == tuple(sorted(names))
  assert labelled(source) == {f"{name}/1.png": name for name in names}


def test_the_folder_is_found_from_inside(tmp_path, monkeypatch):
  out = write(tmp_path / "out", ("b", "a"))
  (tmp_path / "link").symlink_to("out/images")
  for place, name in ((out, "."), (out / "images", "."), (out, "images")):
    monkeypatch.chdir(place)
    assert train_of(name).class_names == ("b", "a")
  assert train_of(tmp_path / "link").class_names == ("b", "a")


def test_classes_without_images_are_left_out_aloud(tmp_path, capsys):
  out = write(tmp_path / "out", ("d", "c", "b", "a"), counts=[2, 0, 3, 0])
  (out / "images" / "a").mkdir()
  assert splits_of(out) == {"train": {"d": 2, "b": 3}}
  assert said(capsys) == [
    f"folder:{out}: 2 classes of 4 have no image and are left out: c, a"
  ]


def test_an_unlabelled_set_stays_unlabelled(tmp_path):
  out = write(tmp_path / "out", ("unlabelled",), unlabelled=True)
  for path in (out, out / "images"):
    source = train_of(path)
    assert source.class_names == ()
    np.testing.assert_array_equal(source.labels, [0, 0, 0])


def test_images_taken_out_by_hand_are_said(tmp_path, capsys):
  out = write(tmp_path / "out", ("b", "a"))
  (out / "images" / "b" / "00000001.png").unlink()
  assert splits_of(out)["train"] == {"b": 2, "a": 3}
  assert said(capsys) == [
    f"folder:{out}: it has 5 images, though manifest.json counts 6"
  ]
  for file in (out / "images" / "a").iterdir():
    file.unlink()
  refused(out, "the class 'a' has 3 images by manifest.json, but none in")


def test_what_the_manifest_does_not_know(tmp_path):
  out = write(tmp_path / "out", ("b", "a"))
  tree(out / "images", "c/1.png")
  refused(out, "images/c is a class that manifest.json does not have")


def entry(**changes):
  first = {"label": 0, "name": "b", "folder": "b", "count": 3}
  return [first | changes, {"label": 1, "name": "a", "folder": "a", "count": 3}]


@pytest.mark.parametrize(
  ("changes", "match"),
  [
    ({"classes": []}, "its classes are not a list"),
    ({"classes": {"b": 0}}, "its classes are not a list"),
    ({"classes": ["b", "a"]}, "its class 0 is not labelled 0"),
    ({"classes": entry(label=1)}, "its class 0 is not labelled 0"),
    ({"classes": entry()[::-1]}, "its class 0 is not labelled 0"),
    ({"classes": entry(name=3)}, "its class 0 has no name"),
    ({"classes": entry(folder="../b")}, "no plain folder name"),
    ({"classes": entry(folder="/etc")}, "no plain folder name"),
    ({"classes": entry(folder="..")}, "no plain folder name"),
    ({"classes": entry(folder="a")}, "two of its classes have one folder"),
    ({"classes": entry(count=-1)}, "has the count -1"),
    ({"classes": entry(count="3")}, "has the count '3'"),
    ({"class_names": ["a", "b"]}, "class_names are not the names"),
    ({"class_names": []}, "several classes, but no class_names"),
    ({"format": "jpeg"}, "its format is 'jpeg'"),
  ],
)
def test_an_edited_manifest(tmp_path, changes, match):
  out = write(tmp_path / "out", ("b", "a"), **changes)
  for path in (out, out / "images"):
    message = refused(path, match)
    assert f"{out}/manifest.json is not as sample.py wrote it" in message


def test_a_broken_manifest_and_an_unfinished_job(tmp_path):
  out = write(tmp_path / "out", ("b", "a"))
  for content in ("{", "[]", "[" * 100_000, "\udce4"):
    (out / "manifest.json").write_bytes(
      content.encode(errors="surrogateescape")
    )
    refused(out, f"{plain(out)}/manifest.json cannot be read")
  (out / "manifest.json").unlink()
  for path in (out, out / "images"):
    refused(path, "holds a job that is not finished.*--resume")


def test_other_formats_name_the_right_command(tmp_path):
  out = write(tmp_path / "out", ("b", "a"), format="tfds")
  refused(out, f"use --dataset=tfds-dir:{plain(out)}$")
  out = write(tmp_path / "other", ("b", "a"), format="npz")
  refused(out, "use --dataset=npz:")


def test_a_manifest_of_another_program_is_a_companion(tmp_path, capsys):
  tree(tmp_path, "images/b/1.png", "images/a/1.png")
  (tmp_path / "manifest.json").write_text('{"icons": []}')
  assert train_of(tmp_path / "images").class_names == ("a", "b")
  refused(tmp_path, "holds one folder, images, which holds folders only")
