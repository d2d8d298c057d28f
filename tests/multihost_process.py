"""One of several processes of `test_multihost.py`: trains, then samples.

python multihost_process.py DATASET FOLDER ADDRESS COUNT INDEX
"""

import dataclasses
import pathlib
import sys

import jax
import tiny

from vqvae_jax.config import Config, SampleConfig
from vqvae_jax.data.split import Split
from vqvae_jax.runs import train


def config(dataset: str, folder: pathlib.Path, **changes) -> Config:
  """By plain gradient descent: Adam would blow up what sums round off."""
  base = tiny.config(dataset, folder / "run", **changes)
  stages = {
    name: dataclasses.replace(
      getattr(base, name), steps=6, optimizer="sgd", learning_rate=0.1
    )
    for name in ("tokenizer", "prior")
  }
  return dataclasses.replace(base, **stages)


def sampling(folder: pathlib.Path, out: str, **changes) -> SampleConfig:
  return SampleConfig(
    workdir=str(folder / "run"),
    out=str(folder / out),
    num_images=20,
    shard_size=4,
    batch_size=2,
    **changes,
  )


def main(dataset, folder, address, count, index):
  jax.config.update("jax_num_cpu_devices", 2)
  processes = {
    "multihost": True,
    "coordinator": address,
    "num_processes": int(count),
    "process_index": int(index),
  }
  asked, gather = [], Split.gather

  def counting(self, indices):
    asked.append(len(indices))
    return gather(self, indices)

  Split.gather = counting
  folder = pathlib.Path(folder)
  train(config(dataset, folder, **processes))
  # Of batches of 16; first codes and pictures aside.
  print(f"rows of a batch: {sorted({n for n in asked if n <= 16})}")
  # Processes find each other once, so sampling goes on in the same cluster.
  from vqvae_jax.jobs import job

  job.start_processes = lambda *_, **__: None
  print(tiny.sample(sampling(folder, "out", **processes)))


if __name__ == "__main__":
  main(*sys.argv[1:])
