"""Settings by their paths, such as `tokenizer.codebook_size`."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from vqvae_jax.config.fields import Setting, Settings, groups_of, settings_of
from vqvae_jax.errors import ConfigError


def paths_of(kind: type[Settings]) -> dict[str, Setting]:
  """Returns all settings of a command by their paths."""
  found = dict(settings_of(kind))
  for group, inner in groups_of(kind).items():
    for name, one in settings_of(inner).items():
      found[f"{group}.{name}"] = one
  return found


def flatten(kind: type[Settings], values: Mapping[str, Any]) -> dict[str, Any]:
  """Returns values by path, from the nested mappings of a JSON or YAML file.

  Args:
    kind: dataclass of the settings.
    values: values of fields, and mappings for groups of fields.

  Raises:
    ConfigError: if a group is not a mapping.
  """
  found = {}
  for key, value in values.items():
    name = str(key).replace("-", "_")
    if name not in groups_of(kind):
      # Files have lists instead of tuples.
      found[name] = tuple(value) if type(value) is list else value
    elif isinstance(value, dict):
      inner = flatten(groups_of(kind)[name], value)
      found |= {f"{name}.{path}": item for path, item in inner.items()}
    else:
      raise ConfigError(f"{name} is not a group of settings")
  return found


def build(
  kind: type[Settings], values: Mapping[str, Any], default: Any = None
) -> Any:
  """Returns settings with these values.

  Each dataclass is made once, because its settings are checked together.

  Args:
    kind: dataclass of the settings.
    values: values by path.
    default: settings that hold all other values; None for the defaults of
      `kind`.
  """
  changes, groups = {}, {}
  for path, value in values.items():
    group, dot, name = path.partition(".")
    if dot:
      groups.setdefault(group, {})[name] = value
    else:
      changes[group] = value
  for group, inner in groups.items():
    before = getattr(default, group, None)
    changes[group] = build(groups_of(kind)[group], inner, before)
  if default is None:
    return kind(**changes)
  return dataclasses.replace(default, **changes)
