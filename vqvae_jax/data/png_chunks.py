"""Checks of the chunks of PNG files that Pillow does not make."""

import struct
import zlib
from io import BufferedIOBase

# Kinds of chunks that may hold an orientation.
_TEXTS = (b"eXIf", b"tEXt", b"zTXt", b"iTXt")


def has_late_text(stream: BufferedIOBase) -> bool:
  """Returns whether chunks after the pixels may hold an orientation."""
  kinds = [kind for kind, _ in _chunks(stream)]
  after = kinds[kinds.index(b"IDAT") :] if b"IDAT" in kinds else []
  return not set(_TEXTS).isdisjoint(after)


def check_sums(stream: BufferedIOBase) -> None:
  """Compares the pixels with their checksums.

  Raises:
    ValueError: if they differ.
  """
  for kind, length in _chunks(stream):
    if kind == b"IDAT":
      content = stream.read(length)
      if zlib.crc32(kind + content) != int.from_bytes(stream.read(4), "big"):
        raise ValueError("its pixels do not match their checksum")


def _chunks(stream):
  """Yields the kind and length of each chunk of a PNG."""
  before = stream.tell()
  start = 8
  while stream.seek(start) and len(head := stream.read(8)) == 8:
    length, kind = struct.unpack(">I4s", head)
    yield kind, length
    start += length + 12
  stream.seek(before)
