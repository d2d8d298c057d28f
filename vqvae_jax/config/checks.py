"""Checks of settings. Each raises `ConfigError` naming flag, value and rule.

A range asks "is it inside?", never "is it outside?", so that `nan` fails.
"""

import dataclasses
import math
from typing import Any, Literal, get_args, get_origin

from vqvae_jax.errors import ConfigError


def flag(config: Any, name: str) -> str:
  """A field's name on the command line."""
  return f"--{config.PREFIX}{name}".replace("_", "-")


def at_least(config: Any, name: str, low: int):
  """The field is `low` or more."""
  value = getattr(config, name)
  if not value >= low:
    raise ConfigError(f"{flag(config, name)} {value} is below {low}")


def positive(config: Any, name: str):
  """The field is above 0 and finite."""
  value = getattr(config, name)
  if not 0 < value < math.inf:
    raise ConfigError(
      f"{flag(config, name)} {value} is not a positive, finite number"
    )


def in_range(config: Any, name: str, low: float, high: float):
  """The field is in [low, high)."""
  value = getattr(config, name)
  if not low <= value < high:
    raise ConfigError(f"{flag(config, name)} {value} is not in [{low}, {high})")


def intensity_range(config: Any):
  """The field is None, or two values of 16 bits, the lower one first."""
  if config.intensity_range is None:
    return
  low, high = config.intensity_range
  if not 0 <= low < high <= 65535:
    raise ConfigError(
      f"--intensity-range {low} {high}: the first is below the second, and "
      "both are from 0 to 65535"
    )


def choices(config: Any):
  """Every field with a literal type holds one of its values."""
  for field in dataclasses.fields(config):
    if get_origin(field.type) is not Literal:
      continue
    options = get_args(field.type)
    value = getattr(config, field.name)
    if value not in options:
      raise ConfigError(
        f"{flag(config, field.name)} {value!r} is none of {', '.join(options)}"
      )


def divisible(config: Any, batch_size: int, accumulate: int):
  """Micro-batches are equally large."""
  if batch_size % accumulate:
    raise ConfigError(
      f"{flag(config, 'batch_size')} {batch_size} is not divisible by "
      f"{flag(config, 'accumulate')} {accumulate}"
    )


def processes(config: Any):
  """Raises unless the three flags of a process come together, and fit."""
  given = {
    name: getattr(config, name)
    for name in ("coordinator", "num_processes", "process_index")
    if getattr(config, name) is not None
  }
  if given and not config.multihost:
    name, value = next(iter(given.items()))
    raise ConfigError(f"{flag(config, name)} {value} is for --multihost")
  if 0 < len(given) < 3:
    raise ConfigError(
      "--coordinator, --num-processes and --process-index come together; only "
      f"{', '.join(flag(config, name) for name in given)} was given"
    )
  if given:
    at_least(config, "num_processes", 1)
    at_least(config, "process_index", 0)
    if config.process_index >= config.num_processes:
      raise ConfigError(
        f"--process-index {config.process_index} is not below "
        f"--num-processes {config.num_processes}"
      )
