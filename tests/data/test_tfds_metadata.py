"""Descriptions of TFDS sets that lie, are broken, or mean harm."""

import copy
import json
import sys

import pytest
from pictures import random_image
from test_tfds import FEATURES, LABEL, image_feature, load, prepare_on_disk

from vqvae_jax.data import tfds_source
from vqvae_jax.data.tfds_source import open_tfds_dir
from vqvae_jax.errors import DataError


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
  """A whole set; tests put back what they change."""
  return prepare_on_disk(tmp_path_factory.mktemp("tfds"), "array_record")


@pytest.fixture
def rewrite(prepared):
  """Changes one of the two files, and puts both back at the end."""
  files = [prepared / "dataset_info.json", prepared / "features.json"]
  before = [file.read_text() for file in files]

  def change(name, edit):
    values = json.loads(before[name == "features.json"])
    changed = edit(copy.deepcopy(values))
    text = changed if isinstance(changed, str) else json.dumps(changed)
    (prepared / name).write_text(text)

  yield change
  for file, text in zip(files, before, strict=True):
    file.write_text(text)


def refused(folder, said):
  with pytest.raises(DataError) as caught:
    open_tfds_dir(str(folder))
  line = str(caught.value)
  assert "\n" not in line
  assert len(line) < 600
  assert said in line, line


def naming(values, place, name):
  """The features, with a class named at one place of the tree."""
  children = values["featuresDict"]["features"]
  if place == "top":
    values["pythonClassName"] = name
  elif place == "legacy top":
    values = {"type": name, "content": {}}
  elif place == "other feature":
    children["id"] = {"pythonClassName": name, "text": {}}
  elif place == "nested":
    inner = {"python_class_name": name, "text": {}}
    children["id"] = {
      "pythonClassName": FEATURES + "sequence_feature.Sequence",
      "sequence": {"feature": inner},
    }
  else:
    children[place]["pythonClassName"] = name
  return values


def test_no_class_that_a_set_names_is_imported(
  prepared, rewrite, tmp_path, monkeypatch
):
  """By any of its names, at any place, in either form of the file."""
  (tmp_path / "harmful_module.py").write_text("raise SystemExit('imported')")
  package = tmp_path / "tensorflow_datasets_x"
  package.mkdir()
  (package / "__init__.py").write_text("raise SystemExit('imported')")
  monkeypatch.syspath_prepend(str(tmp_path))
  names = (
    "harmful_module.Thing",
    "harmful_module",
    "tensorflow_datasets_x.Image",
    "tensorflow_datasets.core.features.image_feature.Image\nharmful_module.X",
    "tensorflow_datasets.scripts.cli.main.X",
    "this.Thing",
    "",
  )
  places = ("top", "legacy top", "image", "label", "other feature", "nested")
  for name in names:
    for place in places:
      rewrite("features.json", lambda v, p=place, n=name: naming(v, p, n))
      refused(prepared, "features.json")
  assert "harmful_module" not in sys.modules
  assert "tensorflow_datasets_x" not in sys.modules


def test_features_that_are_not_read_may_stand_beside(prepared, rewrite):
  def add(values):
    values["featuresDict"]["features"]["id"] = {
      "pythonClassName": FEATURES + "text_feature.Text",
      "text": {},
    }
    return values

  rewrite("features.json", add)
  assert open_tfds_dir(str(prepared)).splits["train"]().num_classes == 3


def test_the_form_of_tfds_4_0_is_read(prepared, rewrite):
  def old(values):
    del values
    return {
      "type": FEATURES + "features_dict.FeaturesDict",
      "content": {
        "image": {
          "type": FEATURES + "image_feature.Image",
          "content": {
            "shape": [8, 8, 1],
            "dtype": "uint8",
            "encoding_format": "png",
          },
        },
        "label": {
          "type": FEATURES + "class_label_feature.ClassLabel",
          "content": {"num_classes": 3},
        },
      },
    }

  before = load(prepared.parents[1]).spec
  rewrite("features.json", old)
  assert load(prepared.parents[1]).spec == before


def with_split(**changes):
  def edit(values):
    values["splits"][0] |= changes
    return values

  return edit


TEMPLATES = (
  "../{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
  "a/../../{SHARD_X_OF_Y}",
  "/etc/{SHARD_X_OF_Y}",
  "{SPLIT.__class__}-{SHARD_X_OF_Y}",
  "{SPLIT:>99999999999}{SHARD_X_OF_Y}",
  "{HOME}-{SHARD_X_OF_Y}",
  "${HOME}-{SHARD_X_OF_Y}",
  "..\\{SHARD_X_OF_Y}",
  "a\0{SHARD_X_OF_Y}",
)


def test_files_outside_of_the_folder_are_not_opened(prepared, rewrite):
  for template in TEMPLATES:
    rewrite("dataset_info.json", with_split(filepathTemplate=template))
    refused(prepared, "filepathTemplate")
  for name in ("../tiny", "/tiny", "a/b", "..", "", 3, None, "a\nb"):
    rewrite("dataset_info.json", lambda v, n=name: v | {"name": n})
    refused(prepared, "dataset_info.json")
    rewrite("dataset_info.json", with_split(name=name))
    refused(prepared, "dataset_info.json")
  rewrite("dataset_info.json", with_split(filepathTemplate="{DATASET}"))
  refused(prepared, "one name")


def test_a_set_that_lies_about_its_files_is_refused(prepared, rewrite):
  for lengths in (["4"] * 4, ["8", "8", "7", "8"], ["8"] * 3, [8, 8, 7, 6]):
    rewrite("dataset_info.json", with_split(shardLengths=lengths))
    refused(prepared, "tiny-train.array_record")
  for lengths in (["-1"], ["x"], [1.5], [True], ["9" * 400], [str(2**41)]):
    rewrite("dataset_info.json", with_split(shardLengths=lengths))
    refused(prepared, "shardLengths")
  rewrite("dataset_info.json", with_split(shardLengths=["0"] * 100_001))
  refused(prepared, "100,001 files")
  rewrite("dataset_info.json", with_split(name="test"))
  refused(prepared, "two splits called 'test'")
  rewrite("dataset_info.json", lambda v: v | {"fileFormat": "riegeli"})
  refused(prepared, "array_record or tfrecord")


def test_broken_descriptions_are_one_line(prepared, rewrite):
  deep = "[" * 100_000
  for file in ("dataset_info.json", "features.json"):
    for text in ("", "{", "[]", "3", "null", '"x"', deep, '{"a": ' * 5_000):
      rewrite(file, lambda values, text=text: text)
      refused(prepared, file)
    rewrite(file, lambda values: values)
  for key in ("name", "splits", "fileFormat", "alternativeFileFormats"):
    for wrong in (3, [3], {"a": 3}, [[]], True):
      rewrite("dataset_info.json", lambda v, k=key, w=wrong: v | {k: w})
      # Of several formats, those that are not known do not matter.
      if key != "alternativeFileFormats" or not isinstance(wrong, list):
        refused(prepared, "dataset_info.json")


def with_feature(name, **changes):
  def edit(values):
    values["featuresDict"]["features"][name] |= changes
    return values

  return edit


def test_features_of_wrong_forms_are_one_line(prepared, rewrite):
  for shape in (3, "x", [8, 8], {"dimensions": ["8", "8", "x"]}, [8, 8, 7]):
    image = {"dtype": "uint8", "shape": shape}
    rewrite("features.json", with_feature("image", image=image))
    refused(prepared, "features.json")
  for count in (-1, "x", 1.5, "9" * 400, 2**40, None):
    label = {"numClasses": count}
    rewrite("features.json", with_feature("label", classLabel=label))
    refused(prepared, "numClasses")


def test_labels_are_among_the_classes(tmp_path):
  for name, wrong in (("a", 3), ("b", 2**40), ("c", -2)):
    examples = [(random_image(i), i % 3) for i in range(20)]
    examples[7] = (examples[7][0], wrong)
    folder = prepare_on_disk(tmp_path / name, splits={"train": examples})
    with pytest.raises(DataError, match="label") as caught:
      open_tfds_dir(str(folder))
    assert "\n" not in str(caught.value)


def test_class_names_fit_their_number(prepared):
  file = prepared / "label.labels.txt"
  try:
    for text, said in (
      ("a\nb\n", "names 2 classes"),
      ("a\nb\nc\nd\n", "names 4 classes"),
      ("a\nb\na\n", "two classes called 'a'"),
    ):
      file.write_text(text)
      refused(prepared, said)
    file.write_bytes(b"a\nb\n\xff\n")
    refused(prepared, "not UTF-8")
    file.write_text("x y\nb\nä\n")
    assert open_tfds_dir(str(prepared)).splits["train"]().class_names == (
      "x y",
      "b",
      "ä",
    )
  finally:
    file.unlink()


def test_the_version_that_is_meant(tmp_path):
  for version in ("1.0.0", "9.2.0", "10.0.0"):
    folder = prepare_on_disk(tmp_path / "made", name="x" + version[0])
    target = tmp_path / "x" / version
    target.parent.mkdir(exist_ok=True)
    folder.rename(target)

  def folder_of(name):
    found = tfds_source._find(name, str(tmp_path))
    return None if found is None else found.name

  assert folder_of("x") == "10.0.0"
  assert folder_of("x:9.2.0") == "9.2.0"
  assert folder_of("x:9.*.*") == "9.2.0"
  assert folder_of("x:3.0.0") is None
  assert folder_of("../x") is None
  assert folder_of("x/../x") is None


def test_a_default_configuration_is_not_another_one(tmp_path):
  """emnist means emnist/byclass, though another one lies on the disk."""
  folder = prepare_on_disk(tmp_path / "made", name="emnist")
  target = tmp_path / "emnist" / "letters" / "3.1.0"
  target.parent.mkdir(parents=True)
  folder.rename(target)
  assert tfds_source._find("emnist", str(tmp_path)) is None
  assert tfds_source._find("emnist/letters", str(tmp_path)) == target


def test_features_without_a_label(tmp_path):
  folder = prepare_on_disk(
    tmp_path,
    splits={"train": [(random_image(i), None) for i in range(9)]},
    features={"image": image_feature()},
  )
  assert open_tfds_dir(str(folder)).splits["train"]().class_names == ()
  labelled = {"image": image_feature(), "label": LABEL}
  tree = {
    "pythonClassName": FEATURES + "features_dict.FeaturesDict",
    "featuresDict": {"features": labelled},
  }
  (folder / "features.json").write_text(json.dumps(tree))
  # A record without the label that is declared.
  with pytest.raises(DataError, match="cannot be read"):
    open_tfds_dir(str(folder))
