"""Sheets of images: some of each class, and the likeliest copies."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int, UInt8

from vqvae_jax.pictures import grid, png
from vqvae_jax.study.report_pages import Picture

COLUMNS = 6
MOST_CLASSES = 10
# Rows of generated images, each above a row of training images.
COPY_ROWS = 2
COPY_COLUMNS = 8


@dataclasses.dataclass(frozen=True)
class Sheet:
  """Images in rows that have names.

  Attributes:
    title: what the images are.
    text: what to see in them.
    images: the rows; white where there is no image.
    row_names: a name for each row.
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
) -> Sheet:
  """A row for each class, the first ten of them, with its first images."""
  names = class_names[:MOST_CLASSES]
  found = [images[labels == c][:COLUMNS] for c in range(len(names))]
  columns = max(1, *map(len, found))
  page = np.full((len(names), columns, *images.shape[1:]), 255, np.uint8)
  for row, of_class in zip(page, found, strict=True):
    row[: len(of_class)] = of_class
  text = ""
  if len(names) < len(class_names):
    text = f"The first {len(names)} of {len(class_names):,} classes."
  return Sheet(title, text, page, names)


def copies(
  title: str,
  images: UInt8[np.ndarray, "n h w c"],
  real: UInt8[np.ndarray, "m h w c"],
  distance: Float[np.ndarray, " n"],
  nearest: Int[np.ndarray, " n"],
) -> Sheet:
  """Generated images above their nearest training images, likeliest first.

  Args:
    title: what the images are.
    images: generated ones.
    real: what the generator learnt from.
    distance: from each generated image to the nearest real one.
    nearest: which one that is.
  """
  rows = np.argsort(distance, kind="stable")[: COPY_ROWS * COPY_COLUMNS]
  page = []
  for start in range(0, len(rows), COPY_COLUMNS):
    some = rows[start : start + COPY_COLUMNS]
    for found in (images[some], real[nearest[some]]):
      row = np.full((COPY_COLUMNS, *images.shape[1:]), 255, np.uint8)
      row[: len(found)] = found
      page.append(row)
  text = (
    "Each generated image stands above the training image nearest to it. "
    "Columns are sorted from left to right, likeliest copies first"
    + (", and continue in the next pair of rows." if len(page) > 2 else ".")
  )
  names = ("generated", "nearest real") * (len(page) // 2)
  return Sheet(title, text, np.stack(page), names)


def picture(name: str, sheet: Sheet, note: str = "") -> Picture:
  """A sheet as a block of the report.

  Args:
    name: of its file.
    sheet: the images.
    note: a sentence to add to the sheet's text.
  """
  rows, columns, *shape = sheet.images.shape
  images = sheet.images.reshape(-1, *shape)
  alt = f"{sheet.title}: {rows} rows of {columns} images"
  # All names of copies are the same two.
  names = list(dict.fromkeys(sheet.row_names))
  if names:
    alt += f", named {', '.join(names)}"
  return Picture(
    f"sheet_{name}",
    sheet.title,
    " ".join(filter(None, (sheet.text, note))),
    alt,
    png(grid(images, columns)),
    png(grid(images, columns, sheet.row_names)),
    sheet.row_names,
  )
