"""The sample grid of a job, `grid.png`.

Rows are classes, as in the sample grids of a training. Varied images are below
the images that they were made from.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8

from vqvae_jax.generators.plan import Plan
from vqvae_jax.jobs.formats import Format
from vqvae_jax.jobs.shards import Shard
from vqvae_jax.pictures import TARGET, grid, legible

COLUMNS = 10
# Number of classes that are shown.
MAX_CLASSES = 30
# With few classes, each has several rows, so that there are about this many.
MIN_ROWS = 8
# Characters of a class name, if the row has another name, too.
_NAME = 16
_OUTLINE = (230, 30, 30)


def overview(
  store: Format,
  shards: Sequence[Shard],
  planned: Plan,
  class_names: Sequence[str],
  mode: str,
) -> UInt8[np.ndarray, "h w c"]:
  """Returns the first images of each class, with those they were made from.

  Args:
    store: files of the shards.
    shards: all shards.
    planned: plan of the job.
    class_names: names of the classes; none for a set without labels.
    mode: how the images were made.
  """
  lines = 1 + (len(planned.origins.called) if planned.origins else 0)
  rows = _rows(planned.labels, lines)
  numbers = np.array([n for _, row in rows for n in row])
  found = _read(store, shards, planned, numbers)
  blank = np.full(planned.shape, 255, np.uint8)
  width = max(len(row) for _, row in rows)
  # `grid` cannot know that a class has several rows, so names are made here.
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
  """Returns pairs of a label and up to `COLUMNS` numbers of its images."""
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


def _read(store, shards, planned, numbers):
  """Returns images by their numbers."""
  found = {}
  wanted = set(numbers.tolist())
  for shard in shards:
    stop = shard.first + shard.count
    here = [n for n in wanted if shard.first <= n < stop]
    if not here:
      continue
    number = shard.first
    for images in store.read(shard, planned.labels[shard.first : stop]):
      for image in images:
        if number in wanted:
          found[number] = image
        number += 1
      if number > max(here):
        break
  return found


def _lines(planned, row, label, made, mode) -> list[tuple[str, Any]]:
  """Returns the lines of a row: origins of images, then the images."""
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
  """Enlarges images as `grid` does; an outline needs pixels of its own."""
  factor = max(1, TARGET // max(images.shape[1:3]))
  images = images.repeat(factor, axis=1).repeat(factor, axis=2)
  if coloured and images.shape[-1] == 1:
    images = images.repeat(3, axis=-1)
  return images


def _outlined(images, boxes):
  """Outlines what was redrawn; boxes [b, 4] are in shares of the image."""
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
