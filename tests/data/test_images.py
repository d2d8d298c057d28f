"""Decoding and fitting, against pixels known beforehand."""

import io
import struct

import numpy as np
import pytest
from pictures import chunk, png, random_image
from PIL import Image, ImageCms

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
  for other in (data, b"", b"text"):
    with pytest.raises(DataError, match="^a.png is not a PNG.*move it away$"):
      images.read_shape(other, "a.png")


def test_a_truncated_file_is_named():
  data = encoded(Image.fromarray(random_image(0, 64, 64, 3)))
  assert images.read_shape(data[:2000], "x") == (64, 64, 3)
  with pytest.raises(DataError, match="^cat/1.png does not decode"):
    images.decode(data[:2000], "cat/1.png")


@pytest.mark.parametrize("side", [9_000, 100_000])
def test_a_bomb_is_refused_by_its_header(side):
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


SMOOTH = np.add.outer(np.arange(48) * 3, np.arange(64) * 2).astype(np.uint8)
KINDS = {
  "PNG": {},
  "JPEG": {"quality": 90},
  "progressive JPEG": {"quality": 90, "progressive": True},
  "WEBP": {"quality": 90},
  "lossless WEBP": {"lossless": True},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_was_cut_anywhere_is_no_half_grey_picture(kind):
  picture = Image.fromarray(np.stack([SMOOTH, 255 - SMOOTH, SMOOTH], -1))
  data = encoded(picture, kind.split()[-1], **KINDS[kind])
  whole = images.decode(data, "x")
  refused = 0
  for cut in np.linspace(1, len(data) - 1, 200).astype(int):
    try:
      image = images.decode(data[:cut], "cat/1.png")
    except DataError as error:
      assert str(error).startswith("cat/1.png ")
      assert "\n" not in str(error)
      refused += cut < 0.9 * len(data)
    else:  # Only what comes after the pixels is missing.
      np.testing.assert_array_equal(image, whole)
  assert refused >= 175


@pytest.mark.parametrize("depth", [8, 16])
def test_a_changed_byte_of_a_png_is_noticed(depth):
  # Of this size, Pillow alone misses changes near the end.
  rng = np.random.default_rng(0)
  coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8))
  picture = coarse.resize((64, 48), Image.Resampling.BICUBIC)
  if depth == 16:
    values = rng.integers(0, 4096, (48, 64)).astype(np.uint16)
    picture = Image.fromarray(values)
  data = encoded(picture)
  whole = images.decode(data, "x")
  for place in [*range(60), *range(len(data) * 4 // 5, len(data))]:
    changed = bytearray(data)
    changed[place] ^= 0x55
    try:
      image = images.decode(bytes(changed), "x")
    except DataError:
      continue
    np.testing.assert_array_equal(image, whole)


GREY, RGB, GREY_ALPHA, RGB_ALPHA = 0, 2, 4, 6


@pytest.mark.parametrize(
  ("colours", "depth"),
  [(GREY, depth) for depth in (1, 2, 4, 8, 16)]
  + [
    (kind, depth) for kind in (RGB, GREY_ALPHA, RGB_ALPHA) for depth in (8, 16)
  ],
)
def test_every_kind_of_png_has_the_right_values(colours, depth):
  channels = {GREY: 1, RGB: 3, GREY_ALPHA: 2, RGB_ALPHA: 4}[colours]
  rng = np.random.default_rng(depth)
  values = rng.integers(0, 2**depth, (9, 6, channels))
  data = png(values, colours, depth)
  decoded = images.decode(data, "x")
  image = images.to_uint8(decoded)
  assert images.read_shape(data, "x") == image.shape
  largest = 2**depth - 1
  # By the words of the PNG standard; 16 bits lose the lower 8.
  shown = values >> 8 if depth == 16 else values * 255 // largest
  if colours in (GREY_ALPHA, RGB_ALPHA):
    opacity = shown[..., -1:] / 255
    shown = np.rint(255 - opacity * (255 - shown[..., :-1]))
  assert np.abs(image - shown.astype(int)).max() <= (channels in (2, 4))
  if depth == 16 and channels in (1, 3):
    np.testing.assert_array_equal(decoded, values)


@pytest.mark.parametrize(
  ("colours", "depth"),
  [(GREY, depth) for depth in (1, 2, 4, 8, 16)] + [(RGB, 8), (RGB, 16)],
)
def test_the_one_transparent_value_of_a_png_lies_on_white(colours, depth):
  values = np.zeros((2, 3, 3 if colours == RGB else 1), int)
  values[0, 1] = key = 2**depth // 3
  told = struct.pack(f">{values.shape[-1]}H", *values[0, 1])
  data = png(values, colours, depth, extra=chunk(b"tRNS", told))
  image = images.to_uint8(images.decode(data, "x"))
  assert images.read_shape(data, "x") == image.shape
  expected = np.zeros_like(image)
  expected[values[..., :1].repeat(image.shape[-1], -1) == key] = 255
  np.testing.assert_array_equal(image, expected)


def test_a_palette_with_transparency_lies_on_white():
  for alphas in (b"\xff\x00", b"\xff\x80"):
    palette = chunk(b"PLTE", bytes([10, 20, 30, 40, 50, 60]))
    data = png(
      np.array([[[0], [1]]]), 3, 8, extra=palette + chunk(b"tRNS", alphas)
    )
    image = images.decode(data, "x")
    assert image[0, 0].tolist() == [10, 20, 30]
    opacity = alphas[1] / 255
    expected = 255 - opacity * (255 - np.array([40, 50, 60]))
    assert np.abs(image[0, 1] - expected).max() <= 1


def test_the_inks_of_a_cmyk_jpeg_are_not_inverted():
  # No ink is white; full cyan takes all red away; black ink is black.
  for inks, colour in (
    ((0, 0, 0, 0), (255, 255, 255)),
    ((255, 0, 0, 0), (0, 255, 255)),
    ((0, 255, 0, 0), (255, 0, 255)),
    ((0, 0, 0, 255), (0, 0, 0)),
  ):
    data = encoded(Image.new("CMYK", (8, 8), inks), "JPEG", quality=98)
    assert images.read_shape(data, "x") == (8, 8, 3)
    image = images.decode(data, "x").astype(int)
    assert np.abs(image - np.array(colour)).max() <= 4


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_of_an_animation_the_first_frame_is_read(kind):
  frames = [Image.new("RGB", (5, 4), (value, 0, 0)) for value in (200, 90, 10)]
  lossless = {"lossless": True} if kind == "WEBP" else {}
  data = encoded(
    frames[0], kind, save_all=True, append_images=frames[1:], **lossless
  )
  image = images.decode(data, "x")
  assert image.shape == images.read_shape(data, "x") == (4, 5, 3)
  assert np.unique(image[..., 0]).tolist() == [200]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_colour_profile_changes_no_pixel(kind):
  profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
  picture = Image.new("RGB", (8, 8), (200, 100, 50))
  plain = images.decode(encoded(picture, kind), "x")
  data = encoded(picture, kind, icc_profile=profile)
  np.testing.assert_array_equal(images.decode(data, "x"), plain)


def test_upper_bits_for_every_depth_and_ends_for_every_range():
  values = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
  for bits in range(8, 17):
    image = images.to_uint8(values, (0, 2**bits - 1)).ravel()
    inside = np.arange(2**bits)
    np.testing.assert_array_equal(image[: 2**bits], inside >> (bits - 8))
    assert np.all(image[2**bits :] == 255)
  rng = np.random.default_rng(0)
  for low, high in np.sort(rng.integers(0, 65536, (50, 2))).tolist():
    image = images.to_uint8(values, (low, high)).ravel().astype(int)
    assert image[low] == 0 and image[high] == 255
    assert np.all(np.diff(image) >= 0)
    assert np.all(image[:low] == 0) and np.all(image[high:] == 255)
    exact = (np.arange(low, high + 1) - low) / (high - low) * 255
    assert np.abs(image[low : high + 1] - exact).max() <= 1
  # 8-bit values keep out of a range of 16-bit ones.
  small = random_image(1)
  np.testing.assert_array_equal(images.to_uint8(small, (0, 4095)), small)
  dim = images.to_uint8(np.arange(17, dtype=np.uint8)[None, :, None], (0, 16))
  assert dim.ravel().tolist() == [*range(0, 256, 16), 255]
