"""Settings from a file: `--config`."""

import json
from typing import Any

import yaml
from etils import epath

from vqvae_jax import files
from vqvae_jax.commands.suggest import nearest
from vqvae_jax.config import checks
from vqvae_jax.config.fields import Settings, of_command
from vqvae_jax.config.paths import flatten, paths_of
from vqvae_jax.errors import ConfigError

_READERS = {
  ".json": json.loads,
  ".yaml": yaml.safe_load,
  ".yml": yaml.safe_load,
}


def read(kind: type[Settings], path: str) -> tuple[dict[str, Any], bool]:
  """Returns the settings that a file holds, by path, and if it is a record.

  The records are the `config.json` of a run, of which what belongs to one
  command, such as the run folder, is left out, and the `study.json` of a study,
  of which only the settings are taken.

  Args:
    kind: dataclass of the command's settings.
    path: path of a YAML or JSON file.

  Raises:
    ConfigError: in one line, if the file cannot be read, holds no mapping, or
      names a setting that does not exist.
  """
  try:
    values = _mapping(files.expand(path))
    known = paths_of(kind)
    left_out = []
    of_run = isinstance(values.get("config"), dict) and "data" in values
    of_study = {"made_from", "digest"} <= values.keys()
    if of_run:
      values, left_out = values["config"], of_command(kind)
    found = flatten(kind, values)
    if of_study:
      left_out = found.keys() - known.keys()
    found = {k: v for k, v in found.items() if k not in left_out}
    for name in found:
      if name not in known:
        raise ConfigError(_unknown(name, known))
      if name == "resume" and known[name].kind is str:
        # The settings of the file would be mixed with those of the run.
        raise ConfigError("resume must be given as the flag --resume")
  except ConfigError as error:
    raise ConfigError(f"--config {checks.shown(path)}: {error}") from None
  found = {name: _number(known[name], v) for name, v in found.items()}
  return found, of_run or of_study


def _mapping(path: epath.Path) -> dict[str, Any]:
  reader = _READERS.get(path.suffix.lower())
  if reader is None:
    raise ConfigError("the name must end in .yaml, .yml or .json")
  try:
    values = reader(path.read_text())
  except OSError as error:
    reason = "does not exist"
    if path.exists():
      reason = f"cannot be read: {error.strerror or error}"
    raise ConfigError(f"the file {reason}") from None
  except (yaml.YAMLError, ValueError, RecursionError) as error:
    line = " ".join(str(error).split())[:200]
    raise ConfigError(f"the file cannot be read: {line}") from None
  if not isinstance(values, dict):
    raise ConfigError("the file does not hold names with values")
  return values


def _unknown(name, known):
  flags = {"--" + one.replace("_", "-"): one for one in known}
  found = nearest("--" + name.replace("_", "-"), flags)
  meant = " or ".join(flags[one] for one in found)
  hint = f"; did you mean {meant}?" if meant else ""
  return f"{checks.shown(name)} is not a setting{hint}"


def _number(one, value):
  """Reads numbers such as 1e-3, which YAML takes for text."""
  if one.element is not float or isinstance(value, bool):
    return value
  values = value if isinstance(value, tuple) else (value,)
  try:
    found = tuple(float(v) if isinstance(v, str) else v for v in values)
  except ValueError:
    return value
  return found if isinstance(value, tuple) else found[0]
