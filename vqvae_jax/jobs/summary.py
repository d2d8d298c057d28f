"""What the screen says when a set is whole."""

import shlex
from collections.abc import Sequence

from rich.console import Console

from vqvae_jax.config import Config
from vqvae_jax.jobs import check, finish
from vqvae_jax.jobs.format_base import Format
from vqvae_jax.jobs.shards import Job, Shard
from vqvae_jax.progress import duration, rate, say

# Flags of train.py that the study has, too, and that say how images are read.
_DATA_FLAGS = (
  "data_dir",
  "image_size",
  "channels",
  "group_regex",
  "labels_csv",
)


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


def advise_next(job: Job, config: Config, console: Console):
  """Says what can be done with a set.

  Args:
    job: the folder.
    config: of the run.
    console: where to say it.
  """
  say(console, f"the first of them: {job.out / finish.GRID}")
  say(console, f"what they are, and how to load them: {job.out / finish.CARD}")
  say(console, f"whether they help a classifier: {study_command(config)}")


def study_command(config: Config) -> str:
  """The study of the images that a run learned, read as the run read them.

  Args:
    config: of the run.
  """
  words = ["python", "-m", "vqvae_jax.study", f"--dataset={config.dataset}"]
  for name in _DATA_FLAGS:
    value = getattr(config, name)
    if value is not None:
      words.append(f"--{name.replace('_', '-')}={value}")
  if config.intensity_range is not None:
    words += ["--intensity-range", *map(str, config.intensity_range)]
  # By default the study takes 1,000, and refuses sets that have fewer.
  words.append(f"--num-real={config.num_train_images or 0}")
  return shlex.join(words)
