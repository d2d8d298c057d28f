"""Images: sources, splits, batches, augmentation."""

from vqvae_jax.data.augment import augment, resolve_augment
from vqvae_jax.data.batches import eval_batches, make_train_iterator
from vqvae_jax.data.load import Data, check_test_split, load_data
from vqvae_jax.data.spec import DataSpec
from vqvae_jax.data.split import Split

__all__ = [
  "Data",
  "DataSpec",
  "Split",
  "augment",
  "check_test_split",
  "eval_batches",
  "load_data",
  "make_train_iterator",
  "resolve_augment",
]
