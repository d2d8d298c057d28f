"""Which folders are splits, which are classes, and what is refused."""

import itertools

import pytest
from folders import plain, refused, said, splits_of, train_of, tree


def filled(*folders, count=2):
  return [f"{f}/{i}.png" for f in folders for i in range(count)]


def under(parts, classes):
  return filled(*(f"{part}/{c}" for part in parts for c in classes))


TRAIN = ("train", "Train", "TRAINING", "training_set", "train2017")
VALIDATION = ("val", "Valid", "validation", "validate", "dev", "val-set")
TEST = ("test", "TEST", "Testing", "test_images", "test data")


@pytest.mark.parametrize(
  ("train", "validation", "test"),
  [*itertools.zip_longest(TRAIN, VALIDATION, TEST)],
)
def test_splits_by_all_their_names(tmp_path, train, validation, test):
  parts = (train or "train", validation, test or "test")
  root = tree(tmp_path, *under(parts, ("plane", "bird")))
  counts = {"bird": 2, "plane": 2}
  assert splits_of(root) == dict.fromkeys(
    ("train", "validation", "test"), counts
  )


def test_linked_split_folders(tmp_path):
  tree(tmp_path / "away", *under(("a", "b"), ("plane", "bird")))
  root = tree(tmp_path / "set")
  (root / "Train").symlink_to("../away/a")
  (root / "test").symlink_to("../away/b")
  assert sorted(splits_of(root)) == ["test", "train"]
  (root / "extra").symlink_to("../away/a/bird")
  refused(root, "move extra away")


@pytest.mark.parametrize(
  "parts",
  [
    ("train", "test"),
    ("Train", "TEST"),
    ("train",),
    ("test",),
    ("val", "test"),
  ],
)
@pytest.mark.parametrize("other", ["unlabeled", "Unlabelled", "extra", "bird"])
def test_split_folders_beside_another(tmp_path, parts, other):
  classes = ("plane", "bird")
  inside = under((other,), classes) if other != "bird" else filled(other)
  root = tree(tmp_path, *under(parts, classes), *inside)
  message = refused(root, f"and beside (it|them) the folder {other}; ")
  assert f"move {other} away" in message


def test_flat_split_folders_beside_another(tmp_path):
  root = tree(tmp_path, *filled("train", "test", "extra"))
  refused(root, "split folders test, train, and beside them the folder extra")


@pytest.mark.parametrize("name", ["train", "Test", "val", "valid", "training"])
def test_a_class_may_have_the_name_of_a_split(tmp_path, name):
  root = tree(tmp_path, *filled("bus", "car", name))
  assert splits_of(root)["train"] == {"bus": 2, "car": 2, name: 2}


@pytest.mark.parametrize("parts", [("val", "test"), ("test",), ("Valid",)])
@pytest.mark.parametrize("classes", [("plane", "bird"), None])
def test_splits_without_train(tmp_path, parts, classes):
  root = tree(tmp_path, *(under(parts, classes) if classes else filled(*parts)))
  refused(root, f"{sorted(parts)[0]}.*, but no train folder; add one, or use")


def test_a_split_whose_role_is_not_clear(tmp_path):
  root = tree(tmp_path, *under(("train", "eval"), ("a", "b")))
  refused(root, "eval is a split, but it is not clear which")


@pytest.mark.parametrize("part", ["test", "TEST", "val", "validation"])
@pytest.mark.parametrize("classes", [("cat", "dog"), ("cat",)])
def test_a_flat_split_beside_labelled_train_has_no_labels(
  tmp_path, part, classes
):
  root = tree(tmp_path, *under(("train",), classes), *filled(part))
  refused(root, f"{part} has no class folders, so no labels, but the train")


def test_flat_splits_and_a_labelled_one_beside_flat_train(tmp_path):
  root = tree(tmp_path / "flat", *filled("train", "test", count=3))
  assert splits_of(root) == dict.fromkeys(("train", "test"), {"no label": 3})
  root = tree(tmp_path / "odd", *filled("train", "test/cat", "test/dog"))
  refused(root, "test has class folders, but the train folder has none")


def test_an_empty_split_folder_and_images_beside_splits(tmp_path):
  root = tree(tmp_path / "empty", *under(("train",), "ab"), "val/")
  refused(root, "val has no PNG, JPEG or WebP image; fill it, or move it away")
  root = tree(tmp_path / "beside", *under(("train",), "ab"), "lost.png")
  refused(root, "lost.png lies beside the split folders")


@pytest.mark.parametrize("above", ["dataset", "my data", "x/y/dataset"])
@pytest.mark.parametrize(
  "inside", [filled("cat", "dog"), under(("train", "test"), ("cat", "dog"))]
)
def test_one_level_too_many_names_the_right_command(tmp_path, above, inside):
  root = tmp_path / "nest"
  tree(root / above, *inside)
  tree(root, "README.md", "__MACOSX/x.png")
  message = refused(root, "holds one folder, .* would be the one class")
  command = f"folder:{root / above}"
  command = f"'{command}'" if " " in above else command
  assert f"use --dataset={command};" in message
  # The command works.
  assert splits_of(root / above)["train"] == {"cat": 2, "dog": 2}


def test_one_level_too_many_in_a_split(tmp_path):
  root = tree(tmp_path, *under(("train/data", "test"), ("cat", "dog")))
  refused(root, f"move the folders of {plain(root)}/train/data up into it")


def test_one_class_folder_with_images_of_its_own(tmp_path):
  root = tree(tmp_path, *filled("cat", "cat/more"))
  assert splits_of(root)["train"] == {"cat": 4}


@pytest.mark.parametrize(
  ("below", "is_said"),
  [(("p1", "p2", "p3", "p4"), False), (("p1", "p2", "p1", "p2"), True)],
)
def test_folders_of_patients_in_classes(tmp_path, capsys, below, is_said):
  a, b, c, d = below
  root = tree(
    tmp_path, *filled(f"sick/{a}", f"sick/{b}", f"well/{c}", f"well/{d}")
  )
  assert splits_of(root)["train"] == {"sick": 4, "well": 4}
  lines = said(capsys)
  assert len(lines) == is_said
  assert (
    not is_said or "p1, p2 in each of them are not distinguished" in lines[0]
  )


def test_patients_in_one_class_alone(tmp_path):
  root = tree(tmp_path, *filled("sick/p1", "sick/p2", "well"))
  assert splits_of(root)["train"] == {"sick": 4, "well": 2}


@pytest.mark.parametrize(
  ("paths", "match"),
  [
    (under(("site_a", "site_b"), ("sick", "well")), "hold the same folders"),
    (under(("a", "b"), ("train", "test")), "splits must lie above the classes"),
    (under(("a", "b"), ("train",)), "splits must lie above the classes"),
    (
      under(("seg_train/seg_train", "seg_test/seg_test"), ("a", "b")),
      "seg_test and seg_train, which look like splits; rename them to test and",
    ),
    (filled("set_train", "set_val"), "look like splits"),
    (filled("cat", "dog", "data/cat", "data/dog"), "has the name of the class"),
    (filled("images", "masks"), "which are not classes; use the images alone"),
    (under(("JPEGImages", "labels"), "ab"), "which are not classes"),
    (filled("cat", "dog", "unlabelled"), "move unlabelled away, or rename"),
    (under(("train",), ("a", "b", "unlabeled")), "move unlabeled away"),
  ],
)
def test_labels_are_never_made_up(tmp_path, paths, match):
  refused(tree(tmp_path, *paths), match)


@pytest.mark.parametrize(
  "classes",
  [("crash_test", "freight_train"), ("valid", "invalid"), ("dev", "prod")],
)
def test_classes_that_only_sound_like_splits(tmp_path, classes):
  root = tree(tmp_path, *filled(*classes))
  assert splits_of(root)["train"] == dict.fromkeys(classes, 2)


def test_a_lone_folder_that_says_its_images_are_unlabelled(tmp_path):
  source = train_of(tree(tmp_path, *filled("unlabelled")))
  assert source.class_names == () and len(source) == 2


def test_a_class_in_another_spelling_is_named(tmp_path):
  root = tree(tmp_path, *under(("train",), ("Cat", "dog")), *filled("val/cat"))
  refused(
    root, "val/cat is a class that the train .*; train has 'Cat', so rename"
  )


def test_classes_that_a_split_lacks_are_said(tmp_path, capsys):
  tree(tmp_path, *under(("train",), ("cat", "dog")), *filled("test/cat"))
  assert splits_of(tmp_path)["test"] == {"cat": 2, "dog": 0}
  assert said(capsys) == [
    f"folder:{tmp_path}: its test split has no image of dog"
  ]
