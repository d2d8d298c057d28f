"""Class folders: any reader that sorts them numbers classes as the set does."""

import json
import random
import unicodedata

import numpy as np
import pytest
import sets

from vqvae_jax.data.kinds import open_dataset
from vqvae_jax.jobs.class_folders import class_folders, file_names

FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal")
FASHION += ("Shirt", "Sneaker", "Bag", "Ankle boot")
HOSTILE = [
  *("", " ", ".", "..", "/", "a/b", "../x", "con", "CON.txt", "nul", "a."),
  *("a ", " a", "a\nb", "\x00", "x" * 300, "\u00e4" * 200, "\udce4", "a:b"),
  *("__MACOSX", "@eaDir", "train", "Test", "val", "unlabelled", "*", "?"),
  *("A", "a", "\u00e4", "a\u0308", "\u202egpj", "lost+found", "~", "-rf"),
  *("\u732b", "\u043a\u043e\u0442", "\U0001f600", "ss", "\u00df", "LPT1"),
]
ALPHABETS = ("abcXYZ _-.", "\u00e4\u00f6\u00fc\u00df", "\u043a\u043e\u0442")
ALPHABETS += ("\u65e5\u672c\u8a9e", "0123456789", "\u05d0\u05d1", "/:. \\\n")


def find_classes(folder):
  """The rule of torchvision's ImageFolder: sorted names of the folders."""
  names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
  return {name: index for index, name in enumerate(names)}


def random_names(rng):
  names = []
  for _ in range(rng.randint(1, 30)):
    letters = rng.choice(ALPHABETS)
    length = rng.randint(0, 6)
    names.append("".join(rng.choice(letters) for _ in range(length)))
  return names + rng.sample(HOSTILE, rng.randint(0, 8))


def lists_of_names():
  rng = random.Random(0)
  yield list(FASHION)
  yield [str(n) for n in range(62)]
  yield HOSTILE
  yield sorted(HOSTILE)
  yield ["cat", "cat"]
  for _ in range(300):
    names = random_names(rng)
    rng.shuffle(names)
    yield names
    yield sorted(names)
    yield sorted(set(names))


def test_sorted_folders_are_in_the_order_of_labels():
  for names in lists_of_names():
    folders = class_folders(names)
    assert sorted(folders) == folders
    folded = {unicodedata.normalize("NFC", f).casefold() for f in folders}
    assert len(folded) == len(names)
    for folder in folders:
      assert folder and folder[0] != "." and folder[-1] not in ". "
      assert len(folder.encode()) <= 255
      assert not set(folder) & set('<>:"/\\|?*\0\n')
      assert folder.casefold() not in ("con", "nul", "lpt1", "train", "test")


@pytest.mark.parametrize(
  "names",
  [
    ["hot dog", "hot-sauce", "ramen", "soup"],
    ["birnen", "\u00e4pfel", "\u043a\u043e\u0442", "\u65e5\u672c"],
    ["__background", "cat", "dog"],
    [str(n) for n in range(10)],
    ["01", "02", "03"],
    ["1", "10", "11", "2", "3"],
    ["C++", "Side-B (left)", "[x]", "a & b"],
  ],
)
def test_legal_names_stay(names):
  assert class_folders(names) == names


def test_all_folders_are_numbered_where_sorting_would_mix_them():
  assert class_folders(FASHION)[:4] == [
    "0_T-shirt_top",
    "1_Trouser",
    "2_Pullover",
    "3_Dress",
  ]
  numbers = class_folders([str(n) for n in range(11)])
  assert numbers[0] == "00_0" and numbers[10] == "10_10"
  assert class_folders(["a", "", "b c"]) == ["0_a", "1", "2_b c"]
  assert class_folders([]) == ["unlabelled"]


def test_file_names_are_legal_and_distinct():
  names = file_names(["vqvae", "ae", "a/b", "a_b", "", "A (x)"])
  assert names == ["vqvae", "ae", "a_b_2", "a_b_3", "_4", "A__x_"]


def test_image_folder_numbers_the_classes_as_the_set(tmp_path):
  reserved = ["train", "CON", "a/b", "x.", "__MACOSX"]
  lists = FASHION, HOSTILE, ["hot dog", "hot-sauce"], reserved
  for n, names in enumerate(lists):
    out = tmp_path / str(n)
    count = 2 * len(names)
    sets.make(out, names, num_images=count, shard_size=count)
    index = find_classes(out / "images")
    classes = json.loads((out / "manifest.json").read_text())["classes"]
    assert all(index[c["folder"]] == c["label"] for c in classes)
    assert [c["name"] for c in classes] == list(names)
    for number in range(count):
      (path,) = (out / "images").glob(f"*/{number:08d}.png")
      assert index[path.parent.name] == number % len(names)
    if names is HOSTILE:  # Our own reader refuses some of these by name.
      continue
    # It finds as many classes, in the same order.
    source = open_dataset(f"folder:{out}/images").splits["train"]()
    assert len(source.class_names) == len(names)
    assert np.bincount(source.labels).tolist() == [2] * len(names)


def test_a_class_without_images_has_no_folder(tmp_path):
  names = ["01", "02", "03", "04"]
  screen = sets.make(tmp_path, names, labels="01,04")
  assert sorted(p.name for p in (tmp_path / "images").iterdir()) == ["01", "04"]
  manifest = json.loads((tmp_path / "manifest.json").read_text())
  assert [c["count"] for c in manifest["classes"]] == [3, 0, 0, 2]
  assert (
    "2 classes have no image (02, 03), so ImageFolder would number the others "
    "0 to 1" in screen
  )
  card = (tmp_path / "README.md").read_text()
  code = card.split("```python")[1].split("```")[0]
  assert "label_of[data.classes[index]]" in code
