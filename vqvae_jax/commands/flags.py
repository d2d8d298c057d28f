"""The flags that a dataclass of settings has, and the texts they take."""

import dataclasses
import functools
import inspect
import re
from typing import Any, Literal, get_args, get_origin

from vqvae_jax.config import checks, relevance
from vqvae_jax.config.fields import (
  Rule,
  Setting,
  Settings,
  groups_of,
  rule_of,
  settings_of,
)
from vqvae_jax.config.paths import paths_of
from vqvae_jax.config.stage import StageConfig
from vqvae_jax.errors import ConfigError

# No setting has this many digits, and Python refuses to read some thousands.
_LONGEST_NUMBER = 30


@dataclasses.dataclass(frozen=True)
class Flag:
  """One flag of a command.

  Attributes:
    field: path of the setting, such as `tokenizer.codebook_size`.
    setting: the setting.
    comment: comment above its field.
    heading: title of the flag's group in help.
    notes: what the rule of the setting says, in words.
  """

  field: str
  setting: Setting
  comment: str
  heading: str
  notes: tuple[str, ...] = ()

  @property
  def name(self) -> str:
    """The name as it is typed, such as `--tokenizer.codebook-size`."""
    return "--" + self.field.replace("_", "-")

  @property
  def takes_value(self) -> bool:
    """False for flags that are on or off."""
    return self.setting.kind is not bool

  @property
  def opposite(self) -> str:
    """The name that turns the flag off, such as `--tokenizer.no-filter`."""
    head, dot, last = self.name.rpartition(".")
    return f"{head}.no-{last}" if dot else f"--no-{last[2:]}"

  @property
  def values(self) -> str:
    """The word that stands for the value in a usage line."""
    kind = self.setting.element
    if get_origin(kind) is Literal:
      text = "|".join(str(option) for option in get_args(kind))
    else:
      text = {int: "N", float: "X", str: "TEXT"}[kind]
      text = self.setting.rule.unit.upper() or text
    return f"{text} ..." if self.setting.is_list else text

  @property
  def default(self) -> str | None:
    """The default as it is typed; None if it depends on other things."""
    one = self.setting
    value = one.default
    if value is None and one.rule.none_means:
      value = one.rule.none_means.value
    if not self.takes_value:
      return "on" if value else "off"
    if one.is_list and value is not None:
      return " ".join(map(str, value)) or "none"
    return None if value is None else str(value)


CONFIG = Flag(
  "config",
  Setting("config", str, True, None, Rule(unit="file"), Settings),
  "Takes settings from this file: YAML (.yaml, .yml) or JSON, such as the "
  "config.json of a run or the study.json of a study. Flags override them. A "
  "value that differs from the default and would change nothing is refused as "
  "a flag is, except in those two records, which hold all settings.",
  "settings",
)


@functools.cache
def flags_of(kind: type[Settings]) -> dict[str, Flag]:
  """Returns all flags of a command by name, in the order of help.

  Args:
    kind: dataclass of the command's settings.
  """
  found = []
  for path, one in paths_of(kind).items():
    group, _, name = path.rpartition(".")
    owner = groups_of(kind)[group] if group else kind
    heading = one.declared_by.HEADING
    if group and one.declared_by is not StageConfig:
      heading = owner.HEADING
    found.append(
      Flag(
        path,
        one,
        _comments(owner)[name],
        f"{group}: {heading}" if group else heading,
        tuple(_notes(kind, owner, name)),
      )
    )
  # What belongs to a model comes before how it is trained.
  groups = ["", *groups_of(kind)]
  found.sort(
    key=lambda flag: (
      groups.index(flag.field.rpartition(".")[0]),
      flag.setting.declared_by is StageConfig,
    )
  )
  return {flag.name: flag for flag in [*found, CONFIG]}


@functools.cache
def _comments(kind):
  """The comment right above each field, wherever the field is declared."""
  found = {}
  for base in reversed(kind.__mro__[:-1]):
    above = []
    for line in inspect.getsource(base).splitlines():
      line = line.strip()
      declared = re.match(r"(\w+): ", line)
      if line.startswith("#"):
        above.append(line[1:].strip())
        continue
      if declared and above:
        found[declared[1]] = " ".join(above)
      above = []
  return found


def _notes(kind, owner, name):
  """What the rule of a setting says: defaults of cases, range, conditions."""

  def flag_of(decider):
    holder = owner if hasattr(owner, decider) else kind
    return checks.flag(holder, holder.DECIDERS.get(decider, decider))

  rule = rule_of(owner, name)
  means = rule.none_means
  for case, value in (means.cases if means else {}).items():
    yield f"with {flag_of(means.decider)}={case}: {value}"
  # Whole numbers mostly have bounds that nobody meets.
  if settings_of(owner)[name].element is float or rule.bounds[1] < 256:
    yield rule.range
  if rule.only:
    needed = [
      relevance.phrase(flag_of(decider), wanted)
      for decider, wanted in rule.only.items()
    ]
    yield f"only with {' and '.join(needed)}"


def value_of(flag: Flag, texts: list[str]) -> Any:
  """Returns the value that these texts give to a flag.

  Raises:
    ConfigError: if there are none, or one cannot be read.
  """
  one = flag.setting
  if one.is_list:
    texts = [part for text in texts for part in re.split(r"[\s,]+", text)]
  if not texts or not all(texts):
    needs = checks.describe(one.kind)
    if one.is_list:
      needs = f"a list such as {flag.name} {flag.values}"
    raise ConfigError(f"{flag.name} has no value; it needs {needs}")
  if texts == ["None"] and one.optional:
    return None
  values = tuple(_read(flag, one.element, text) for text in texts)
  return values if one.is_list else values[0]


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
