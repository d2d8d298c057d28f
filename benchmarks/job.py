"""What writing costs a batch job, and how much memory it holds.

Draws the same images by the sampler alone, and by whole jobs in each format,
in turn; each job is a process of its own, and its figure is that of its own
progress line, which counts from the first block on, so without starting and
compiling. Peak memory is that of a job of --few and one of --many images.

  python benchmarks/job.py --workdir=runs/mnist5k
"""

import dataclasses
import pathlib
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import tyro

from vqvae_jax.generators import load

ROOT = pathlib.Path(__file__).parents[1]


@dataclasses.dataclass(frozen=True)
class Options:
  # Run folder of train.py.
  workdir: str = "runs/mnist5k"
  # Images of each job.
  images: int = 2000
  # Rounds, of which the median is taken.
  rounds: int = 3
  # Images of the jobs whose memory is compared.
  few: int = 1000
  # The same; 0 leaves that out.
  many: int = 0


def sampler_alone(model, images):
  """Images a second, blocks fetched as the job does."""
  draw, block = model.sampler(), 250 * model.mesh.size
  labels = np.arange(block) % model.spec.num_classes
  np.asarray(draw(0, 0, labels))
  start, pending = time.perf_counter(), None
  for first in range(0, images, block):
    made = draw(0, first, labels)
    if pending is not None:
      np.asarray(pending)
    pending = made
  np.asarray(pending)
  return images / (time.perf_counter() - start)


def job(workdir, images, kind):
  """Images a second by the job's own account, and its peak memory in MiB."""
  with tempfile.TemporaryDirectory() as out:
    shown = subprocess.run(
      [
        sys.executable,
        str(ROOT / "sample.py"),
        f"--workdir={workdir}",
        f"--num-images={images}",
        f"--out={out}/job",
        f"--format={kind}",
        f"--shard-size={images}",
      ],
      check=True,
      capture_output=True,
      text=True,
    ).stdout
  speed = re.findall(rf"images {images}/{images} +([\d.e+]+) a second", shown)
  peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**10
  return float(speed[-1]), peak


def main():
  options = tyro.cli(Options, description=__doc__)
  if options.many:
    # Growing, because the figure is the largest of all so far.
    for images in (options.few, options.many):
      peak = job(options.workdir, images, "png")[1]
      print(f"{images} images: peak memory {peak:.0f} MiB", flush=True)
  model = load(options.workdir)
  speeds = {name: [] for name in ("sampler alone", "png", "npz", "tfds")}
  for index in range(options.rounds):
    for name, found in speeds.items():
      if name == "sampler alone":
        found.append(sampler_alone(model, options.images))
      else:
        found.append(job(options.workdir, options.images, name)[0])
    print(
      f"round {index + 1}/{options.rounds}: "
      + ", ".join(f"{name} {v[-1]:.1f} images/s" for name, v in speeds.items()),
      flush=True,
    )
  for name in ("png", "npz", "tfds"):
    ratio = statistics.median(
      a / b for a, b in zip(speeds[name], speeds["sampler alone"], strict=True)
    )
    print(f"ratio={ratio:.2f} {name} over the sampler alone")


if __name__ == "__main__":
  main()
