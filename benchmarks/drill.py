"""Kills a job again and again, and asks whether its data set is whole.

Makes a set with one worker, undisturbed. Then makes it again with two workers
that are killed (SIGKILL) at random moments, --kills times in all, each time
resumed. At the end every image must be there once, with the same bytes.

  python benchmarks/drill.py --workdir=runs/mnist5k
"""

import dataclasses
import hashlib
import pathlib
import random
import subprocess
import sys
import tempfile
import time

import tyro

ROOT = pathlib.Path(__file__).parents[1]


@dataclasses.dataclass(frozen=True)
class Options:
  # Run folder of train.py.
  workdir: str = "runs/mnist5k"
  # Images of the job.
  images: int = 2000
  # Kills in all.
  kills: int = 20
  # Images of a shard.
  shard_size: int = 100
  # Seconds between start and kill, at most. A process takes about 5 to start.
  patience: float = 25.0
  # Seed of the moments.
  seed: int = 0


def start(options, out, worker):
  return subprocess.Popen(
    [
      sys.executable,
      str(ROOT / "sample.py"),
      f"--workdir={options.workdir}",
      f"--num-images={options.images}",
      f"--out={out}",
      f"--shard-size={options.shard_size}",
      f"--worker={worker}",
      # Small blocks, so that kills find shards half done.
      "--batch-size=20",
      "--resume",
    ],
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  )


def finish(process):
  shown = process.communicate()[0]
  if process.returncode:
    sys.exit(f"a job failed:\n{shown}")


def files(out):
  root = pathlib.Path(out) / "images"
  return {
    str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
    for path in root.rglob("*.png*")
  }


def main():
  options = tyro.cli(Options, description=__doc__)
  rng = random.Random(options.seed)
  with tempfile.TemporaryDirectory() as folder:
    whole, killed = f"{folder}/whole", f"{folder}/killed"
    finish(start(options, whole, "0/1"))
    kills, workers = 0, {}
    while kills < options.kills:
      for worker in ("0/2", "1/2"):
        if worker not in workers or workers[worker].poll() is not None:
          workers[worker] = start(options, killed, worker)
      time.sleep(rng.uniform(0, options.patience / 2))
      process = workers[rng.choice(("0/2", "1/2"))]
      if process.poll() is None:
        process.kill()
        process.communicate()
        kills += 1
        records = len(list(pathlib.Path(killed).glob("records/*.json")))
        print(f"kill {kills}: {records} shards are whole", flush=True)
    for process in workers.values():
      process.communicate()
    for worker in ("0/2", "1/2"):
      finish(start(options, killed, worker))
    expected, found = files(whole), files(killed)
  print(
    f"missing={len(expected.keys() - found.keys())} "
    f"doubled={len(found.keys() - expected.keys())} "
    f"different={sum(found.get(k, v) != v for k, v in expected.items())} "
    f"of {options.images} images after {kills} kills"
  )
  if found != expected:
    sys.exit(1)


if __name__ == "__main__":
  main()
