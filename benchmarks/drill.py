"""Kills jobs again and again, and asks whether their data sets are whole.

Makes a set with one worker, undisturbed. Then makes it again and again with two
workers that are killed (SIGKILL) at random moments and resumed, until there
were --kills of them, none after its worker was done. In every set each image
must be there once, with the same bytes.

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
WORKERS = ("0/2", "1/2")


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
  # Seconds between kills, at most. A process takes about 5 to start.
  patience: float = 15.0
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


def disturbed(options, out, rng, most):
  """Makes a set, killing its workers at most so often; gives the kills."""
  kills, running = 0, {name: start(options, out, name) for name in WORKERS}
  while running:
    time.sleep(rng.uniform(0, options.patience))
    for name, process in list(running.items()):
      if process.poll() is not None:
        finish(running.pop(name))
    if running and kills < most:
      name = rng.choice(sorted(running))
      running[name].kill()
      running[name].communicate()
      kills += 1
      whole = len(list(pathlib.Path(out).glob("records/*.json")))
      print(f"a kill, when {whole} shards were whole", flush=True)
      running[name] = start(options, out, name)
  return kills


def main():
  options = tyro.cli(Options, description=__doc__)
  rng = random.Random(options.seed)
  kills, sets, wrong = 0, 0, 0
  with tempfile.TemporaryDirectory() as folder:
    finish(start(options, f"{folder}/whole", "0/1"))
    expected = files(f"{folder}/whole")
    while kills < options.kills:
      out = f"{folder}/{sets}"
      kills += disturbed(options, out, rng, options.kills - kills)
      found = files(out)
      sets += 1
      wrong += found != expected
      print(
        f"set {sets}: missing={len(expected.keys() - found.keys())} "
        f"doubled={len(found.keys() - expected.keys())} "
        f"different={sum(found.get(k, v) != v for k, v in expected.items())} "
        f"of {options.images} images; {kills} kills so far",
        flush=True,
      )
  if wrong:
    sys.exit(1)


if __name__ == "__main__":
  main()
