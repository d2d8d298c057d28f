"""What a run is before its training and was after it, in words."""

import json
import shlex
from typing import Any

from etils import epath
from jax.sharding import Mesh

from vqvae_jax.config import Config
from vqvae_jax.data import Data
from vqvae_jax.generators import Generator, Stage
from vqvae_jax.progress import duration
from vqvae_jax.runs import stages
from vqvae_jax.training.figures import VALIDATION, result, with_units


def introduction(
  generator: Generator, data: Data, mesh: Mesh, folder: epath.Path
) -> list[str]:
  """Returns what is learned, on what, and where it goes, and warnings.

  Args:
    generator: generator of the run.
    data: data of the run.
    mesh: devices of the run.
    folder: the run folder.
  """
  spec = data.spec
  height, width, channels = spec.image_shape
  test = "the set's own test split is not opened"
  if data.num_test is not None:
    test = f"{data.num_test:,} kept for testing, not opened"
  images = [
    f"{spec.num_train:,} training and {spec.num_validation:,} validation "
    f"images of {width}x{height}x{channels}",
    test,
  ]
  if data.num_unused:
    images.append(f"{data.num_unused:,} not used")
  count = len(spec.class_names)
  labels = f"{count:,} class{'es' if count > 1 else ''}"
  device = mesh.devices.flat[0]
  devices = (
    f"{mesh.size} {device.platform} device{'s' if mesh.size > 1 else ''}"
  )
  lines = [
    f"{spec.name}: {'; '.join(images)}\n{labels if count else 'no labels'}; "
    f"augmentation {spec.augment}; {generator.introduced}; {devices}\n"
    f"run folder: {folder}"
  ]
  warning = generator.warning(device.platform)
  if warning:
    lines.append(f"warning: {warning}")
  return lines


def summary(
  config: Config, generator: Generator, folder: epath.Path, seconds: float
) -> str:
  """Returns the figures and the time of a training.

  Args:
    config: settings of the run.
    generator: generator of the run.
    folder: the run folder.
    seconds: seconds that the training took.
  """
  figures = [
    result(best_metrics(folder, stage))
    for stage in stages.asked(config, generator)
  ]
  text = ", ".join(filter(None, figures))
  return f"done in {duration(seconds)}: {text or folder}"


def advice(config: Config, generator: Generator, folder: epath.Path) -> str:
  """Returns what to look at and to type after a training.

  Args:
    config: settings of the run.
    generator: generator of the run.
    folder: the run folder.
  """
  last = stages.asked(config, generator)[-1]
  left = generator.stages[generator.stages.index(last) + 1 :]
  look = "reconstructions" if left else "samples"
  if left:
    then = f"the same command with --stage={left[0].name}"
  else:
    then = (
      f"python sample.py --workdir={shlex.quote(str(folder))} "
      "--num-images=1000 --out=out"
    )
  return f"look at {folder / 'pictures' / look}.png\nnext: {then}"


def best_metrics(folder: epath.PathLike, stage: Stage) -> dict[str, Any]:
  """Returns the validation metrics of the weights that a stage ended with.

  Those are the ones with the least loss, or the latest where the loss does not
  select.

  Args:
    folder: the run folder.
    stage: stage of the run's generator.
  """
  path = epath.Path(folder) / "metrics.jsonl"
  lines = path.read_bytes().splitlines() if path.exists() else []
  evaluated = [
    entry for entry in map(_entry, lines) if _is_of(entry, stage.name)
  ]
  if not evaluated:
    return {}
  best = evaluated[-1]
  if stage.make_task(()).selects:
    best = min(evaluated, key=lambda entry: entry[f"{VALIDATION}loss"])
  return with_units(best, getattr(stage.settings, "likelihood", "gaussian"))


def _entry(line):
  """Returns what a line holds; None for a line that is not JSON."""
  try:
    return json.loads(line)
  except (ValueError, RecursionError):
    return None


def _is_of(entry, name):
  return (
    isinstance(entry, dict)
    and entry.get("stage") == name
    and isinstance(entry.get(f"{VALIDATION}loss"), float)
  )
