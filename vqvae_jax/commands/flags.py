"""The flags that a dataclass of settings has, and the texts they take."""

import dataclasses
import functools
import inspect
import re
from typing import Any, Literal, get_args, get_origin

from vqvae_jax.config import checks
from vqvae_jax.errors import ConfigError

# No setting has as many digits, and Python refuses to read some thousands.
_LONGEST_NUMBER = 30


@dataclasses.dataclass(frozen=True)
class Flag:
  """One flag of a command.

  Attributes:
    name: name as it is typed, such as `--tokenizer.codebook-size`.
    field: path of the field, such as `tokenizer.codebook_size`.
    kind: type of the value, without `None`.
    optional: whether the value may be `None`.
    default: value where the flag is not given.
    comment: comment above the field.
  """

  name: str
  field: str
  kind: Any
  optional: bool
  default: Any
  comment: str

  @property
  def takes_value(self) -> bool:
    """False for flags that are on or off."""
    return self.kind is not bool

  @property
  def takes_list(self) -> bool:
    """Whether several values may follow."""
    return get_origin(self.kind) is tuple

  @property
  def opposite(self) -> str:
    """Name that turns the flag off, such as `--tokenizer.no-filter`."""
    head, dot, last = self.name.rpartition(".")
    return f"{head}.no-{last}" if dot else f"--no-{last[2:]}"

  @property
  def values(self) -> str:
    """What stands for the value in a usage line."""
    kind = get_args(self.kind)[0] if self.takes_list else self.kind
    if get_origin(kind) is Literal:
      text = "|".join(str(option) for option in get_args(kind))
    elif self.field in ("data_dir", "out", "workdir"):
      text = "DIR"
    else:
      text = {int: "N", float: "X", str: "TEXT"}[kind]
    return f"{text} ..." if self.takes_list else text


@functools.cache
def flags_of(kind: type, prefix: str = "") -> dict[str, Flag]:
  """All flags of a dataclass, by name, in the order of its fields.

  Args:
    kind: dataclass of settings, whose fields may be such dataclasses.
    prefix: path of the fields that lead to it.
  """
  found = {}
  explained = comments(kind)
  for field in dataclasses.fields(kind):
    path = prefix + field.name
    if dataclasses.is_dataclass(field.type):
      found |= flags_of(field.type, f"{path}.")
      continue
    bare = checks.bare_type(field.type)
    name = "--" + path.replace("_", "-")
    found[name] = Flag(
      name,
      path,
      bare,
      type(None) in get_args(field.type),
      field.default,
      explained[field.name],
    )
  return found


def comments(kind: type) -> dict[str, str]:
  """The comment right above each field, wherever the field is declared."""
  found = {}
  for base in reversed(kind.__mro__[:-1]):
    lines = [line.strip() for line in inspect.getsource(base).splitlines()]
    above = []
    for line in lines:
      declared = re.match(r"(\w+): ", line)
      if line.startswith("#"):
        above.append(line[1:].strip())
        continue
      if declared and declared[1] in base.__annotations__ and above:
        found[declared[1]] = " ".join(above)
      above = []
  return {field.name: found[field.name] for field in dataclasses.fields(kind)}


def value_of(flag: Flag, texts: list[str]) -> Any:
  """The value that these texts give to a flag.

  Raises:
    ConfigError: if there are none, or one cannot be read.
  """
  if flag.takes_list:
    texts = [part for text in texts for part in re.split(r"[\s,]+", text)]
  if not texts or not all(texts):
    raise ConfigError(f"{flag.name} has no value; it needs {_needs(flag)}")
  if texts == ["None"] and flag.optional:
    return None
  if flag.takes_list:
    (element, _) = get_args(flag.kind)
    return tuple(_read(flag, element, text) for text in texts)
  return _read(flag, flag.kind, texts[0])


def _needs(flag):
  if flag.takes_list:
    return f"a list such as {flag.name} {flag.values}"
  return checks.describe(flag.kind)


def _read(flag, kind, text):
  start = f"{flag.name} {checks.shown(text)}"
  if get_origin(kind) is Literal:
    options = {str(option): option for option in get_args(kind)}
    if text not in options:
      raise ConfigError(f"{start} is not {checks.describe(kind)}")
    return options[text]
  if kind is int:
    if not re.fullmatch(r"[+-]?[0-9]+(_[0-9]+)*", text):
      raise ConfigError(f"{start} is not a whole number")
    if len(text) > _LONGEST_NUMBER:
      raise ConfigError(f"{start} is too large: it has {len(text)} digits")
    return int(text)
  if kind is float:
    try:
      return float(text)
    except ValueError:
      raise ConfigError(f"{start} is not a number") from None
  return text
