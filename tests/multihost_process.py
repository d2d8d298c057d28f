"""One of several processes of `test_multihost.py`: trains, then samples.

python multihost_process.py DATASET WORKDIR OUT DEVICES [ADDRESS COUNT INDEX]
"""

import sys

import jax


def main(dataset, workdir, out, devices, *cluster):
  jax.config.update("jax_platforms", "cpu")
  jax.config.update("jax_num_cpu_devices", int(devices))
  import dataclasses
  import pathlib

  import tiny

  from vqvae_jax.config import SampleConfig
  from vqvae_jax.data.split import Split
  from vqvae_jax.generation import generate
  from vqvae_jax.training import train

  processes = {}
  if cluster:
    processes = {
      "multihost": True,
      "coordinator": cluster[0],
      "num_processes": int(cluster[1]),
      "process_index": int(cluster[2]),
    }
  asked, gather = [], Split.gather

  def counting(self, indices):
    asked.append(len(indices))
    return gather(self, indices)

  Split.gather = counting
  config = tiny.config(dataset, pathlib.Path(workdir), **processes)
  stages = {
    name: dataclasses.replace(getattr(config, name), steps=6)
    for name in ("tokenizer", "prior")
  }
  train(dataclasses.replace(config, **stages))
  # Of batches of 16; first codes and pictures aside.
  rows = {n for n in asked if n <= 16}
  print(f"rows of a batch: {sorted(rows)}")
  if cluster:
    # Processes meet once, so sampling goes on in the same cluster.
    from vqvae_jax.generation import job

    job.start_processes = lambda *_: None
  generate(
    SampleConfig(
      workdir=workdir,
      out=out,
      num_images=20,
      shard_size=4,
      batch_size=2,
      **processes,
    )
  )


if __name__ == "__main__":
  main(*sys.argv[1:])
