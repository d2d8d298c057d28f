"""Messages at the end of a job."""

import shlex
from collections.abc import Sequence

from rich.console import Console

from vqvae_jax.config import Config
from vqvae_jax.jobs import check, finish
from vqvae_jax.jobs.folder import JobFolder
from vqvae_jax.jobs.formats import Format
from vqvae_jax.jobs.shards import Shard
from vqvae_jax.progress import duration, rate, say

# Flags that say how images are read, which train.py and the study share.
_DATA_FLAGS = (
  "data_dir",
  "image_size",
  "channels",
  "group_regex",
  "labels_csv",
)


def summarise(
  job: JobFolder,
  store: Format,
  shards: Sequence[Shard],
  seconds: float,
  speed: float,
  console: Console,
) -> None:
  """Says what was made, how fast, and what to look out for.

  Args:
    job: folder of the job.
    store: files of the shards.
    shards: all shards.
    seconds: time that this process took.
    speed: images per second; 0 if it made none.
    console: where messages go.
  """
  settings = job.settings
  count = settings["num_images"]
  made = f", {rate(speed, 'images')}" if speed else ""
  say(
    console,
    f"{count:,} {'image' if count == 1 else 'images'} in {job.out} "
    f"({duration(seconds)}{made})",
  )
  classes = finish.counted_classes(job, shards)
  line = finish.absent_line(settings, classes)
  if line:
    say(console, line)
  for text in check.strays(job, store, shards, job.labels(shards))[:5]:
    say(console, f"note: {text}")


def advise_next(job: JobFolder, config: Config, console: Console) -> None:
  """Says what can be done with a set.

  Args:
    job: folder of the job.
    config: settings of the run.
    console: where messages go.
  """
  say(console, f"the first of them: {job.out / finish.GRID}")
  say(console, f"what they are, and how to load them: {job.out / finish.CARD}")
  say(console, f"whether they help a classifier: {study_command(config)}")


def study_command(config: Config) -> str:
  """Returns the command of a study of the images that a run learned from.

  Args:
    config: settings of the run.
  """
  words = ["python", "-m", "vqvae_jax.study", f"--dataset={config.dataset}"]
  for name in _DATA_FLAGS:
    value = getattr(config, name)
    if value is not None:
      words.append(f"--{name.replace('_', '-')}={value}")
  if config.intensity_range is not None:
    words += ["--intensity-range", *map(str, config.intensity_range)]
  # By default the study takes 1,000 images, and refuses smaller sets.
  words.append(f"--num-real={config.num_train_images or 0}")
  return shlex.join(words)
