"""Settings are fields of frozen dataclasses, each with one rule.

`setting` declares a field with its rule. The checks of values, the refusal of
flags that would change nothing (`relevance`) and what help says about ranges
and defaults are derived from the rules.
"""

import dataclasses
import functools
import inspect
import math
import operator
import types
from collections.abc import Callable, Mapping
from typing import (
  Any,
  ClassVar,
  Literal,
  TypeVar,
  Union,
  get_args,
  get_origin,
)

from vqvae_jax.config import checks, generators
from vqvae_jax.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class Means:
  """What `None` stands for.

  Attributes:
    value: the value in general.
    decider: name of a setting on which the value depends.
    cases: the value for some values of that setting.
  """

  value: Any
  decider: str = ""
  cases: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Values:
  """The values of a setting with which another one matters.

  Attributes:
    text: the values in words, which follow the flag: "above 0".
    test: whether a value is one of them.
  """

  text: str
  test: Callable[[Any], bool]


# The values themselves, a function that returns them, or a test.
Wanted = tuple[Any, ...] | Callable[[], tuple[Any, ...]] | Values


@dataclasses.dataclass(frozen=True)
class Rule:
  """What a setting may hold and when it matters.

  Attributes:
    within: interval of the numbers that are allowed, such as "[0, 1)".
    filled: whether text or a list must not be empty.
    distinct: whether a list must not hold a value twice.
    unit: what the value is or counts, which help shows instead of N.
    only: the setting matters only with these values of other settings.
    none_means: what `None` stands for.
    of_command: whether it belongs to one command and not to the run.
  """

  within: str = "(-inf, inf)"
  filled: bool = False
  distinct: bool = False
  unit: str = ""
  only: Mapping[str, Wanted] = dataclasses.field(default_factory=dict)
  none_means: Means | None = None
  of_command: bool = False

  @functools.cached_property
  def bounds(self) -> tuple[float, float]:
    """The ends of the interval."""
    low, high = self.within[1:-1].split(",")
    return float(low), float(high)

  def allows(self, value: int | float) -> bool:
    """Returns whether a number lies in the interval; nan never does."""
    low, high = self.bounds
    above = low < value or (low == value and self.within[0] == "[")
    return above and (
      value < high or (value == high and self.within[-1] == "]")
    )

  @property
  def range(self) -> str:
    """The numbers that are allowed, in words."""
    words = {"[": "at least", "(": "above", "]": "at most", ")": "below"}
    ends = zip((self.within[0], self.within[-1]), self.bounds, strict=True)
    return " and ".join(
      f"{words[end]} {bound:,.10g}"
      for end, bound in ends
      if abs(bound) < math.inf
    )


@dataclasses.dataclass(frozen=True)
class Setting:
  """A field of a dataclass of settings.

  Attributes:
    name: name of the field.
    declared: declared type of its value, without `None`.
    optional: whether the value may be `None`.
    default: default value.
    rule: what the value may be.
    declared_by: first class that declares the field.
  """

  name: str
  declared: Any
  optional: bool
  default: Any
  rule: Rule
  declared_by: type

  @property
  def kind(self) -> Any:
    """Type of the value; generators are looked up now."""
    if self.declared is generators.GeneratorName:
      return operator.getitem(Literal, tuple(generators.REGISTERED))
    return self.declared

  @property
  def is_list(self) -> bool:
    """Whether the value is a tuple."""
    return get_origin(self.kind) is tuple

  @property
  def element(self) -> Any:
    """Type of the value, or of each value of a list."""
    return get_args(self.kind)[0] if self.is_list else self.kind


AnySettings = TypeVar("AnySettings", bound="Settings")


class Settings:
  """Base of all dataclasses of settings, which are checked when made."""

  # The rules check all values, with messages for users, so a type checker that
  # runs with the code leaves these classes alone. See also `config.__init__`.
  __no_type_check__ = True
  PREFIX: ClassVar[str] = ""
  # The heading of the fields in help.
  HEADING: ClassVar[str] = ""
  # The fields that decide where rules name a setting that the class lacks.
  DECIDERS: ClassVar[Mapping[str, str]] = {}

  def __post_init__(self):
    for one in settings_of(type(self)).values():
      checks.check(self, one)
    for name, kind in groups_of(type(self)).items():
      if not isinstance(value := getattr(self, name), kind):
        raise ConfigError(
          f"{checks.flag(self, name)} {checks.shown(value)} is not a "
          f"{kind.__name__}"
        )
    self.check_together()

  def check_together(self):
    """Raises `ConfigError` if settings do not fit each other."""

  def limit(self, path: str) -> str | None:
    """Returns why a value is replaced by a smaller one, or None."""
    del path

  def with_defaults(self: AnySettings, **deciders: str) -> AnySettings:
    """Returns the settings with the values that `None` stands for.

    Args:
      **deciders: settings of other classes on which the values depend.
    """
    found = {}
    for one in settings_of(type(self)).values():
      means = one.rule.none_means
      if means is None or getattr(self, one.name) is not None:
        continue
      case = deciders.get(means.decider, getattr(self, means.decider, None))
      found[one.name] = means.cases.get(case, means.value)
    return dataclasses.replace(self, **found)


def setting(default: Any, within: str = Rule.within, **rule: Any) -> Any:
  """Declares a field.

  Args:
    default: default value.
    within: interval of the numbers that are allowed.
    **rule: other attributes of the field's `Rule`.
  """
  metadata = {"rule": Rule(within, **rule)}
  return dataclasses.field(default=default, metadata=metadata)


def group(kind: type[Settings], only: Mapping[str, Wanted]) -> Any:
  """Declares a field that holds other settings, which matter only sometimes."""
  metadata = {"rule": Rule(only=only)}
  return dataclasses.field(default_factory=kind, metadata=metadata)


def hints_of(kind: type) -> dict[str, Any]:
  """Returns the types of all fields of a class, as they are declared."""
  found = {}
  for base in reversed(kind.__mro__):
    found |= inspect.get_annotations(base, eval_str=True)
  return found


@functools.cache
def settings_of(kind: type[Settings]) -> dict[str, Setting]:
  """Returns the fields that hold values, by name."""
  hints = hints_of(kind)
  groups = groups_of(kind)
  found = {}
  for field in dataclasses.fields(kind):
    if field.name in groups:
      continue
    bare = bare_type(hints[field.name])
    found[field.name] = Setting(
      field.name,
      bare,
      bare is not hints[field.name],
      field.default,
      rule_of(kind, field.name),
      next(
        base
        for base in reversed(kind.__mro__)
        if field.name in base.__dict__.get("__annotations__", ())
      ),
    )
  return found


@functools.cache
def groups_of(kind: type[Settings]) -> dict[str, type[Settings]]:
  """Returns the fields that hold other settings: their classes, by name."""
  hints = hints_of(kind)
  return {
    field.name: hints[field.name]
    for field in dataclasses.fields(kind)
    if dataclasses.is_dataclass(hints[field.name])
  }


def rule_of(kind: type[Settings], name: str) -> Rule:
  """Returns the rule of a field.

  A field that a class declares again with another default keeps its rule.
  """
  for base in kind.__mro__:
    field = getattr(base, "__dataclass_fields__", {}).get(name)
    if field is not None and "rule" in field.metadata:
      return field.metadata["rule"]
  return Rule()


def of_command(kind: type[Settings]) -> list[str]:
  """Returns the names of the fields that belong to one command."""
  every = settings_of(kind).values()
  return [one.name for one in every if one.rule.of_command]


def bare_type(kind: Any) -> Any:
  """Returns the type of a field without the `None` of an optional one."""
  if get_origin(kind) in (Union, types.UnionType):
    (kind,) = (k for k in get_args(kind) if k is not type(None))
  return kind
