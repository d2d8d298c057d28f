"""Batches of a split: shuffled for ever, or once in order.

The training iterator is a Grain chain over positions: its state is one
number, which Orbax saves with the model, and after a restart it goes on with
the very next batch.
"""

import functools
from collections.abc import Iterator

import grain
import numpy as np

from vqvae_jax.data.split import Split
from vqvae_jax.draws import permutation
from vqvae_jax.errors import ConfigError

_ENDLESS = 2**40


def make_train_iterator(
  split: Split,
  batch_size: int,
  seed: int,
  process_index: int = 0,
  process_count: int = 1,
) -> grain.DatasetIterator:
  """Endless batches, a new order in every epoch.

  Global batch n depends on the split, `batch_size`, `seed` and n alone; each
  process gets its own consecutive rows of it. A batch may span two epochs, so
  a split smaller than a batch works.

  Args:
    split: to draw from.
    batch_size: of the global batch.
    seed: of the order.
    process_index: of this process.
    process_count: processes that share the global batch.

  Returns:
    An iterator with `get_state` and `set_state`, of dicts with `image` uint8
    [batch_size / process_count, h, w, c] and `label` int32.

  Raises:
    ConfigError: if the processes cannot divide the batch evenly.
  """
  if batch_size % process_count:
    raise ConfigError(
      f"batch_size {batch_size} is not divisible by the {process_count} "
      "processes"
    )
  count, rows = len(split), batch_size // process_count

  @functools.lru_cache(maxsize=4)
  def order(epoch):
    return permutation(count, seed, epoch)

  def read(batch):
    first = batch * batch_size + process_index * rows
    epochs, places = np.divmod(np.arange(first, first + rows), count)
    indices = [order(e)[places[epochs == e]] for e in np.unique(epochs)]
    return split.gather(np.concatenate(indices))

  # Grain counts batches, not images: its cost per item, some 20 us, would add
  # up to more than a fast accelerator's step.
  chain = grain.MapDataset.range(_ENDLESS).map(read)
  # Rows in memory cost less than a thread's attention; files are read ahead.
  threads = 0 if split.images is not None else 8
  options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads)
  return iter(chain.to_iter_dataset(options))


def eval_batches(
  split: Split,
  batch_size: int,
  process_index: int = 0,
  process_count: int = 1,
) -> Iterator[dict[str, np.ndarray]]:
  """The whole split once, in order.

  Args:
    split: to go through.
    batch_size: of the global batch.
    process_index: of this process.
    process_count: processes that share the global batch.

  Yields:
    Dicts with `image` uint8 [batch_size / process_count, h, w, c], `label`
    int32 and `mask` float32: 1 for real rows, 0 for the padding of the last
    batch, which repeats the split's last image.
  """
  rows = batch_size // process_count
  for start in range(0, len(split), batch_size):
    places = start + process_index * rows + np.arange(rows)
    batch = split.gather(np.minimum(places, len(split) - 1))
    batch["mask"] = (places < len(split)).astype(np.float32)
    yield batch
