"""What a run came to: its figures, its time, and what to do next."""

import json
import shlex

from etils import epath

from vqvae_jax.config import Config
from vqvae_jax.progress import duration
from vqvae_jax.runs import stages
from vqvae_jax.training.figures import VALIDATION, result, with_units


def summary(config: Config, folder: epath.Path, seconds: float) -> str:
  """The figures and the time of a training.

  Args:
    config: of the run.
    folder: the run folder.
    seconds: that the training took.
  """
  found = [
    result(best_metrics(folder, name, config)) for name in stages.names(config)
  ]
  figures = ", ".join(figure for figure in found if figure)
  return f"done in {duration(seconds)}: {figures or folder}"


def advice(config: Config, folder: epath.Path) -> str:
  """What to look at and to type after a training.

  Args:
    config: of the run.
    folder: the run folder.
  """
  if config.model == "vqvae" and config.stage == "tokenizer":
    look, then = "reconstructions", "the same command with --stage=prior"
  else:
    look = "samples"
    then = (
      f"python sample.py --workdir={shlex.quote(str(folder))} "
      "--num-images=1000 --out=out"
    )
  return f"look at {folder / 'pictures' / look}.png\nnext: {then}"


def best_metrics(
  folder: epath.Path, name: str, config: Config
) -> dict[str, float]:
  """The validation metrics of the weights that a stage ended with.

  Those with the least loss, or the latest where the loss does not select.
  """
  path = folder / "metrics.jsonl"
  lines = path.read_bytes().splitlines() if path.exists() else []
  evaluated = [entry for entry in map(_entry, lines) if _is_of(entry, name)]
  if not evaluated:
    return {}
  best = evaluated[-1]
  if config.model != "dcgan":
    best = min(evaluated, key=lambda entry: entry[f"{VALIDATION}loss"])
  likelihood = getattr(stages.settings(name, config), "likelihood", "gaussian")
  return with_units(best, likelihood)


def _entry(line):
  """What a line holds; None for a line of somebody else's."""
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
