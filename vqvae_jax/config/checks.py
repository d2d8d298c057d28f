"""Checks of settings. Each raises `ConfigError` naming flag, value and rule.

A range asks "is it inside?", never "is it outside?", so that `nan` fails.
"""

import dataclasses
import math
import re
import types
from typing import Any, Literal, Union, get_args, get_origin

from vqvae_jax.config import generators
from vqvae_jax.errors import ConfigError

# More would not fit the prior's output.
MAX_CODES = 2**20

# The largest value of each whole number: far more than any use, and few enough
# that arithmetic on them neither overflows nor takes a minute.
LARGEST = {
  "batch_size": 2**20,
  "bits": 20,
  "code_dim": 2**14,
  "codebook_size": MAX_CODES,
  "decode_steps": 2**20,
  "depth": 64,
  "groups": 2**10,
  "heads": 2**10,
  "hidden": 2**14,
  "image_size": 2**13,
  "kernel": 255,
  "kmeans": 10_000,
  "latent_dim": 2**16,
  "layers": 1_000,
  "levels": MAX_CODES,
  "num_images": 10**9,
  "num_processes": 10**6,
  "num_real": 10**9,
  "num_synthetic": 10**8,
  "num_train_images": 10**9,
  "residual_hidden": 2**14,
  "residual_layers": 1_000,
  "seed": 2**31 - 1,
  "seeds": 1_000,
  "shard_size": 10**7,
  "stride": 2**13,
  "sweep": 10**6,
  "top_k": MAX_CODES,
  "walk_steps": 10**5,
  "width": 2**14,
}
# Of those that the table leaves out, which count steps or evaluations.
LARGEST_COUNT = 10**8
# Of fractional numbers: squares of it are finite in float32.
LARGEST_NUMBER = 1e9

_NOUNS = {
  bool: "true or false",
  float: "a number",
  int: "a whole number",
  str: "text",
}


def flag(config: Any, name: str) -> str:
  """A field's name on the command line."""
  return f"--{config.PREFIX}{name}".replace("_", "-")


def shown(value: Any, longest: int = 100) -> str:
  """A value as messages quote it: in one line, and not a page long."""
  if isinstance(value, tuple):
    text = " ".join(shown(item) for item in value) or "(none)"
  elif type(value) is int and abs(value) >= 10**30:
    # Python refuses to print integers of thousands of digits.
    sign = "-" if value < 0 else ""
    text = f"{sign}1e{int(value.bit_length() * math.log10(2))}"
  elif isinstance(value, str):
    # As typed, but for line breaks and other signs that end a line.
    text = value if value.isprintable() else repr(value)
  else:
    text = repr(value)
  return text if len(text) <= longest else f"{text[:longest]}..."


def fields(config: Any):
  """Every field holds what its type says, and no number is beyond use.

  The first check of every dataclass of settings: the others compare numbers.
  """
  for field in dataclasses.fields(config):
    value = getattr(config, field.name)
    kind = field.type
    if value is None and type(None) in get_args(kind):
      continue
    kind = bare_type(kind)
    if type(value) is tuple and get_origin(kind) is tuple:
      values, kind = value, get_args(kind)[0]
    else:
      values = (value,)
    for value in values:
      _check_value(config, field.name, value, kind)


def bare_type(kind: Any) -> Any:
  """The type of a field without the `None` of an optional one."""
  if get_origin(kind) in (Union, types.UnionType):
    (kind,) = (k for k in get_args(kind) if k is not type(None))
  if kind is generators.GeneratorName:
    kind = Literal[tuple(generators.REGISTERED)]
  return kind


def describe(kind: Any) -> str:
  """What a field of this type holds, for a message."""
  if get_origin(kind) is Literal:
    options = [str(option) for option in get_args(kind)]
    return f"one of {', '.join(options)}"
  if get_origin(kind) is tuple:
    return "a list"
  return _NOUNS.get(kind, f"a {kind.__name__}")


def _fits(value, kind):
  if get_origin(kind) is Literal:
    # 1 == True, and channels are no truth value.
    return any(type(value) is type(x) and value == x for x in get_args(kind))
  if get_origin(kind) is tuple:
    return type(value) is tuple
  if kind is float:
    return type(value) in (int, float)
  if kind in (int, bool):
    return type(value) is kind
  return isinstance(value, kind)


def _check_value(config, name, value, kind):
  if not _fits(value, kind):
    # Without its quotes, text could be mistaken for the number it should be.
    quote = isinstance(value, str) and get_origin(kind) is not Literal
    raise ConfigError(
      f"{flag(config, name)} {shown(repr(value) if quote else value)} is not "
      f"{describe(kind)}"
    )
  if type(value) is int:
    largest = LARGEST.get(name, LARGEST_COUNT)
    if not value <= largest:
      raise ConfigError(
        f"{flag(config, name)} {shown(value)} is too large: at most "
        f"{largest:,} is allowed"
      )
    if not value >= -LARGEST_COUNT:
      raise ConfigError(f"{flag(config, name)} {shown(value)} is below 0")
  # Infinity and nan are for the ranges to refuse.
  if type(value) is float and LARGEST_NUMBER < abs(value) < math.inf:
    raise ConfigError(
      f"{flag(config, name)} {value} is too large: at most "
      f"{LARGEST_NUMBER:,.0f} is allowed"
    )


def at_least(config: Any, name: str, low: int):
  """The field is `low` or more."""
  value = getattr(config, name)
  if not value >= low:
    raise ConfigError(f"{flag(config, name)} {shown(value)} is below {low}")


def positive(config: Any, name: str):
  """The field is above 0 and finite."""
  value = getattr(config, name)
  if not 0 < value < math.inf:
    raise ConfigError(
      f"{flag(config, name)} {value} is not a positive, finite number"
    )


def in_range(config: Any, name: str, low: float, high: float):
  """The field is in [low, high); `high` may be infinity."""
  value = getattr(config, name)
  if low <= value < high:
    return
  start = f"{flag(config, name)} {value}"
  if high < math.inf:
    raise ConfigError(f"{start} must be {low} or more and below {high}")
  if value < low:
    raise ConfigError(f"{start} must be {low} or more")
  raise ConfigError(f"{start} is not a finite number")


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


def up_to_one(config: Any, name: str):
  """The field is in (0, 1]."""
  value = getattr(config, name)
  if not 0 < value <= 1:
    raise ConfigError(f"{flag(config, name)} {value} is not in (0, 1]")


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
    verb = "was" if len(given) == 1 else "were"
    raise ConfigError(
      "--coordinator, --num-processes and --process-index come together; only "
      f"{' and '.join(flag(config, name) for name in given)} {verb} given"
    )
  if given:
    _check_address(config.coordinator)
    at_least(config, "num_processes", 1)
    at_least(config, "process_index", 0)
    if config.process_index >= config.num_processes:
      raise ConfigError(
        f"--process-index {config.process_index} is not below "
        f"--num-processes {config.num_processes}"
      )


def _check_address(address):
  """Host, or an IPv6 address in brackets, and a port."""
  host, _, port = address.rpartition(":")
  bare = re.fullmatch(r"\[[0-9A-Fa-f:.%]+\]|[^\s:/\[\]]+", host)
  if not (bare and re.fullmatch("[0-9]{1,5}", port) and 0 < int(port) < 2**16):
    raise ConfigError(
      f"--coordinator {shown(address)} is not of the form HOST:PORT, such as "
      "10.0.0.1:1234"
    )
