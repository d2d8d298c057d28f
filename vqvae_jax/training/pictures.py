"""Pictures of a training: reconstructions, samples, usage of the codebook."""

import functools
import io
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

# Small images are enlarged by a whole factor to about this many pixels.
TARGET = 56
GAP = 2
# Of the names of rows and columns, in pixels.
FONT_SIZE = 11
MAX_MARGIN = 160


def to_uint8(images: Float[np.ndarray, "*b h w c"]) -> UInt8[np.ndarray, "..."]:
  """[0, 1] to pixels, rounded to the nearest."""
  return np.round(np.clip(images, 0, 1) * 255).astype(np.uint8)


def grid(
  images: UInt8[np.ndarray, "n h w c"],
  columns: int,
  row_names: Sequence[str] = (),
  column_names: Sequence[str] = (),
) -> UInt8[np.ndarray, "..."]:
  """Images row by row on white, enlarged without blur where they are small.

  Args:
    images: the images, the first row first.
    columns: images in a row.
    row_names: text to the left of each row; none for no margin.
    column_names: text above each column; none for no margin.
  """
  _, height, width, channels = images.shape
  factor = max(1, TARGET // max(height, width))
  images = images.repeat(factor, axis=1).repeat(factor, axis=2)
  height, width = height * factor, width * factor
  rows = -(-len(images) // columns)
  page = np.full(
    (
      rows * (height + GAP) + GAP,
      columns * (width + GAP) + GAP,
      channels,
    ),
    255,
    np.uint8,
  )
  for i, image in enumerate(images):
    top = GAP + (i // columns) * (height + GAP)
    left = GAP + (i % columns) * (width + GAP)
    page[top : top + height, left : left + width] = image
  if not row_names and not column_names:
    return page
  return _with_names(page, (height, width), row_names, column_names)


def _with_names(page, cell, row_names, column_names):
  """Adds a margin with names at the left and above."""
  height, width = cell
  font = _font()
  rows = [_shortened(name, font, MAX_MARGIN) for name in row_names]
  columns = [_shortened(name, font, width) for name in column_names]
  left = max((math.ceil(font.getlength(name)) for name in rows), default=0)
  left += 2 * GAP * bool(rows)
  above = (FONT_SIZE + 3 * GAP) * bool(columns)
  picture = Image.new(
    "RGB", (page.shape[1] + left, page.shape[0] + above), "white"
  )
  body = Image.fromarray(page[..., 0] if page.shape[-1] == 1 else page)
  picture.paste(body.convert("RGB"), (left, above))
  draw = ImageDraw.Draw(picture)
  for i, name in enumerate(rows):
    middle = above + GAP + i * (height + GAP) + height // 2
    draw.text((left - GAP, middle), name, "black", font, anchor="rm")
  for i, name in enumerate(columns):
    middle = left + GAP + i * (width + GAP) + width // 2
    draw.text((middle, above - GAP), name, "black", font, anchor="ms")
  return np.asarray(picture)


@functools.cache
def _font():
  # Matplotlib ships a font with more scripts than Pillow's own.
  import matplotlib

  path = f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf"
  return ImageFont.truetype(path, FONT_SIZE)


def _shortened(name, font, width):
  """The name, or as much of its start as fits into `width` pixels."""
  name = " ".join(name.split())
  if font.getlength(name) <= width:
    return name
  while name and font.getlength(name + "\u2026") > width:
    name = name[:-1]
  return name + "\u2026"


def pairs(
  originals: UInt8[np.ndarray, "n h w c"],
  others: UInt8[np.ndarray, "n h w c"],
  columns: int,
  names: tuple[str, str] | tuple[()] = (),
  column_names: Sequence[str] = (),
) -> UInt8[np.ndarray, "..."]:
  """Rows of originals, each above the row of their counterparts.

  Args:
    originals: images of the first, third, ... row.
    others: their counterparts, in the same order.
    columns: images in a row.
    names: what to call the two kinds of rows; none for no names.
    column_names: text above each column; none for no margin.
  """
  rows = []
  for start in range(0, len(originals), columns):
    stop = start + columns
    for images in (originals[start:stop], others[start:stop]):
      missing = columns - len(images)
      blank = np.full((missing, *images.shape[1:]), 255, np.uint8)
      rows.append(np.concatenate([images, blank]))
  row_names = list(names) * (len(rows) // 2)
  return grid(np.concatenate(rows), columns, row_names, column_names)


def usage_plot(counts: Float[np.ndarray, "m k"]) -> UInt8[np.ndarray, "h w 3"]:
  """How often each code is used, the commonest first, on a log axis.

  Args:
    counts: of each code, a row for each id of a latent.
  """
  # Here, because this one picture's library takes a second to import.
  import matplotlib.figure

  counts = np.sort(np.ravel(counts))[::-1]
  share = counts / max(counts.sum(), 1)
  used = int((counts > 0).sum())
  figure = matplotlib.figure.Figure(figsize=(6, 3), layout="constrained")
  axes = figure.add_subplot()
  axes.stairs(share[:used], fill=True)
  axes.set_yscale("log")
  axes.set_xlim(0, len(counts))
  axes.set_xlabel("codes, the commonest first")
  axes.set_ylabel("share of all ids")
  axes.set_title(f"{used} of {len(counts)} codes in use on validation images")
  buffer = io.BytesIO()
  figure.savefig(buffer, format="png", dpi=120)
  return np.asarray(Image.open(buffer).convert("RGB"))


def png(pixels: UInt8[np.ndarray, "h w c"]) -> bytes:
  """PNG file of pixels with 1 or 3 channels."""
  buffer = io.BytesIO()
  image = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
  Image.fromarray(image).save(buffer, "PNG")
  return buffer.getvalue()
