"""Random access to TFRecord files, without TensorFlow and without a copy.

A record consists of its length (8 bytes, little-endian), 4 bytes of checksum,
the data, and 4 bytes of checksum, as in
https://www.tensorflow.org/tutorials/load_data/tfrecord
"""

import mmap
import os
import struct
from collections.abc import Sequence

import numpy as np

from vqvae_jax.errors import DataError

_HEADER, _FOOTER = 12, 4


class TFRecords(Sequence[bytes]):
  """The records of several files, one file after the other.

  At first only the lengths are read, which takes about a microsecond for each
  record. Checksums are not read, because a damaged image does not decode.

  Args:
    paths: paths of the files.
    lengths: number of records that each file should have.

  Raises:
    DataError: if a file is missing, or does not have its number of records.
  """

  def __init__(
    self, paths: Sequence[str | os.PathLike], lengths: Sequence[int]
  ):
    self._files = []
    self._offsets = []
    for path, length in zip(paths, lengths, strict=True):
      data = _map(path)
      offsets = _offsets(data)
      if offsets is None or len(offsets) != length:
        found = "a broken record" if offsets is None else f"{len(offsets)}"
        raise DataError(
          f"{os.fspath(path)} should have {length} records but has {found}; "
          "delete its folder and prepare the set again"
        )
      self._files.append(data)
      self._offsets.append(np.asarray(offsets, np.int64))
    self._ends = np.cumsum([len(offsets) for offsets in self._offsets])

  def __len__(self) -> int:
    return int(self._ends[-1]) if len(self._ends) else 0

  def __getitem__(self, index: int) -> bytes:
    file = int(np.searchsorted(self._ends, index, side="right"))
    place = index - (self._ends[file] - len(self._offsets[file]))
    data, start = self._files[file], int(self._offsets[file][place])
    (length,) = struct.unpack_from("<Q", data, start)
    return bytes(data[start + _HEADER : start + _HEADER + length])

  def __getitems__(self, indices: Sequence[int]) -> list[bytes]:
    return [self[index] for index in indices]


def _map(path):
  try:
    with open(path, "rb") as file:
      if os.fstat(file.fileno()).st_size == 0:  # Which mmap refuses.
        return b""
      return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
  except OSError as error:
    raise DataError(
      f"{os.fspath(path)} cannot be read: {error.strerror}"
    ) from None


def _offsets(data):
  """Returns where each record starts, or None if the last is incomplete."""
  offsets, place, end = [], 0, len(data)
  while place + _HEADER <= end:
    offsets.append(place)
    (length,) = struct.unpack_from("<Q", data, place)
    place += _HEADER + length + _FOOTER
  return offsets if place == end else None
