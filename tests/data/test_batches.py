"""The order of batches, its restart, and the one pass of an evaluation."""

import numpy as np
import pytest
from pictures import class_folders

from vqvae_jax.config import Config
from vqvae_jax.data import eval_batches, load_data, make_train_iterator
from vqvae_jax.errors import ConfigError


def numbered(tmp_path, count):
  """A split of `count` images that hold their own number."""
  images = np.arange(count, dtype=np.uint8)[:, None, None]
  images = np.broadcast_to(images, (count, 4, 4))
  path = tmp_path / "numbered.npz"
  np.savez(
    path,
    train_images=images,
    train_labels=np.arange(count) % 2,
    val_images=images,
    val_labels=np.arange(count) % 2,
    test_images=images,
    test_labels=np.arange(count) % 2,
  )
  return load_data(Config(dataset=f"npz:{path}"))["train"]


def numbers(batch):
  assert batch["image"].dtype == np.uint8
  assert batch["label"].dtype == np.int32
  found = batch["image"][:, 0, 0, 0]
  np.testing.assert_array_equal(batch["label"], found % 2)
  return found.tolist()


def take(iterator, count):
  return [numbers(next(iterator)) for _ in range(count)]


def test_every_epoch_has_every_image_once_in_a_new_order(tmp_path):
  split = numbered(tmp_path, 12)
  # 9 batches of 4 are 3 epochs of 12.
  seen = np.concatenate(take(make_train_iterator(split, 4, seed=0), 9))
  epochs = seen.reshape(3, 12)
  for epoch in epochs:
    assert sorted(epoch) == list(range(12))
  assert not np.array_equal(epochs[0], epochs[1])
  assert not np.array_equal(epochs[0], np.arange(12))


def test_a_batch_may_span_epochs_and_exceed_the_split(tmp_path):
  split = numbered(tmp_path, 6)
  seen = np.concatenate(take(make_train_iterator(split, 10, seed=0), 3))
  for epoch in seen.reshape(5, 6):
    assert sorted(epoch) == list(range(6))


def test_the_order_depends_on_the_seed_alone(tmp_path):
  split = numbered(tmp_path, 50)
  first = take(make_train_iterator(split, 10, seed=1), 5)
  assert take(make_train_iterator(split, 10, seed=1), 5) == first
  assert take(make_train_iterator(split, 10, seed=2), 5) != first


def test_processes_share_the_same_global_batches(tmp_path):
  split = numbered(tmp_path, 10)
  whole = take(make_train_iterator(split, 8, seed=0), 6)
  parts = [
    take(make_train_iterator(split, 8, 0, process, 4), 6)
    for process in range(4)
  ]
  assert [sum(rows, []) for rows in zip(*parts, strict=True)] == whole


def test_processes_must_divide_the_batch(tmp_path):
  with pytest.raises(ConfigError, match="9 is not divisible by the 2"):
    make_train_iterator(numbered(tmp_path, 10), 9, 0, 0, 2)


@pytest.mark.parametrize("in_memory", [True, False])
def test_orbax_brings_the_iterator_back_to_its_place(
  tmp_path, monkeypatch, in_memory
):
  from orbax.checkpoint import v1 as ocp

  if not in_memory:
    monkeypatch.setattr("vqvae_jax.data.split.MAX_MEMORY_BYTES", 0)
  class_folders(tmp_path / "set", count=10)
  split = load_data(Config(dataset=f"folder:{tmp_path / 'set'}"))["train"]
  assert (split.images is not None) == in_memory
  iterator = make_train_iterator(split, 5, seed=0)
  for _ in range(7):
    next(iterator)
  ocp.save_checkpointables(tmp_path / "saved", {"data": iterator})
  expected = [next(iterator) for _ in range(4)]
  fresh = make_train_iterator(split, 5, seed=0)
  ocp.load_checkpointables(tmp_path / "saved", {"data": fresh})
  for batch in expected:
    for name, values in next(fresh).items():
      np.testing.assert_array_equal(values, batch[name])


def test_evaluation_sees_each_image_once_in_order(tmp_path):
  split = numbered(tmp_path, 10)
  batches = list(eval_batches(split, 4))
  assert [numbers(batch) for batch in batches] == [
    [0, 1, 2, 3],
    [4, 5, 6, 7],
    [8, 9, 9, 9],
  ]
  masks = [batch["mask"].tolist() for batch in batches]
  assert masks == [[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 0, 0]]
  assert batches[0]["mask"].dtype == np.float32
  assert len(list(eval_batches(split, 5))) == 2
