"""The run folder and its configuration.

config.json      settings, and the specification of the data
tokenizer/       checkpoints of a stage; train/ and validation/ for TensorBoard
prior/           the same of the next stage; other generators have other names
metrics.jsonl    one line for each reported step
pictures/        reconstructions, samples, usage of the codebook
"""

import dataclasses
import math
import types
from typing import get_args, get_origin

from etils import epath

from vqvae_jax.config import Config, from_dict, from_step
from vqvae_jax.config.fields import of_command
from vqvae_jax.config.generators import stages_of
from vqvae_jax.data import DataSpec
from vqvae_jax.errors import ConfigError, RunError, UserError
from vqvae_jax.files import expand, is_remote, pretty_json, read_json, replace
from vqvae_jax.training.checkpoints import latest_step

# Settings of one command, not of the run.
OF_A_COMMAND = of_command(Config)
# Runs that a message lists.
_LISTED = 5


@dataclasses.dataclass(frozen=True)
class RunInfo:
  """What `config.json` holds."""

  config: Config
  spec: DataSpec


def steps_asked(
  folder: epath.PathLike, model: str, text: str | None
) -> dict[str, int]:
  """Returns the steps that `--from-step` asks for, by stage.

  Args:
    folder: path of the run folder.
    model: name of the model.
    text: value of the flag.

  Raises:
    ConfigError: if the model has no such stage, or no stage has checkpoints.
  """
  asked = from_step.parse(text)
  names = stages_of(model)
  for stage in asked:
    if stage not in (from_step.LAST, *names):
      raise ConfigError(
        f"--from-step {text}: the run is a {model}, which has "
        f"{' and '.join(names)}, no {stage}"
      )
  if from_step.LAST in asked:
    trained = [s for s in names if latest_step(epath.Path(folder) / s)]
    if not trained:
      raise ConfigError(f"--from-step {text}: {folder} has no checkpoint yet")
    return {trained[-1]: asked[from_step.LAST]}
  return asked


def read(workdir: epath.PathLike) -> RunInfo:
  """Reads the configuration of a run.

  Raises:
    RunError: if the folder is not a run folder.
  """
  folder = expand(workdir)
  path = folder / "config.json"
  if not folder.exists():
    raise RunError(f"{workdir} does not exist; {_runs_beside(folder)}")
  if not path.exists():
    raise RunError(
      f"{workdir} is not a run folder: it has no config.json; "
      f"{_runs_beside(folder)}"
    )
  values = read_json(path)
  try:
    if not isinstance(values["config"], dict):
      raise ConfigError("config is not a group of settings")
    config = from_dict(values["config"])
    return RunInfo(config, _spec(values["data"]))
  except KeyError as error:
    raise RunError(
      f"{path} is not the configuration of a run: it has no {error}"
    ) from None
  except (AttributeError, TypeError, ValueError, UserError) as error:
    line = (str(error).splitlines() or [""])[0][:200]
    raise RunError(f"{path} cannot be read: {line}") from None


def _runs_beside(folder):
  """Lists the runs nearby, for a message."""
  places = dict.fromkeys([folder.parent, epath.Path("runs")])
  found = [
    str(path.parent)
    for place in places
    if place.is_dir() and not is_remote(place)
    for path in sorted(place.glob("*/config.json"))
  ]
  if not found:
    return "train.py makes one"
  more = f" and {len(found) - _LISTED} more" * (len(found) > _LISTED)
  return f"runs that do: {', '.join(found[:_LISTED])}{more}"


def _spec(values):
  """Returns the specification of the data; checks the type of each field."""
  if not isinstance(values, dict):
    raise ConfigError("data is not a group of fields")
  kinds = {field.name: field.type for field in dataclasses.fields(DataSpec)}
  for name, kind in kinds.items():
    if name in values and not _fits(values[name], kind):
      raise ConfigError(f"data.{name} is {str(values[name])[:60]!r}")
  required = {
    field.name
    for field in dataclasses.fields(DataSpec)
    if field.default is field.default_factory is dataclasses.MISSING
  }
  if missing := sorted(required - values.keys()):
    raise ConfigError(f"data.{missing[0]} is missing")
  spec = DataSpec.from_dict(values)
  if len(spec.class_counts) != spec.num_classes or 0 in spec.image_shape:
    raise ConfigError("data.class_counts or data.image_shape is wrong")
  low, high = spec.intensity_range or (0, 1)
  if not low < high < 2**16:
    raise ConfigError("data.intensity_range is wrong")
  return spec


def _fits(value, kind):
  """Returns whether a JSON value has the type of a field."""
  if isinstance(kind, types.UnionType):
    return any(_fits(value, option) for option in get_args(kind))
  if get_origin(kind) is tuple:
    kinds = get_args(kind)
    many = kinds[-1] is Ellipsis
    return (
      isinstance(value, list)
      and (many or len(value) == len(kinds))
      and all(_fits(item, kinds[0]) for item in value)
    )
  if kind in (int, float):
    numbers = (int,) if kind is int else (int, float)
    return type(value) in numbers and 0 <= value < math.inf
  return not isinstance(kind, type) or isinstance(value, kind)


def resumed_config(run: epath.PathLike) -> Config:
  """Returns the settings of a run, to continue it where it is now.

  Args:
    run: path of the run folder.

  Raises:
    RunError: if it is not a run folder.
  """
  defaults = {f.name: f.default for f in dataclasses.fields(Config)}
  return dataclasses.replace(
    read(run).config,
    **{name: defaults[name] for name in OF_A_COMMAND}
    | {"workdir": str(run), "resume": str(run)},
  )


def write(workdir: epath.PathLike, info: RunInfo):
  """Writes the configuration, whole or not at all."""
  config = dataclasses.replace(info.config, resume=None, from_step=None)
  values = {
    "config": dataclasses.asdict(config),
    "data": info.spec.to_dict(),
  }
  replace(epath.Path(workdir) / "config.json", pretty_json(values))
