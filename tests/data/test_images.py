"""Decoding and fitting, against pixels known beforehand."""

import io
import struct
import zlib

import numpy as np
import pytest
from pictures import random_image
from PIL import Image

from vqvae_jax.data import images
from vqvae_jax.errors import DataError


def encoded(picture, kind="PNG", **options):
  stream = io.BytesIO()
  picture.save(stream, kind, **options)
  return stream.getvalue()


def test_grey_and_rgb_png_come_back_exactly():
  for channels in (1, 3):
    image = random_image(0, 5, 7, channels)
    picture = Image.fromarray(image[..., 0] if channels == 1 else image)
    data = encoded(picture)
    assert images.read_shape(data, "x") == (5, 7, channels)
    np.testing.assert_array_equal(images.decode(data, "x"), image)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_jpeg_and_webp_decode(kind):
  picture = Image.new("RGB", (6, 4), (200, 100, 50))
  image = images.decode(encoded(picture, kind, quality=95), "x")
  assert image.shape == (4, 6, 3)
  assert np.abs(image - np.array([200, 100, 50])).max() <= 4


def test_sixteen_bits_keep_the_upper_eight():
  high = np.arange(256, dtype=np.uint16).reshape(16, 16)
  values = high * 256 + (255 - high)
  image = images.decode(encoded(Image.fromarray(values)), "x")
  np.testing.assert_array_equal(image[..., 0], values)
  image = images.to_uint8(image)
  np.testing.assert_array_equal(image[..., 0].ravel(), np.arange(256))


def test_transparent_pixels_lie_on_white():
  picture = Image.new("RGBA", (2, 1), (10, 20, 30, 255))
  picture.putpixel((1, 0), (10, 20, 30, 0))
  image = images.decode(encoded(picture), "x")
  assert image.tolist() == [[[10, 20, 30], [255, 255, 255]]]


def test_a_palette_becomes_its_colours():
  picture = Image.new("P", (1, 1), 3)
  palette = [0] * 768
  palette[9:12] = 40, 50, 60
  picture.putpalette(palette)
  assert images.decode(encoded(picture), "x").tolist() == [[[40, 50, 60]]]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_rotation_is_undone_in_shape_and_pixels(kind):
  picture = Image.new("L", (16, 8), 0)
  picture.paste(255, (0, 0, 8, 8))
  exif = Image.Exif()
  exif[0x0112] = 6  # To be turned clockwise by a quarter.
  data = encoded(picture, kind, exif=exif)
  assert images.read_shape(data, "x")[:2] == (16, 8)
  image = images.decode(data, "x")
  assert image.shape[:2] == (16, 8)
  assert image[:6].min() > 240
  assert image[10:].max() < 15


def test_other_formats_are_not_decoded():
  data = encoded(Image.new("L", (2, 2)), "BMP")
  with pytest.raises(DataError, match="^a.png is no PNG, JPEG or WebP"):
    images.read_shape(data, "a.png")


def test_a_truncated_file_is_named():
  data = encoded(Image.fromarray(random_image(0, 64, 64, 3)))
  assert images.read_shape(data[:2000], "x") == (64, 64, 3)
  with pytest.raises(DataError, match="^cat/1.png does not decode"):
    images.decode(data[:2000], "cat/1.png")


@pytest.mark.parametrize("side", [9_000, 100_000])
def test_a_bomb_is_refused_by_its_header(side):
  def chunk(kind, data):
    checked = kind + data
    return (
      struct.pack(">I", len(data))
      + checked
      + struct.pack(">I", zlib.crc32(checked))
    )

  header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
  bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"")
  for read in (images.read_shape, images.decode):
    with pytest.raises(DataError, match=r"^b.png declares .* 64 megapixels"):
      read(bomb, "b.png")


def test_luma_weights_follow_bt601():
  image = np.eye(3, dtype=np.uint8).reshape(1, 3, 3) * 255
  grey = images.fit(image, 1, None)
  np.testing.assert_allclose(
    grey.ravel(), np.array([0.299, 0.587, 0.114]) * 255, atol=1
  )
  rgb = images.fit(grey, 3, None)
  np.testing.assert_array_equal(rgb, np.repeat(grey, 3, axis=-1))


def test_fit_crops_the_centre_of_the_longer_side():
  image = np.zeros((10, 30, 1), np.uint8)
  image[:, 10:20] = 200
  np.testing.assert_array_equal(images.fit(image, 1, 10), image[:, 10:20])
  np.testing.assert_array_equal(
    images.fit(image.transpose(1, 0, 2), 1, 10), image[:, 10:20]
  )


def test_fit_is_antialiased():
  # A checkerboard of single pixels is grey from afar; nearest or plain
  # bilinear sampling would give black or white.
  board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)[..., None]
  small = images.fit(board, 1, 8)
  assert np.abs(small[1:-1, 1:-1].astype(int) - 127).max() <= 3


def test_fit_never_makes_a_picture_larger_than_asked():
  ribbon = np.zeros((1, 60_000, 1), np.uint8)
  assert images.fit(ribbon, 1, 64).shape == (64, 64, 1)
