"""Turned photos: header and pixels agree, wherever the file tells the turn."""

import io
import struct
import zlib

import numpy as np
import pytest
from pictures import chunk
from PIL import Image

from vqvae_jax.data import images

# A picture in which every turn can be told: light at the left, dark below.
UPRIGHT = np.full((12, 20), 120, np.uint8)
UPRIGHT[:, :6] = 255
UPRIGHT[8:] = 0
# What a camera stores, so that the turn of that number brings it upright.
# By the words of Exif: where row 0 and column 0 of the file belong.
STORED = {
  1: UPRIGHT,
  2: UPRIGHT[:, ::-1],
  3: np.rot90(UPRIGHT, 2),
  4: UPRIGHT[::-1],
  5: UPRIGHT.T,
  6: np.rot90(UPRIGHT),
  7: np.rot90(UPRIGHT, 2).T,
  8: np.rot90(UPRIGHT, -1),
}


def exif(turn):
  found = Image.Exif()
  found[0x0112] = turn
  return found.tobytes()


def xmp(turn, element=False):
  told = (
    f"<tiff:Orientation>{turn}</tiff:Orientation>"
    if element
    else f'<rdf:Description tiff:Orientation="{turn}"/>'
  )
  return f"<x:xmpmeta>{told}</x:xmpmeta>".encode()


def raw_profile(turn):
  """As ImageMagick writes Exif into a PNG."""
  content = exif(turn)
  return f"\nexif\n{len(content):8}\n{content.hex()}\n".encode()


PNG_CHUNKS = {
  "eXIf": lambda turn: chunk(b"eXIf", exif(turn)[6:]),
  "tEXt": lambda turn: chunk(
    b"tEXt", b"Raw profile type exif\0" + raw_profile(turn)
  ),
  "zTXt": lambda turn: chunk(
    b"zTXt",
    b"Raw profile type exif\0\0" + zlib.compress(raw_profile(turn)),
  ),
  "iTXt": lambda turn: chunk(
    b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(turn)
  ),
  "iTXt element": lambda turn: chunk(
    b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(turn, True)
  ),
}


def encode(turn, kind, place):
  stream = io.BytesIO()
  picture = Image.fromarray(np.ascontiguousarray(STORED[turn]))
  if kind != "PNG":
    options = {
      "exif": {"exif": exif(turn)},
      "xmp": {"xmp": xmp(turn)},
      "xmp element": {"xmp": xmp(turn, True)},
    }[place]
    picture.save(stream, kind, quality=95, **options)
    return stream.getvalue()
  picture.save(stream, kind)
  data = stream.getvalue()
  name, _, where = place.partition(", ")
  position = data.index(b"IDAT" if where == "before" else b"IEND") - 4
  return data[:position] + PNG_CHUNKS[name](turn) + data[position:]


PLACES = [
  (kind, place)
  for kind in ("JPEG", "WEBP")
  for place in ("exif", "xmp", "xmp element")
] + [
  ("PNG", f"{name}, {where}")
  for name in PNG_CHUNKS
  for where in ("before", "after")
]


@pytest.mark.parametrize(("kind", "place"), PLACES)
def test_eight_orientations_are_upright_in_header_and_pixels(kind, place):
  for turn in range(1, 9):
    data = encode(turn, kind, place)
    image = images.decode(data, "x")
    assert images.read_shape(data, "x") == image.shape, turn
    assert image.shape[:2] == UPRIGHT.shape, turn
    difference = np.abs(image[..., 0].astype(int) - UPRIGHT)
    if kind == "PNG":
      assert difference.max() == 0, turn
    else:  # Edges are blurred by the compression.
      assert difference.mean() < 12, turn


def test_16_bits_are_turned_too():
  values = np.arange(240, dtype=np.uint16).reshape(12, 20) * 17
  stream = io.BytesIO()
  found = Image.Exif()
  found[0x0112] = 6
  Image.fromarray(values).save(stream, "PNG", exif=found)
  image = images.decode(stream.getvalue(), "x")
  assert images.read_shape(stream.getvalue(), "x") == image.shape == (20, 12, 1)
  np.testing.assert_array_equal(image[..., 0], np.rot90(values, -1))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize(
  "content",
  [
    b"Exif\0\0garbage",
    exif(6)[:-9],
    b"Exif\0\0MM\0*\xff\xff\xff\xff",
    exif(6).replace(struct.pack(">H", 6), struct.pack(">H", 9)),
    exif(0),
  ],
)
def test_exif_that_tells_no_turn_turns_nothing(kind, content):
  stream = io.BytesIO()
  Image.fromarray(UPRIGHT).save(stream, kind, exif=content)
  data = stream.getvalue()
  image = images.decode(data, "x")
  assert images.read_shape(data, "x") == image.shape
  assert image.shape[:2] in ((12, 20), (20, 12))


def test_the_header_of_a_png_is_read_without_its_pixels(monkeypatch):
  stream = io.BytesIO()
  Image.fromarray(UPRIGHT).save(stream, "PNG")
  monkeypatch.setattr(
    Image.Image, "load", lambda self: pytest.fail("it was decoded")
  )
  monkeypatch.setattr(
    "PIL.PngImagePlugin.PngImageFile.load",
    lambda self: pytest.fail("it was decoded"),
  )
  assert images.read_shape(stream.getvalue(), "x") == (12, 20, 1)
