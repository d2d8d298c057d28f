"""Sample grids: some images of each class, and the likeliest copies."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int, UInt8

from vqvae_jax.pictures import grid, png
from vqvae_jax.study.report.blocks import Picture

COLUMNS = 6
_MOST_CLASSES = 10
# Rows of generated images, each above a row of training images.
_COPY_ROWS = 2
_COPY_COLUMNS = 8


@dataclasses.dataclass(frozen=True)
class SampleGrid:
  """Images in rows that have names.

  Attributes:
    title: what the images are.
    text: what the reader can see in them; may be empty.
    images: the rows of images, white where an image is missing.
    row_names: the name of each row.
  """

  title: str
  text: str
  images: UInt8[np.ndarray, "rows columns h w c"]
  row_names: Sequence[str]


def by_class(
  title: str,
  images: UInt8[np.ndarray, "n h w c"],
  labels: Int[np.ndarray, " n"],
  class_names: Sequence[str],
) -> SampleGrid:
  """Returns a row with the first images of each of the first ten classes."""
  names = class_names[:_MOST_CLASSES]
  rows = [images[labels == c][:COLUMNS] for c in range(len(names))]
  text = ""
  if len(names) < len(class_names):
    text = (
      f"The grid shows the first {len(names)} of {len(class_names):,} classes."
    )
  return SampleGrid(title, text, _padded(rows, max(1, *map(len, rows))), names)


def copies(
  title: str,
  images: UInt8[np.ndarray, "n h w c"],
  real: UInt8[np.ndarray, "m h w c"],
  distance: Float[np.ndarray, " n"],
  nearest: Int[np.ndarray, " n"],
) -> SampleGrid:
  """Returns generated images above the training images nearest to them.

  Args:
    title: what the images are.
    images: generated images.
    real: training images of the generator.
    distance: distance from each generated image to the nearest training image.
    nearest: index of that training image.
  """
  likeliest = np.argsort(distance, kind="stable")[: _COPY_ROWS * _COPY_COLUMNS]
  rows = []
  for start in range(0, len(likeliest), _COPY_COLUMNS):
    some = likeliest[start : start + _COPY_COLUMNS]
    rows += [images[some], real[nearest[some]]]
  text = (
    "Each generated image stands above the training image that is nearest to "
    "it. The likeliest copies come first, from left to right"
    + (", and continue in the next pair of rows." if len(rows) > 2 else ".")
  )
  names = ("generated", "nearest real") * (len(rows) // 2)
  return SampleGrid(title, text, _padded(rows, _COPY_COLUMNS), names)


def picture(name: str, samples: SampleGrid, note: str = "") -> Picture:
  """Returns a sample grid as it stands in the report.

  Args:
    name: name of the set of images, as a file name.
    samples: the sample grid.
    note: a sentence to add to the text of the sample grid.
  """
  rows, columns, *shape = samples.images.shape
  images = samples.images.reshape(-1, *shape)
  alt = f"{samples.title}: {rows} rows of {columns} images"
  # The rows of copies have two names, again and again.
  names = ", ".join(dict.fromkeys(samples.row_names))
  return Picture(
    f"samples_{name}",
    samples.title,
    f"{samples.text} {note}".strip(),
    f"{alt}, named {names}" if names else alt,
    png(grid(images, columns)),
    png(grid(images, columns, samples.row_names)),
    samples.row_names,
  )


def _padded(
  rows: Sequence[UInt8[np.ndarray, "_ h w c"]], columns: int
) -> UInt8[np.ndarray, "rows {columns} h w c"]:
  """Returns rows of one length, with white images at their ends."""
  shape = len(rows), columns, *rows[0].shape[1:]
  padded = np.full(shape, 255, np.uint8)
  for row, images in zip(padded, rows, strict=True):
    row[: len(images)] = images
  return padded
