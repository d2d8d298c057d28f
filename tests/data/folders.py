"""Image folders for tests, written as lists of paths."""

import re

import numpy as np
import pytest
from pictures import random_image, save
from PIL import Image

from vqvae_jax.data import notes
from vqvae_jax.data.kinds import open_dataset
from vqvae_jax.errors import DataError

_PLAIN = (".png", ".jpg", ".jpeg", ".webp")


def tree(root, *paths):
  """Makes folders (names ending in a slash), pictures, and other files."""
  root.mkdir(parents=True, exist_ok=True)
  for seed, path in enumerate(paths):
    if path.endswith("/"):
      (root / path).mkdir(parents=True, exist_ok=True)
    elif path.lower().endswith(_PLAIN):
      save(root / path, random_image(seed))
    else:
      (root / path).parent.mkdir(parents=True, exist_ok=True)
      (root / path).write_bytes(b"no image")
  return root


def jpeg(path, seed=0):
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(random_image(seed)[..., 0]).save(path, format="JPEG")


def splits_of(root, **options):
  """Class names and counts of each split."""
  dataset = open_dataset(f"folder:{root}", **options)
  result = {}
  for split, opener in dataset.splits.items():
    source = opener()
    names = source.class_names or ("no label",)
    counts = np.bincount(source.labels, minlength=len(names))
    result[split] = dict(zip(names, counts.tolist(), strict=True))
  return result


def train_of(path, **options):
  return open_dataset(f"folder:{path}", **options).splits["train"]()


def labelled(source):
  """The class of each file."""
  return {
    file: source.class_names[label]
    for file, label in zip(source.files, source.labels, strict=True)
  }


def refused(path, match, **options):
  """The message, which is one line and matches."""
  with pytest.raises(DataError, match=match) as caught:
    train_of(path, **options)
  message = str(caught.value)
  assert "\n" not in message and notes.is_safe(message)
  return message


def said(capsys):
  """The lines on stderr since the last call."""
  return capsys.readouterr().err.splitlines()


def plain(text):
  return re.escape(str(text))
