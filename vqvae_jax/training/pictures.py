"""Pictures of a training: reconstructions, samples, usage of the codebook."""

import io

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

# Small images are enlarged by a whole factor to about this many pixels.
TARGET = 56
GAP = 2


def to_uint8(images: Float[np.ndarray, "*b h w c"]) -> UInt8[np.ndarray, "..."]:
  """[0, 1] to pixels, rounded to the nearest."""
  return np.round(np.clip(images, 0, 1) * 255).astype(np.uint8)


def grid(
  images: UInt8[np.ndarray, "n h w c"], columns: int
) -> UInt8[np.ndarray, "..."]:
  """Images row by row on white, enlarged without blur where they are small."""
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
  return page


def pairs(
  originals: UInt8[np.ndarray, "n h w c"],
  others: UInt8[np.ndarray, "n h w c"],
  columns: int,
) -> UInt8[np.ndarray, "..."]:
  """Rows of originals, each above the row of their counterparts."""
  rows = []
  for start in range(0, len(originals), columns):
    stop = start + columns
    for images in (originals[start:stop], others[start:stop]):
      missing = columns - len(images)
      blank = np.full((missing, *images.shape[1:]), 255, np.uint8)
      rows.append(np.concatenate([images, blank]))
  return grid(np.concatenate(rows), columns)


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
