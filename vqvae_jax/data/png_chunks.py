"""What Pillow does not tell of a PNG file, from its chunks alone."""

import struct
import zlib
from typing import BinaryIO

# Kinds of chunks from which Pillow takes an orientation.
_TELLING = (b"eXIf", b"tEXt", b"zTXt", b"iTXt")


def has_late_text(stream: BinaryIO) -> bool:
  """Whether chunks after the first pixels may tell an orientation."""
  kinds = [kind for kind, _ in _chunks(stream)]
  after = kinds[kinds.index(b"IDAT") :] if b"IDAT" in kinds else []
  return not set(_TELLING).isdisjoint(after)


def check_sums(stream: BinaryIO):
  """Compares the pixels with their checksums, as Pillow does not.

  Raises:
    ValueError: if they differ.
  """
  for kind, length in _chunks(stream):
    if kind == b"IDAT":
      content = stream.read(length)
      if zlib.crc32(kind + content) != int.from_bytes(stream.read(4), "big"):
        raise ValueError("its pixels do not match their checksum")


def _chunks(stream):
  """Kind and length of each chunk of a PNG; none is read."""
  place = stream.tell()
  start = 8
  while stream.seek(start) and len(head := stream.read(8)) == 8:
    length, kind = struct.unpack(">I4s", head)
    yield kind, length
    start += length + 12
  stream.seek(place)
