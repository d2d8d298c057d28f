"""Decodes image files, and brings images to given channels and size.

Only the PNG, JPEG and WebP decoders of Pillow are enabled, and the size that
a file declares is checked before its pixels are decoded.
"""

import contextlib
import functools
import io
import os
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8, UInt16
from PIL import Image, UnidentifiedImageError

from vqvae_jax.data import png_chunks
from vqvae_jax.errors import DataError

FORMATS = ("PNG", "JPEG", "WEBP")
MAX_PIXELS = 64_000_000
_GREY_MODES = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "I;16N")
_ORIENTATION = 0x0112
# Functions that bring an image upright, by its orientation in Exif.
_TURNS = {
  2: lambda pixels: pixels[:, ::-1],
  3: lambda pixels: pixels[::-1, ::-1],
  4: lambda pixels: pixels[::-1],
  5: lambda pixels: pixels.swapaxes(0, 1),
  6: lambda pixels: pixels.swapaxes(0, 1)[:, ::-1],
  7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
  8: lambda pixels: pixels.swapaxes(0, 1)[::-1],
}
# Pillow keeps the upper 8 bits of colours of 16 bits. These are its names for
# the samples of such files, and for a mode that reads the lower 8 bits.
_LOWER_BYTES = {"RGB;16B": "RGB;16L", "RGBA;16B": "RGBA;16L"}


class Shape(NamedTuple):
  """Height, width and channels (1 grey, 3 RGB) of a decoded image."""

  height: int
  width: int
  channels: int


def check_pixels(name: str, height: int, width: int) -> None:
  """Raises `DataError` for an image of more than `MAX_PIXELS` pixels."""
  if height * width > MAX_PIXELS:
    raise DataError(
      f"{name} declares {width}x{height} pixels, more than the "
      f"{MAX_PIXELS // 10**6} megapixels that are read; resize it first"
    )


def read_shape(file: str | os.PathLike | bytes, name: str) -> Shape:
  """Returns the shape of `to_uint8(decode(file))` from the header alone.

  Args:
    file: path or content of the file.
    name: name of the file in messages.

  Raises:
    DataError: if the file is not a PNG, JPEG or WebP image, or is too large.
  """
  with _open(file, name) as image:
    width, height = image.size
    # A square stays a square when it is turned.
    if width != height and _orientation_ahead(image, name) >= 5:
      width, height = height, width
    return Shape(height, width, 1 if image.mode in _GREY_MODES else 3)


def decode(
  file: str | os.PathLike | bytes, name: str
) -> UInt8[np.ndarray, "h w c"] | UInt16[np.ndarray, "h w c"]:
  """Decodes an image file to upright pixels in the file's own depth.

  Palettes become RGB. The first frame of an animation is read. Colour profiles
  are not applied.

  Args:
    file: path or content of the file.
    name: name of the file in messages.

  Returns:
    Grey (c = 1) or RGB (c = 3) pixels: uint8, with transparent pixels on
    white; or uint16 for a PNG of 16 bits, with one more channel of opacity
    if the file has one. `to_uint8` takes both.

  Raises:
    DataError: if the file is not a PNG, JPEG or WebP image, is broken, or is
      too large.
  """
  with _open(file, name) as image:
    try:
      samples = _samples(image)
      if image.format == "PNG":
        png_chunks.check_sums(image.fp)
      image.load()
      turn = _TURNS.get(_orientation(image), lambda pixels: pixels)
      if samples in _LOWER_BYTES or samples == "LA;16B":
        pixels = _deep_colours(image, samples, file, name)
      elif image.mode == "I" or image.mode.startswith("I;16"):
        pixels = _deep_grey(image)
      else:
        pixels = _shallow(image, samples)
    except Exception as error:  # Pillow raises errors of many kinds.
      raise DataError(f"{name} does not decode: {_first_line(error)}") from None
  pixels = pixels if pixels.ndim == 3 else pixels[..., None]
  return np.ascontiguousarray(turn(pixels))


def to_uint8(
  pixels: UInt8[np.ndarray, "h w c"] | UInt16[np.ndarray, "h w c"],
  intensity_range: tuple[int, int] | None = None,
) -> UInt8[np.ndarray, "h w c2"]:
  """Brings pixels from `decode` to 8 bits without opacity.

  Value v becomes floor(256 (v - low) / (high - low)), within 0 to 255. With a
  range of b bits, 0 to 2**b - 1, this is the upper 8 of the b bits.

  Args:
    pixels: pixels of either depth.
    intensity_range: values (low, high) that become 0 and 255. None means the
      whole range of the type. A range that ends above 255 applies to 16-bit
      values only and leaves uint8 pixels as they are.

  Returns:
    Grey or RGB pixels, transparent ones on white.
  """
  deep = pixels.dtype != np.uint8
  if not deep and (intensity_range is None or intensity_range[1] > 255):
    return pixels
  colours = pixels.shape[-1] - (1 - pixels.shape[-1] % 2)
  scaled = _table(*(intensity_range or (0, 65535)))[pixels[..., :colours]]
  if colours == pixels.shape[-1]:
    return scaled
  opacity = (pixels[..., colours:] >> 8) / 255
  return np.rint(255 - opacity * (255.0 - scaled)).astype(np.uint8)


@functools.lru_cache(maxsize=8)
def _table(low, high):
  """Returns what each value of 16 bits becomes."""
  above = np.clip(np.arange(65536) - low, 0, high - low)
  return np.minimum(above * 256 // (high - low), 255).astype(np.uint8)


def fit(
  image: UInt8[np.ndarray, "h w c"], channels: int, size: int | None
) -> UInt8[np.ndarray, "h2 w2 c2"]:
  """Brings an image to a number of channels, and to a size if one is given.

  The largest centred square is resized with antialiasing (Lanczos). This equals
  resizing the shorter side and cropping the centre, but makes no larger image
  in between.

  Args:
    image: grey or RGB pixels.
    channels: 1 or 3; RGB becomes grey by the luma of ITU-R BT.601.
    size: pixels of a side of the result, or None to keep the size.

  Returns:
    The pixels; the image itself if nothing changes.
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
  except UnidentifiedImageError:
    # Pillow's own message only repeats the name of the file.
    raise DataError(
      f"{name} is not a PNG, JPEG or WebP image that can be read: it is empty, "
      "broken or in another format; replace it or move it away"
    ) from None
  except Exception as error:
    raise DataError(
      f"{name} is not a PNG, JPEG or WebP image that can be read: "
      f"{_first_line(error)}"
    ) from None
  try:
    check_pixels(name, image.height, image.width)
  except DataError:
    image.close()
    raise
  return image


def _samples(image):
  """Returns Pillow's name for the samples of a PNG: `L;2` or `RGB;16B`, say."""
  return str(image.tile[0][3]) if image.format == "PNG" and image.tile else ""


def _deep_grey(image):
  """Returns grey values of 16 bits, with opacity if a value is transparent."""
  values = np.asarray(image).astype(np.int64)
  grey = np.clip(values, 0, 65535).astype(np.uint16)[..., None]
  return _with_key(grey, image.info.get("transparency"))


def _deep_colours(image, samples, file, name):
  """Returns colours of 16 bits, with opacity if the file has one.

  Pillow has no mode for them, so it reads each half of the bits.
  """
  with _open(file, name) as again:
    kind, extents, offset, _ = again.tile[0]
    # RGBA reads two bytes of the grey value, and then two of the opacity.
    raw = _LOWER_BYTES.get(samples, "RGBA")
    again.tile = [type(again.tile[0])(kind, extents, offset, raw)]
    lower = np.asarray(again).astype(np.uint16)
  if samples == "LA;16B":
    values = lower[..., 0::2] << 8 | lower[..., 1::2]
    return values[..., [0, 0, 0, 1]]
  values = np.asarray(image).astype(np.uint16) << 8 | lower
  return _with_key(values, image.info.get("transparency"))


def _with_key(values, key):
  """Adds opacity to pixels if those of the value `key` are transparent."""
  if key is None:
    return values
  opaque = np.any(values != np.asarray(key, np.int64), axis=-1, keepdims=True)
  return np.concatenate([values, opaque.astype(np.uint16) * 65535], axis=-1)


def _shallow(image, samples):
  """Returns pixels of at most 8 bits, with transparent ones on white."""
  channels = 1 if image.mode in _GREY_MODES else 3
  key = image.info.get("transparency")
  if samples in ("1", "L;2", "L;4") and isinstance(key, int):
    # The key has the few bits of the file, but Pillow's pixels go up to 255.
    image = image.convert("L")
    bits = int(samples[-1])
    image.info["transparency"] = key * 255 // (2**bits - 1)
  if key is not None or image.mode in ("LA", "PA", "RGBA", "La"):
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    image = Image.alpha_composite(white, image)
  return np.asarray(image.convert("L" if channels == 1 else "RGB"))


def _orientation(image):
  """Returns the orientation by Exif or XMP, 1 to 8; 1 if it has none."""
  # The method of PNG images would decode them first, to find late chunks.
  with contextlib.suppress(Exception):  # Viewers ignore broken Exif, too.
    found = Image.Image.getexif(image).get(_ORIENTATION, 1)
    return found if found in range(1, 9) else 1
  return 1


def _orientation_ahead(image, name):
  """Returns the orientation before the pixels are decoded."""
  if image.format == "PNG" and png_chunks.has_late_text(image.fp):
    try:
      image.load()
    except Exception as error:
      raise DataError(f"{name} does not decode: {_first_line(error)}") from None
  return _orientation(image)


def _first_line(error):
  lines = str(error).splitlines()
  return lines[0] if lines else type(error).__name__
