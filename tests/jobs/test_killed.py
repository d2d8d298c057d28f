"""Two workers killed by the system in the middle of their work."""

import os
import pathlib
import subprocess
import sys
import time

import tiny
from job_cases import files

from vqvae_jax.config import SampleConfig

ROOT = pathlib.Path(__file__).parents[2]
IMAGES = 600
SHARD = 10


def start(run, out, worker):
  """The job as another process, on as many devices as here."""
  return subprocess.Popen(
    [
      sys.executable,
      str(ROOT / "sample.py"),
      f"--workdir={run}",
      f"--num-images={IMAGES}",
      f"--out={out}",
      f"--shard-size={SHARD}",
      "--batch-size=2",
      f"--worker={worker}/2",
      "--resume",
    ],
    env=os.environ
    | {
      "JAX_PLATFORMS": "cpu",
      "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
    },
    stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE,
  )


def records(out):
  return len(list(pathlib.Path(out).glob("records/*.json")))


def wait_for(condition, process):
  end = time.monotonic() + 120
  while not condition():
    assert process.poll() is None, process.stderr.read()
    assert time.monotonic() < end
    time.sleep(0.01)


def test_killed_job_ends_with_the_same_images(tiny_run, tmp_path):
  run = tiny_run[0]
  whole, killed = tmp_path / "whole", tmp_path / "killed"
  config = SampleConfig(
    workdir=str(run),
    out=str(whole),
    num_images=IMAGES,
    shard_size=SHARD,
    batch_size=2,
  )
  tiny.sample(config)
  for worker in (0, 1):
    before = records(killed)
    process = start(run, killed, worker)
    wait_for(lambda before=before: records(killed) > before + 3, process)
    process.kill()
    process.communicate()
    assert before + 3 < records(killed) < IMAGES // SHARD
    assert not (killed / "manifest.json").exists()
  workers = [start(run, killed, worker) for worker in (0, 1)]
  for process in workers:
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
  found = files(killed)
  assert found == files(whole)
  assert len(found) == IMAGES
  assert (killed / "manifest.json").exists()
