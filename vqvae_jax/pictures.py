"""Sample grids, pictures of ids and codebook usage, and PNG files."""

import functools
import io
import math
import unicodedata
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image, ImageDraw, ImageFont

from vqvae_jax.pixels import to_uint8

# Small images are enlarged by a whole factor to about this many pixels.
TARGET = 64
GAP = 2
# Size of the names of rows and columns, in pixels.
FONT_SIZE = 12
LINE = FONT_SIZE + 3
MAX_MARGIN = 160
# A column is made this wide, if its name needs it.
MIN_COLUMN = 64
# A grid with a title is at least this wide.
MIN_TITLE = 320


def grid(
  images: UInt8[np.ndarray, "n h w c"],
  columns: int,
  row_names: Sequence[str] = (),
  column_names: Sequence[str] = (),
  title: str = "",
) -> UInt8[np.ndarray, "..."]:
  """Returns a grid of images on white; small images are enlarged without blur.

  A grid with text is RGB. Names that the font cannot draw are replaced by
  `legible`.

  Args:
    images: images of the grid, row by row.
    columns: number of images in a row.
    row_names: text to the left of each row; none for no margin.
    column_names: text above each column; none for no margin.
    title: text above everything; none for no margin.
  """
  _, height, width, channels = images.shape
  factor = max(1, TARGET // max(height, width))
  images = images.repeat(factor, axis=1).repeat(factor, axis=2)
  height, width = height * factor, width * factor
  font = _font()
  row_names, column_names = legible(row_names), legible(column_names)
  longest = max(map(font.getlength, column_names), default=0)
  # A row with a name is at least as high as a line of text.
  cell = (
    max(height, LINE * bool(row_names)),
    max(width, min(math.ceil(longest), MIN_COLUMN)),
  )
  rows = -(-len(images) // columns)
  page = np.full(
    (rows * (cell[0] + GAP) + GAP, columns * (cell[1] + GAP) + GAP, channels),
    255,
    np.uint8,
  )
  for i, image in enumerate(images):
    top = GAP + (i // columns) * (cell[0] + GAP) + (cell[0] - height) // 2
    left = GAP + (i % columns) * (cell[1] + GAP) + (cell[1] - width) // 2
    page[top : top + height, left : left + width] = image
  if not (row_names or column_names or title):
    return page
  return _with_names(page, cell, row_names, column_names, title)


def _with_names(page, cell, row_names, column_names, title):
  """Adds names to the left and above, and the title."""
  height, width = cell
  font = _font()
  rows = [_lines(n, MAX_MARGIN, max(1, height // LINE)) for n in row_names]
  columns = [_lines(name, width, 1)[0] for name in column_names]
  lengths = (font.getlength(line) for lines in rows for line in lines)
  left = math.ceil(max(lengths, default=0)) + 3 * GAP * bool(rows)
  across = left + page.shape[1]
  if title:
    across = max(across, MIN_TITLE)
  head = _lines(title, across - 4 * GAP, 3) if title else []
  top = len(head) * LINE + 2 * GAP * bool(head)
  above = top + (LINE + GAP) * bool(columns)
  picture = Image.new("RGB", (across, page.shape[0] + above), "white")
  body = Image.fromarray(page[..., 0] if page.shape[-1] == 1 else page)
  picture.paste(body.convert("RGB"), (left, above))
  draw = ImageDraw.Draw(picture)

  def write(lines, x, y, anchor):
    for n, line in enumerate(lines):
      draw.text((x, y + n * LINE), line, "black", font, anchor=anchor)

  write(head, 2 * GAP, GAP + FONT_SIZE, "ls")
  for i, lines in enumerate(rows):
    middle = above + GAP + i * (height + GAP) + height // 2
    write(lines, left - GAP, middle - (len(lines) - 1) * LINE / 2, "rm")
  for i, name in enumerate(columns):
    middle = left + GAP + i * (width + GAP) + width // 2
    write([name], middle, above - 2 * GAP, "ms")
  return np.asarray(picture)


def legible(names: Sequence[str]) -> list[str]:
  """Returns class names, or `class 3` for one that the font cannot draw."""
  found = []
  for number, name in enumerate(names):
    # Some systems store an accented letter as two characters.
    name = unicodedata.normalize("NFC", " ".join(name.split()))
    drawn = all(
      ord(letter) in _letters()
      and unicodedata.bidirectional(letter) not in ("R", "AL")
      for letter in name
    )
    found.append(name if drawn else f"class {number}")
  return found


@functools.cache
def _font_file():
  # The font that Matplotlib ships has more scripts than that of Pillow.
  import matplotlib

  return f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf"


@functools.cache
def _font():
  return ImageFont.truetype(_font_file(), FONT_SIZE)


@functools.cache
def _letters():
  """Returns the characters that the font has."""
  from matplotlib import ft2font

  return frozenset(ft2font.FT2Font(_font_file()).get_charmap())


def _lines(name, width, count):
  """Returns a name in at most `count` lines, shortened if it is longer."""
  font, lines = _font(), []
  while name and len(lines) < count:
    end = len(name)
    while end > 1 and font.getlength(name[:end]) > width:
      end -= 1
    if end < len(name):
      # Break after a space or a similar character, if one is near.
      breaks = [n for n in range(end // 2, end) if name[n] in " _-,."]
      end = breaks[-1] + 1 if breaks else end
    lines.append(name[:end].strip())
    name = name[end:]
  if name:
    last = lines[-1]
    while last and font.getlength(f"{last}\u2026") > width:
      last = last[:-1]
    lines[-1] = f"{last}\u2026"
  return lines or [""]


def pairs(
  originals: UInt8[np.ndarray, "n h w c"],
  others: UInt8[np.ndarray, "n h w c"],
  columns: int,
  names: tuple[str, str] | tuple[()] = (),
  column_names: Sequence[str] = (),
) -> UInt8[np.ndarray, "..."]:
  """Returns a grid of rows of originals, each above a row of counterparts.

  Args:
    originals: images of the first, third, ... row.
    others: their counterparts, in the same order.
    columns: number of images in a row.
    names: names of the two kinds of rows; none for no names.
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


def code_map(
  ids: Int[np.ndarray, "n h w"], height: int, width: int
) -> UInt8[np.ndarray, "n y x 3"]:
  """Returns ids as coloured squares, at the size of the images.

  Codes have no order, so consecutive codes get different colours.

  Args:
    ids: ids of each image.
    height: height of the images, a multiple of the rows of ids.
    width: width of the images, a multiple of the columns of ids.
  """
  # Steps of the golden ratio keep any number of hues apart.
  hue = (ids * 0.618034) % 1
  value = 0.55 + 0.45 * ((ids * 0.381966 * 1.7) % 1)
  distance = np.abs((hue[..., None] * 6 + np.array([0, 4, 2])) % 6 - 3)
  colours = value[..., None] * (0.25 + 0.75 * np.clip(distance - 1, 0, 1))
  rows, columns = height // ids.shape[1], width // ids.shape[2]
  return to_uint8(colours).repeat(rows, axis=1).repeat(columns, axis=2)


def usage_plot(counts: Float[np.ndarray, "*m k"]) -> UInt8[np.ndarray, "h w 3"]:
  """Returns a plot of how often each code is used, on a logarithmic axis.

  Args:
    counts: count of each code, one row for each id of a latent.
  """
  # Imported here because it takes a second, and only this picture needs it.
  import matplotlib.figure

  counts = np.sort(np.ravel(counts))[::-1]
  share = counts / max(counts.sum(), 1)
  used = int((counts > 0).sum())
  figure = matplotlib.figure.Figure(figsize=(6, 3), layout="constrained")
  axes = figure.add_subplot()
  axes.stairs(share[:used], fill=True)
  axes.set_yscale("log")
  axes.set_xlim(0, len(counts))
  axes.set_xlabel("codes, most frequent first")
  axes.set_ylabel("share of all ids")
  axes.set_title(f"{used} of {len(counts)} codes in use on validation images")
  buffer = io.BytesIO()
  figure.savefig(buffer, format="png", dpi=120)
  return np.asarray(Image.open(buffer).convert("RGB"))


def png(pixels: UInt8[np.ndarray, "h w c"]) -> bytes:
  """Returns a PNG file of pixels with 1 or 3 channels."""
  buffer = io.BytesIO()
  image = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
  Image.fromarray(image).save(buffer, "PNG")
  return buffer.getvalue()
