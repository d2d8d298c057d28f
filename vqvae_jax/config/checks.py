"""Checks of single settings, whose errors name flag, value and rule."""

import math
from typing import Any, Literal, get_args, get_origin

from vqvae_jax.errors import ConfigError

# Largest whole number where a rule sets none: it counts steps or evaluations.
LARGEST_COUNT = 10**8
# Largest fractional number: squares of it are finite in float32.
LARGEST_NUMBER = 1e9

_NOUNS = {
  bool: "true or false",
  float: "a number",
  int: "a whole number",
  str: "text",
}


def flag(config: Any, name: str) -> str:
  """Returns a field's name on the command line."""
  return f"--{config.PREFIX}{name}".replace("_", "-")


def shown(value: Any, longest: int = 100) -> str:
  """Returns a value as messages quote it: in one line and shortened."""
  if isinstance(value, tuple):
    text = " ".join(shown(item) for item in value) or "(none)"
  elif type(value) is int and abs(value) >= 10**30:
    # Python refuses to print integers of thousands of digits.
    sign = "-" if value < 0 else ""
    text = f"{sign}1e{int(value.bit_length() * math.log10(2))}"
  elif isinstance(value, str):
    # As it was typed, except for signs that end a line.
    text = value if value.isprintable() else repr(value)
  else:
    text = repr(value)
  return text if len(text) <= longest else f"{text[:longest]}..."


def describe(kind: Any) -> str:
  """Returns what a field of this type holds, for a message."""
  if get_origin(kind) is Literal:
    options = [str(option) for option in get_args(kind)]
    return f"one of {', '.join(options)}"
  return "a list" if get_origin(kind) is tuple else _NOUNS[kind]


def check(config: Any, one: Any):
  """Checks the value of one field: its type, its range, its length.

  Args:
    config: settings that hold the value.
    one: the `fields.Setting` that describes the field.

  Raises:
    ConfigError: if the value does not fit.
  """
  value = getattr(config, one.name)
  if value is None and one.optional:
    return
  start = f"{flag(config, one.name)} {shown(value)}"
  if not one.is_list:
    _check_value(config, one, value, one.kind)
  elif type(value) is not tuple:
    _check_type(config, one, value, one.kind)
  else:
    for element in value:
      _check_value(config, one, element, one.element)
    if one.rule.distinct and len(set(value)) < len(value):
      raise ConfigError(f"{start} names a value twice")
  if one.rule.filled and not value:
    hint = f"; the default is {shown(one.default)}" if one.default else ""
    raise ConfigError(f"{flag(config, one.name)} is empty{hint}")


def _check_value(config, one, value, kind):
  _check_type(config, one, value, kind)
  if type(value) not in (int, float):
    return
  start, rule = f"{flag(config, one.name)} {shown(value)}", one.rule
  if value != value:
    raise ConfigError(f"{start} is not a number")
  largest = LARGEST_COUNT if kind is int else LARGEST_NUMBER
  if rule.within[-1] == "]":
    largest = rule.bounds[1]
  if value > largest:
    raise ConfigError(
      f"{start} is too large: at most {largest:,.10g} is allowed"
    )
  if not rule.allows(value):
    raise ConfigError(f"{start} must be {rule.range}")


def _check_type(config, one, value, kind):
  if _fits(value, kind):
    return
  # Without its quotes, text could be mistaken for the number it should be.
  quote = isinstance(value, str) and get_origin(kind) is not Literal
  raise ConfigError(
    f"{flag(config, one.name)} {shown(repr(value) if quote else value)} is not "
    f"{describe(kind)}"
  )


def _fits(value, kind):
  if get_origin(kind) is Literal:
    # In Python 1 == True, and channels are not a truth value.
    return any(type(value) is type(x) and value == x for x in get_args(kind))
  if kind is float:
    return type(value) in (int, float)
  return type(value) is (get_origin(kind) or kind)
