"""Digests of arrays, and the item of a checkpoint that holds them."""

import hashlib
from collections.abc import Awaitable

import jax
import numpy as np
from jaxtyping import PyTree

from vqvae_jax.files import pretty_json

FILE = "digests.json"
FIELDS = ("step", "built_upon", "items", "layouts")


class Digests:
  """The item with the digests of the other items, for Orbax to save.

  The arrays are copied before the training continues; their digests are
  computed while Orbax writes them.
  """

  def __init__(self, step: int, items: PyTree, built_upon: str | None):
    self._step = step
    self._items = items
    self._built_upon = built_upon

  async def save(self, directory) -> Awaitable[None]:
    # All arrays are replicated, so process 0 has all of them.
    if jax.process_index():
      return _nothing()
    return self._write(directory, jax.tree.map(np.array, self._items))

  async def load(self, directory) -> Awaitable[None]:
    del directory
    raise NotImplementedError("digests are read as JSON")

  async def _write(self, directory, items):
    values = {
      "step": self._step,
      "built_upon": self._built_upon,
      "items": {name: digest(item) for name, item in items.items()},
      "layouts": {name: layout(item) for name, item in items.items()},
    }
    folder = await directory.await_creation()
    (folder / FILE).write_bytes(pretty_json(values))


async def _nothing():
  pass


def digest(tree: PyTree) -> str:
  """Returns a hex digest of a tree: names, dtypes, shapes and bytes of arrays.

  Equal arrays have equal digests wherever they are stored. The files of a
  checkpoint do not, since Orbax names some of them at random.
  """
  sha = hashlib.sha256()
  for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
    array = np.asarray(leaf)
    sha.update(_line(path, array).encode())
    sha.update(np.ascontiguousarray(array).tobytes())
  return sha.hexdigest()[:32]


def layout(tree: PyTree) -> str:
  """Returns a hex digest of the names, dtypes and shapes of a tree's arrays."""
  sha = hashlib.sha256()
  for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
    leaf = leaf if hasattr(leaf, "dtype") else np.asarray(leaf)
    sha.update(_line(path, leaf).encode())
  return sha.hexdigest()[:32]


def _line(path, array):
  return f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}"
