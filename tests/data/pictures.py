"""Small pictures for the tests of `data`."""

import numpy as np
from PIL import Image


def random_image(seed, height=8, width=8, channels=1):
  rng = np.random.default_rng(seed)
  return rng.integers(0, 256, (height, width, channels), dtype=np.uint8)


def save(path, image):
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(path)


def class_folders(root, classes=("cat", "dog"), count=20, name="{:03}.png"):
  """`count` random pictures in a folder for each class."""
  for label, class_name in enumerate(classes):
    for i in range(count):
      save(root / class_name / name.format(i), random_image(1000 * label + i))
  return root
