"""The first images of a job in one picture, `grid.png`.

Rows are classes, as in the pictures of a training; varied images stand below
the images that they were made from.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8

from vqvae_jax.generators.plan import Plan
from vqvae_jax.jobs.format_base import Format
from vqvae_jax.jobs.shards import Shard
from vqvae_jax.pictures import TARGET, grid, legible

COLUMNS = 10
# Classes that have rows, the first ones.
MAX_CLASSES = 30
# With few classes, each has several rows, about so many in all.
MIN_ROWS = 8
# Characters of a class name, where more is to be named.
_NAME = 16
_OUTLINE = (230, 30, 30)


def overview(
  kept: Format,
  shards: Sequence[Shard],
  planned: Plan,
  class_names: Sequence[str],
  mode: str,
) -> UInt8[np.ndarray, "h w c"]:
  """The first images of each class, with what they were made from.

  Args:
    kept: the shards' files.
    shards: all of them.
    planned: the job's.
    class_names: none for a set without labels.
    mode: how the images were made.
  """
  lines = 1 + (len(planned.origins.called) if planned.origins else 0)
  rows = _rows(planned.labels, lines)
  numbers = np.array([n for _, row in rows for n in row])
  found = _read(kept, shards, planned, numbers)
  blank = np.full(planned.shape, 255, np.uint8)
  width = max(len(row) for _, row in rows)
  # As `grid` would name the rows, of which a class has several here.
  classes = legible(class_names)
  cells, names = [], []
  previous = None
  for label, row in rows:
    name = classes[label] if classes else ""
    made = np.stack([found[n] for n in row])
    for what, images in _lines(planned, row, label, made, mode):
      if lines > 1:
        short = name if len(name) <= _NAME else f"{name[:_NAME]}\u2026"
        names.append(f"{short}: {what}" if name else what)
      else:
        names.append(name if label != previous else "")
      cells.extend(images)
      pad = _enlarged(blank[None], images.shape[-1] == 3)[0]
      cells.extend([pad] * (width - len(images)))
    previous = label
  if not any(names):
    names = []
  title = _title(planned.labels, class_names, mode)
  return grid(np.stack(cells), width, names, title=title)


def _title(labels, class_names, mode):
  what = "validation images" if mode == "reconstruct" else "generated images"
  if not class_names:
    return what
  count = len(np.unique(labels))
  if count > MAX_CLASSES:
    return f"{what}, the first {MAX_CLASSES} of {count:,} classes"
  return f"{what}, the first of each class"


def _rows(labels, lines):
  """Pairs of a label and up to `COLUMNS` numbers of its images."""
  present = np.unique(labels)[:MAX_CLASSES]
  each = max(1, MIN_ROWS // (lines * len(present)))
  rows = []
  for label in present.tolist():
    numbers = np.flatnonzero(labels == label)[: each * COLUMNS]
    rows += [
      (label, numbers[start : start + COLUMNS])
      for start in range(0, len(numbers), COLUMNS)
    ]
  return rows


def _read(kept, shards, planned, numbers):
  """Images by their numbers."""
  found = {}
  wanted = set(numbers.tolist())
  for shard in shards:
    stop = shard.first + shard.count
    here = [n for n in wanted if shard.first <= n < stop]
    if not here:
      continue
    number = shard.first
    for images in kept.read(shard, planned.labels[shard.first : stop]):
      for image in images:
        if number in wanted:
          found[number] = image
        number += 1
      if number > max(here):
        break
  return found


def _lines(planned, row, label, made, mode) -> list[tuple[str, Any]]:
  """What stands below each other: the origins of images, and these."""
  origins = planned.origins
  outlined = origins is not None and origins.outlines is not None
  if origins is None:
    return [("", _enlarged(made, outlined))]
  places = origins.rows(row, np.full(len(row), label))
  lines = [
    (what, _enlarged(origins.images(places[:, n]), outlined))
    for n, what in enumerate(origins.called)
  ]
  made = _enlarged(made, outlined)
  if outlined:
    made = _outlined(made, origins.outlines(row))
  what = "reconstruction" if mode == "reconstruct" else mode
  return [*lines, (what, made)]


def _enlarged(images, coloured):
  """As `grid` shows them; an outline needs pixels of its own."""
  factor = max(1, TARGET // max(images.shape[1:3]))
  images = images.repeat(factor, axis=1).repeat(factor, axis=2)
  if coloured and images.shape[-1] == 1:
    images = images.repeat(3, axis=-1)
  return images


def _outlined(
  images: UInt8[np.ndarray, "b h w 3"], boxes: Int[np.ndarray, "b 4"]
):
  """A line round what was drawn anew; boxes are shares of the image."""
  images = images.copy()
  height, width = images.shape[1:3]
  for image, box in zip(images, boxes, strict=True):
    top, left, tall, wide = box * [height, width, height, width]
    top, left = int(top), int(left)
    bottom = min(height, int(top + tall + 0.5)) - 1
    right = min(width, int(left + wide + 0.5)) - 1
    image[[top, bottom], left : right + 1] = _OUTLINE
    image[top : bottom + 1, [left, right]] = _OUTLINE
  return images
