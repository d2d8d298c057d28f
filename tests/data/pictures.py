"""Small pictures for the tests of `data`."""

import struct
import zlib

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


def chunk(kind, content):
  """One chunk of a PNG file."""
  told = kind + content
  return (
    struct.pack(">I", len(content)) + told + struct.pack(">I", zlib.crc32(told))
  )


def png(values, colours, depth, extra=b""):
  """A PNG of values [h, w, c], by its colour type and bits for each sample."""
  height, width = values.shape[:2]
  rows = values.reshape(height, -1)
  if depth == 16:
    rows = rows.astype(">u2").view(np.uint8)
  elif depth < 8:
    bits = np.unpackbits(rows.astype(np.uint8)[..., None], axis=-1)
    rows = np.packbits(bits[..., -depth:].reshape(height, -1), axis=-1)
  lines = b"".join(b"\0" + row.astype(np.uint8).tobytes() for row in rows)
  header = struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0)
  return (
    b"\x89PNG\r\n\x1a\n"
    + chunk(b"IHDR", header)
    + extra
    + chunk(b"IDAT", zlib.compress(lines))
    + chunk(b"IEND", b"")
  )
