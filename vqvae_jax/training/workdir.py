"""The run folder: its configuration, its lock, what may change on resuming.

config.json      settings, and what is known of the data
tokenizer/       checkpoints of stage 1; train/ and validation/ for TensorBoard
prior/           the same of stage 2
baseline/        in the place of both, of a model with one stage
metrics.jsonl    one line for each reported step
pictures/        reconstructions, samples, usage of the codebook
"""

import contextlib
import dataclasses
import math
import os
import types
from collections.abc import Iterator
from typing import Any, get_args, get_origin

from etils import epath

from vqvae_jax import config as cfg
from vqvae_jax import files
from vqvae_jax.config import from_step
from vqvae_jax.config.fields import of_command
from vqvae_jax.data import DataSpec
from vqvae_jax.errors import ConfigError, RunError, UserError
from vqvae_jax.files import expand, is_remote, pretty_json, read_json, replace
from vqvae_jax.training.checkpoints import latest_step

# Fields of one command, not of the run.
_OF_A_COMMAND = of_command(cfg.Config)
# What a resumed run may change: how long, how often, and where things are.
# The images are known by their digest, and `augment` by what `auto` came to.
CHANGEABLE = {
  *_OF_A_COMMAND,
  "data_dir",
  "dataset",
  "augment",
  "stage",
  "steps",
  "patience",
  "log_every",
  "eval_every",
  "checkpoint_every",
}
# Of a VQ-VAE.
STAGES = ("tokenizer", "prior")
# Of every other model.
BASELINE = "baseline"
_WRITTEN = (
  ".lock",
  "config.json",
  "config.json.partial",
  "metrics.jsonl",
  "metrics.jsonl.partial",
  "pictures",
  "tensorboard",
  *STAGES,
  BASELINE,
)
# Differences or runs that a message lists.
_LISTED = 5


@dataclasses.dataclass(frozen=True)
class RunInfo:
  """What `config.json` holds."""

  config: cfg.Config
  spec: DataSpec


def stages(model: str) -> tuple[str, ...]:
  """The stages of a model: names of settings, of folders, of metrics."""
  return STAGES if model == "vqvae" else (BASELINE,)


def steps_asked(
  folder: epath.PathLike, model: str, text: str | None
) -> dict[str, int]:
  """Steps that `--from-step` asks for, by the name of the stage.

  Args:
    folder: the run folder.
    model: name of its model.
    text: value of the flag.

  Raises:
    ConfigError: if the model has no such stage, or no stage has checkpoints.
  """
  asked = from_step.parse(text)
  names = stages(model)
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


@contextlib.contextmanager
def lock(workdir: epath.PathLike, flag: str = "--workdir") -> Iterator[None]:
  """Makes the folder and holds it for this process.

  The system frees it if the process dies. A folder that is no run when the
  block ends is left as it was found. Remote folders (`gs://...`) have no locks
  and are not locked.

  Raises:
    RunError: if another run holds it.
  """
  folder = epath.Path(workdir)
  if is_remote(workdir):
    folder.mkdir(parents=True, exist_ok=True)
    yield
    return
  missing = [p for p in (folder, *folder.parents) if not p.exists()]
  with contextlib.ExitStack() as stack:
    # After the lock: nothing is left to be refused later.
    stack.callback(_remove_empty, missing)
    try:
      folder.mkdir(parents=True, exist_ok=True)
      free = stack.enter_context(files.lock(folder / ".lock"))
    except OSError as error:
      raise RunError(
        f"{flag} {str(workdir)[:200]}: {error.strerror or error}; use another"
      ) from None
    if not free:
      raise RunError(
        f"another run is at work in {workdir}; wait for it or use another "
        f"{flag}"
      )
    yield


def _remove_empty(folders):
  with contextlib.suppress(OSError):
    for folder in folders:
      os.rmdir(folder)


def check_place(workdir: epath.PathLike):
  """Refuses a folder that cannot be written to, before any work.

  Raises:
    RunError: if it is a file or below one, on a read-only disk, or if it holds
      links, which a run does not write through.
  """
  folder = epath.Path(workdir)
  if is_remote(workdir):
    return
  try:
    above = next(p for p in (folder, *folder.parents) if p.exists())
    if not above.is_dir():
      raise RunError(f"--workdir {workdir}: {above} is a file, not a folder")
    if not os.access(above, os.W_OK | os.X_OK):
      raise RunError(
        f"--workdir {workdir}: {above} cannot be written to (a read-only disk, "
        "or no permission); use another"
      )
    link = next(filter(os.path.islink, _written(folder)), None)
  except OSError as error:
    raise RunError(
      f"--workdir {str(workdir)[:200]}: {error.strerror or error}"
    ) from None
  if link:
    raise RunError(
      f"{link} is a link, and a run does not write through links inside its "
      "folder; put what it points to in its place, or make the whole run "
      "folder a link"
    )


def _written(folder):
  """Paths of what is there of the files and folders that a run writes."""
  for name in _WRITTEN:
    yield folder / name
    for place, folders, names in os.walk(folder / name):
      yield from (os.path.join(place, inner) for inner in (*folders, *names))


def read(workdir: epath.PathLike) -> RunInfo:
  """The configuration of a run.

  Raises:
    RunError: if the folder is no run of ours.
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
    config = cfg.from_dict(values["config"])
    return RunInfo(config, _spec(values["data"]))
  except KeyError as error:
    raise RunError(
      f"{path} is not the configuration of a run: it has no {error}"
    ) from None
  except (AttributeError, TypeError, ValueError, UserError) as error:
    line = (str(error).splitlines() or [""])[0][:200]
    raise RunError(f"{path} cannot be read: {line}") from None


def _runs_beside(folder):
  """Which runs there are, for a message."""
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
  """The specification of the data, each field of its type."""
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
  """Whether a value of JSON is of a field's type."""
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


def resumed_config(run: epath.PathLike) -> cfg.Config:
  """The settings of a run, to go on with where it is now.

  Args:
    run: the run folder.

  Raises:
    RunError: if it is no run folder.
  """
  defaults = {f.name: f.default for f in dataclasses.fields(cfg.Config)}
  return dataclasses.replace(
    read(run).config,
    **{name: defaults[name] for name in _OF_A_COMMAND}
    | {"workdir": str(run), "resume": str(run)},
  )


def write(workdir: epath.PathLike, info: RunInfo):
  """Puts the configuration on record, whole or not at all."""
  config = dataclasses.replace(info.config, resume=None, from_step=None)
  values = {
    "config": dataclasses.asdict(config),
    "data": info.spec.to_dict(),
  }
  replace(epath.Path(workdir) / "config.json", pretty_json(values))


def check_same_run(workdir: epath.PathLike, new: RunInfo):
  """Refuses to go on with another model or other images.

  Raises:
    RunError: see `check_settings` and `check_data`.
  """
  check_settings(workdir, new.config)
  check_data(workdir, new)


def check_settings(workdir: epath.PathLike, new: cfg.Config):
  """Refuses to go on with another model; needs no data.

  Settings of a stage that has no checkpoint yet may still change.

  Raises:
    RunError: naming the settings that differ.
  """
  workdir = epath.Path(workdir)
  if not (workdir / "config.json").exists():
    found = workdir.iterdir() if workdir.exists() else ()
    foreign = [p.name for p in found if p.name != ".lock"]
    if foreign:
      raise RunError(
        f"{workdir} holds {foreign[0]!r} but no config.json: it is not a run "
        "folder; name a new or an empty one with --workdir"
      )
    return
  old = read(workdir).config
  trained = _trained(workdir)
  if not trained:
    return
  names = old.dataset, new.dataset
  # Names are of one set each; paths may have moved.
  if names[0] != names[1] and not any(":" in name for name in names):
    raise RunError(_other_images(workdir, *names))
  differences = _differences(
    dataclasses.asdict(old),
    dataclasses.asdict(new),
    skip={*STAGES, BASELINE} - set(trained),
  )
  if differences:
    more = len(differences) - _LISTED
    raise RunError(
      f"{workdir} was trained with other settings: "
      f"{'; '.join(differences[:_LISTED])}{f'; and {more} more' * (more > 0)}. "
      f"--resume={workdir} goes on with those, or use another --workdir"
    )
  tokenizer_steps = trained.get("tokenizer", 0)
  # One that stopped early has fewer steps than it was asked for.
  asked = max(tokenizer_steps, old.tokenizer.steps)
  more = new.tokenizer.steps > asked
  if "prior" in trained and new.stage != "prior" and more:
    raise RunError(
      f"{workdir}/prior was trained on the tokenizer of step "
      f"{tokenizer_steps}; to train the tokenizer to step "
      f"{new.tokenizer.steps}, use another --workdir or move that prior away"
    )


def check_data(workdir: epath.PathLike, new: RunInfo):
  """Refuses to go on with other images, wherever they are.

  Raises:
    RunError: naming the data sets.
  """
  workdir = epath.Path(workdir)
  if not (workdir / "config.json").exists() or not _trained(workdir):
    return
  old = read(workdir)
  if old.spec.digest != new.spec.digest:
    raise RunError(_other_images(workdir, old.config.dataset, new.spec.name))
  if old.spec.augment != new.spec.augment:
    raise RunError(
      f"{workdir} was trained with --augment={old.spec.augment}, now it is "
      f"{new.spec.augment}; give --augment={old.spec.augment}"
    )


def _trained(workdir):
  """Newest steps of the stages that have checkpoints."""
  found = {s: latest_step(workdir / s) for s in (*STAGES, BASELINE)}
  return {stage: step for stage, step in found.items() if step is not None}


def _other_images(workdir, old, new):
  if old == new:
    return (
      f"{workdir} was trained on other images than {new} holds now; bring "
      "those back, or use another --workdir"
    )
  return (
    f"{workdir} was trained on {old}, and {new} holds other images; use that "
    "data set, or another --workdir"
  )


def _differences(
  old: dict[str, Any], new: dict[str, Any], skip: set[str], prefix: str = ""
) -> list[str]:
  found = []
  for name in old:
    if name in skip or name in CHANGEABLE:
      continue
    if isinstance(old[name], dict):
      found += _differences(old[name], new[name], skip, f"{prefix}{name}.")
    elif old[name] != new[name]:
      found.append(f"{prefix}{name} was {old[name]}, now {new[name]}")
  return found
