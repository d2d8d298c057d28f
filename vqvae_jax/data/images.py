"""One image file or array to uint8 `[h, w, c]` of the asked channels and size.

Only the PNG, JPEG and WebP decoders of Pillow are enabled, and the size that
a file declares is checked before its pixels are decoded.
"""

import io
import os
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from vqvae_jax.errors import DataError

FORMATS = ("PNG", "JPEG", "WEBP")
MAX_PIXELS = 64_000_000
_GREY_MODES = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "I;16N")
_ORIENTATION = 0x0112


class Shape(NamedTuple):
  """Pixels and channels (1 grey, 3 RGB) of a decoded image."""

  height: int
  width: int
  channels: int


def check_pixels(name: str, height: int, width: int):
  """Raises `DataError` for an image of more than `MAX_PIXELS` pixels."""
  if height * width > MAX_PIXELS:
    raise DataError(
      f"{name} declares {width}x{height} pixels, more than the "
      f"{MAX_PIXELS // 10**6} megapixels that are read; resize it first"
    )


def read_shape(file: str | os.PathLike | bytes, name: str) -> Shape:
  """The shape that `decode` will give, from the file's header alone.

  Args:
    file: path, or the bytes of the file.
    name: how messages call the file.

  Raises:
    DataError: if the file is no PNG, JPEG or WebP, or an image bomb.
  """
  with _open(file, name) as image:
    width, height = image.size
    # Without Exif in the header, Pillow would decode a PNG to look for it.
    if image.info.get("exif") and image.getexif().get(_ORIENTATION, 1) >= 5:
      width, height = height, width
    return Shape(height, width, 1 if image.mode in _GREY_MODES else 3)


def decode(
  file: str | os.PathLike | bytes, name: str
) -> UInt8[np.ndarray, "h w c"]:
  """Pixels of an image file, upright, grey (c = 1) or RGB (c = 3).

  Palettes become RGB, 16 bits are cut to the upper 8, transparent pixels lie
  on white.

  Raises:
    DataError: if the file is no PNG, JPEG or WebP, is broken, or is a bomb.
  """
  with _open(file, name) as image:
    try:
      image.load()
      image = ImageOps.exif_transpose(image)
      channels = 1 if image.mode in _GREY_MODES else 3
      pixels = np.asarray(_to_8_bits(image, channels))
    except Exception as error:  # Pillow raises many kinds for broken files.
      raise DataError(f"{name} does not decode: {_first_line(error)}") from None
  return pixels.reshape(*pixels.shape[:2], channels)


def fit(
  image: UInt8[np.ndarray, "h w c"], channels: int, size: int | None
) -> UInt8[np.ndarray, "h2 w2 c2"]:
  """Brings an image to `channels`, and to `size` x `size` pixels if given.

  The largest centred square is resized with antialiasing (Lanczos): the same
  as resizing the shorter side and cropping the centre, without ever making a
  larger picture.

  Args:
    image: grey or RGB pixels.
    channels: 1 or 3; RGB becomes grey by the luma of ITU-R BT.601.
    size: pixels of a side of the result, or None to keep the size.
  """
  height, width, have = image.shape
  if have == channels and size in (None, height) and size in (None, width):
    return image
  picture = Image.fromarray(image[..., 0] if have == 1 else image)
  if have != channels:
    picture = picture.convert("L" if channels == 1 else "RGB")
  if size is not None and (height, width) != (size, size):
    side = min(height, width)
    left, top = (width - side) / 2, (height - side) / 2
    picture = picture.resize(
      (size, size),
      Image.Resampling.LANCZOS,
      box=(left, top, left + side, top + side),
    )
  pixels = np.asarray(picture)
  return pixels.reshape(*pixels.shape[:2], channels)


def _open(file, name):
  try:
    stream = io.BytesIO(file) if isinstance(file, bytes) else file
    image = Image.open(stream, formats=FORMATS)
  except Image.DecompressionBombError:
    raise DataError(
      f"{name} declares more than the {MAX_PIXELS // 10**6} megapixels that "
      "are read; resize it first"
    ) from None
  except Exception as error:
    raise DataError(
      f"{name} is no PNG, JPEG or WebP image that can be read: "
      f"{_first_line(error)}"
    ) from None
  try:
    check_pixels(name, image.height, image.width)
  except DataError:
    image.close()
    raise
  return image


def _to_8_bits(image, channels):
  if image.mode == "I" or image.mode.startswith("I;16"):
    high = np.clip(np.asarray(image).astype(np.int64), 0, 65535) >> 8
    image = Image.fromarray(high.astype(np.uint8))
  if "transparency" in image.info or image.mode in ("LA", "PA", "RGBA", "La"):
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    image = Image.alpha_composite(white, image)
  return image.convert("L" if channels == 1 else "RGB")


def _first_line(error):
  lines = str(error).splitlines()
  return lines[0] if lines else type(error).__name__
