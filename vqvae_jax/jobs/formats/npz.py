"""Shards as NumPy archives."""

import math
import zipfile
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from etils import epath

from vqvae_jax.files import PARTIAL
from vqvae_jax.jobs.formats.base import Images, Labels, OneFile
from vqvae_jax.jobs.shards import Shard


class NpzFiles(OneFile):
  """`<number>-of-<shards>.npz`: images uint8 [n, h, w, c], labels int32 [n]."""

  loading = (
    "import glob, numpy as np",
    "shards = [np.load(path) for path in sorted(glob.glob('*-of-*.npz'))]",
    "images = np.concatenate([shard['images'] for shard in shards])",
    "labels = np.concatenate([shard['labels'] for shard in shards])",
  )

  @classmethod
  def least_bytes(cls, shape: Sequence[int]) -> float:
    """Returns how many bytes an image of this shape needs at least."""
    return math.prod(shape)

  def path(self, number: int) -> epath.Path:
    """Returns the path of the file of a shard."""
    return self._out / f"{number:05d}-of-{self._num_shards:05d}.npz"

  def write(
    self, shard: Shard, labels: Labels, blocks: Iterable[Images]
  ) -> None:
    """Writes the file; only a block of its images is in memory at a time."""
    path = self.path(shard.number)
    partial = path.with_name(path.name + PARTIAL)
    with partial.open("wb") as file, zipfile.ZipFile(file, "w") as archive:
      with archive.open(_member("labels.npy"), "w") as member:
        np.save(member, np.asarray(labels, np.int32), allow_pickle=False)
      info = _member("images.npy")
      with archive.open(info, "w", force_zip64=True) as member:
        header = {
          "descr": "|u1",
          "fortran_order": False,
          "shape": (shard.count, *self._shape),
        }
        np.lib.format.write_array_header_1_0(member, header)
        for images in blocks:
          member.write(np.ascontiguousarray(images).data)
    partial.replace(path)

  def read(self, shard: Shard, labels: Labels) -> Iterator[Images]:
    """Yields all images at once."""
    with (
      self.path(shard.number).open("rb") as file,
      np.load(file, allow_pickle=False) as arrays,
    ):
      if not np.array_equal(arrays["labels"], labels):
        raise ValueError("the labels are not those of the record")
      yield arrays["images"]


def _member(name):
  # The date is fixed, so that equal shards are equal files.
  return zipfile.ZipInfo(name)
