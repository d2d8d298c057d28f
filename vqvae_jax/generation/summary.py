"""What the screen says when a set is whole."""

import shlex
from collections.abc import Sequence

from rich.console import Console

from vqvae_jax.generation import check, finish
from vqvae_jax.generation.format_base import Format
from vqvae_jax.generation.shards import Job, Shard
from vqvae_jax.progress import duration, rate, say


def summarise(
  job: Job,
  kept: Format,
  shards: Sequence[Shard],
  seconds: float,
  speed: float,
  console: Console,
):
  """Says what there is now.

  Args:
    job: the folder.
    kept: the shards' files.
    shards: all of them.
    seconds: what this process took.
    speed: images in a second; 0 if it made none.
    console: where to say it.
  """
  settings = job.settings()
  count = settings["num_images"]
  made = f", {rate(speed, 'images')}" if speed else ""
  say(
    console,
    f"{count:,} {'image' if count == 1 else 'images'} in {job.out} "
    f"({duration(seconds)}{made})",
  )
  classes = finish.counted_classes(job, shards, settings)
  line = finish.absent_line(settings, classes)
  if line:
    say(console, line)
  for text in check.strays(job, kept, settings, job.labels(shards))[:5]:
    say(console, f"note: {text}")


def advise_next(job: Job, dataset: str, console: Console):
  """Says what can be done with a set.

  Args:
    job: the folder.
    dataset: `--dataset` of the run.
    console: where to say it.
  """
  say(console, f"the first of them: {job.out / finish.GRID}")
  say(console, f"what they are, and how to load them: {job.out / finish.CARD}")
  study = shlex.join(
    ["python", "-m", "vqvae_jax.study", f"--dataset={dataset}"]
  )
  say(console, f"whether they help a classifier: {study}")
