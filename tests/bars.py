"""Tiny tasks on images of bright bars, for tests of what they learn."""

import jax
import jax.numpy as jnp
import numpy as np

from vqvae_jax.config import Config, PriorConfig, TokenizerConfig
from vqvae_jax.data import DataSpec
from vqvae_jax.generators.vqvae import prior
from vqvae_jax.generators.vqvae.tokenizer import TokenizerTask

CODES = 24
DECAY = 0.8
STAGE = {"learning_rate": 3e-3, "warmup_steps": 3, "steps": 30}
TOKENIZER = TokenizerConfig(
  codebook_size=CODES,
  code_dim=4,
  stride=2,
  hidden=6,
  residual_layers=1,
  residual_hidden=4,
  codebook_ema=DECAY,
  # High, so that many codes are revived.
  revive_below=0.3,
  **STAGE,
)
PRIOR = PriorConfig(
  layers=1, width=8, heads=2, dropout=0.3, label_dropout=0.0, **STAGE
)
SPEC = DataSpec(
  name="bars",
  image_shape=(8, 8, 1),
  class_names=("a", "b", "c"),
  class_counts=(10, 10, 10),
  num_train=30,
  num_validation=6,
  variance=0.05,
  augment="none",
  digest="",
)


def draw_batch(seed, size=16):
  """Bright bars, one place for each of three classes."""
  rng = np.random.default_rng(seed)
  labels = rng.integers(0, 3, size).astype(np.int32)
  images = rng.integers(0, 90, (size, 8, 8, 1))
  for image, label in zip(images, labels, strict=True):
    image[2 * label : 2 * label + 2] += 150
  return {"image": images.astype(np.uint8), "label": labels}


def tokenizer_task(config=TOKENIZER, spec=SPEC, dtype=None):
  return TokenizerTask(Config(tokenizer=config), spec, dtype)


def prior_task(spec=SPEC, dtype=None, config=PRIOR):
  tokenizer = tokenizer_task(dtype=dtype).init(
    jax.random.key(0), jax.tree.map(jnp.asarray, draw_batch(99))
  )
  config = Config(tokenizer=TOKENIZER, prior=config)
  return prior.prior_task(config, spec, tokenizer, dtype)
