"""Batches of a split: shuffled without end, or once in order.

The training iterator is a Grain chain over numbers of batches: its state is
one number, which Orbax saves with the model, and after a restart it continues
with the next batch.
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
  """Returns endless batches, in a new order in every epoch.

  Global batch n depends on the split, `batch_size`, `seed` and n alone; each
  process gets its own consecutive images of it. A batch may span two epochs,
  so a split smaller than a batch works.

  Args:
    split: images to draw from.
    batch_size: number of images of the global batch.
    seed: seed of the order.
    process_index: index of this process.
    process_count: number of processes that share the global batch.

  Returns:
    An iterator over dicts with `image` uint8 [batch_size / process_count, h,
    w, c] and `label` int32; it has `get_state` and `set_state`.

  Raises:
    ConfigError: if the processes cannot divide the batch evenly.
  """
  if batch_size % process_count:
    raise ConfigError(
      f"batch_size {batch_size} is not divisible by the {process_count} "
      "processes"
    )
  count, share = len(split), batch_size // process_count

  @functools.lru_cache(maxsize=4)
  def order(epoch):
    return permutation(count, seed, epoch)

  def read(batch):
    first = batch * batch_size + process_index * share
    epochs, places = np.divmod(np.arange(first, first + share), count)
    indices = [
      order(epoch)[places[epochs == epoch]]
      for epoch in np.unique(epochs).tolist()
    ]
    return split.gather(np.concatenate(indices))

  # Grain counts batches, not images: 20 us for each image would add up to more
  # than a step of a fast accelerator.
  chain = grain.MapDataset.range(_ENDLESS).map(read)
  # Images in memory are gathered faster than a thread hands them over; files
  # are read ahead.
  threads = 0 if split.images is not None else 8
  options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads)
  return iter(chain.to_iter_dataset(options))


def eval_batches(
  split: Split,
  batch_size: int,
  process_index: int = 0,
  process_count: int = 1,
) -> Iterator[dict[str, np.ndarray]]:
  """Yields the whole split once, in order.

  Args:
    split: images to go through.
    batch_size: number of images of the global batch.
    process_index: index of this process.
    process_count: number of processes that share the global batch.

  Yields:
    Dicts with `image` uint8 [batch_size / process_count, h, w, c], `label`
    int32 and `mask` float32: 1 for images of the split, 0 for the padding of
    the last batch, which repeats the last image.
  """
  share = batch_size // process_count
  for start in range(0, len(split), batch_size):
    places = start + process_index * share + np.arange(share)
    batch = split.gather(np.minimum(places, len(split) - 1))
    batch["mask"] = (places < len(split)).astype(np.float32)
    yield batch
