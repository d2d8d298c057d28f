"""A tiny data set and the smallest run on it, for tests of whole commands."""

import dataclasses
import io
import json
import pathlib

import numpy as np
from orbax.checkpoint import v1 as ocp
from rich.console import Console

from vqvae_jax.config import (
  Config,
  PriorConfig,
  SampleConfig,
  TokenizerConfig,
)
from vqvae_jax.jobs import generate
from vqvae_jax.runs import train
from vqvae_jax.training import checkpoints
from vqvae_jax.training.digests import digest

CLASSES = 3


def write_npz(path: pathlib.Path, count: int = 90, size: int = 8) -> str:
  """Bright bars, one place for each of three classes; the --dataset of it."""
  rng = np.random.default_rng(0)
  labels = np.arange(count) % CLASSES
  images = rng.integers(0, 60, (count, size, size, 1))
  for n, label in enumerate(labels):
    start = 2 * label + rng.integers(2)
    images[n, start : start + 2] += 150
  np.savez(path, images=images.astype(np.uint8), labels=labels)
  return f"npz:{path}"


def config(dataset: str, workdir: pathlib.Path, **changes) -> Config:
  """Twice 12 steps, a checkpoint every 5, an evaluation every 4."""
  stage = {
    "steps": 12,
    "learning_rate": 3e-3,
    "warmup_steps": 2,
    "log_every": 1,
    "eval_every": 4,
    "checkpoint_every": 5,
  }
  base = Config(
    dataset=dataset,
    workdir=str(workdir),
    batch_size=16,
    tokenizer=TokenizerConfig(
      codebook_size=16,
      code_dim=4,
      hidden=8,
      residual_layers=1,
      residual_hidden=4,
      **stage,
    ),
    prior=PriorConfig(layers=1, width=8, heads=2, **stage),
  )
  return dataclasses.replace(base, **changes)


def run(config: Config) -> str:
  """Trains, and returns what the screen showed."""
  console = Console(file=io.StringIO(), width=200)
  train(config, console)
  return console.file.getvalue()


def sample(config: SampleConfig) -> str:
  """Runs a batch job, and returns what the screen showed."""
  console = Console(file=io.StringIO(), width=200)
  generate(config, console)
  return console.file.getvalue()


def read_metrics(folder) -> list[dict]:
  lines = (pathlib.Path(folder) / "metrics.jsonl").read_text().splitlines()
  return [json.loads(line) for line in lines]


def state_digest(folder, stage: str) -> str:
  """Of every array and of the data position in the newest checkpoint."""
  directory = pathlib.Path(folder) / stage
  step = checkpoints.latest_step(directory)
  directory = directory / str(step)
  arrays = {
    item: ocp.load(directory, checkpointable_name=item)
    for item in ("model", "training", "data")
  }
  assert arrays["data"]["next_index"] == step
  return f"{step} {digest(arrays)}"
