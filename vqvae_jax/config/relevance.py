"""Refuses flags that would change nothing.

Whoever gives a flag expects something of it, so a flag that the other settings
make idle is refused, unless it repeats the default, as scripts do that pass
every flag. Only settings that were asked for are refused: a stored
configuration, or one that Python code makes, may hold idle settings as well.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from vqvae_jax.config import checks
from vqvae_jax.config.fields import (
  Settings,
  Values,
  Wanted,
  groups_of,
  rule_of,
)
from vqvae_jax.errors import ConfigError


def check(config: Settings, given: Iterable[str]):
  """Raises `ConfigError` for the first setting that would change nothing.

  Args:
    config: settings of a command.
    given: paths of the fields that were asked for, such as `prior.heads`.
  """
  for path in given:
    group, _, name = path.rpartition(".")
    owner = getattr(config, group) if group else config
    value = getattr(owner, name)
    if value == getattr(type(owner), name):
      continue
    start = f"{checks.flag(owner, name)} {checks.shown(value)} would change"
    limited = config.limit(path)
    if limited is not None:
      raise ConfigError(f"{start} nothing {limited}")
    for decider, wanted in conditions(type(config), path):
      where = owner if hasattr(owner, decider) else config
      found = getattr(where, decider)
      found = found if isinstance(found, tuple) else (found,)
      if not any(matches(wanted, one) for one in found):
        flag = checks.flag(where, where.DECIDERS.get(decider, decider))
        raise ConfigError(f"{start} nothing {_with(flag, found, wanted)}")


def conditions(kind: type[Settings], path: str) -> Iterator[tuple[str, Wanted]]:
  """Yields the settings that decide whether another one matters.

  Args:
    kind: dataclass of the command's settings.
    path: path of the setting.

  Yields:
    Name of the deciding setting, and the values with which the other matters.
  """
  group, _, name = path.rpartition(".")
  if group:
    yield from rule_of(kind, group).only.items()
    kind = groups_of(kind)[group]
  yield from rule_of(kind, name).only.items()


def matches(wanted: Wanted, value: Any) -> bool:
  """Returns whether a value is one of those that a rule wants."""
  if isinstance(wanted, Values):
    return wanted.test(value)
  return value in (wanted() if callable(wanted) else wanted)


def phrase(flag: str, wanted: Wanted) -> str:
  """Returns the flag with the values that a rule wants, in words."""
  if isinstance(wanted, Values):
    return f"{flag} {wanted.text}"
  if wanted == (True,):
    return flag
  *others, last = map(str, wanted() if callable(wanted) else wanted)
  return f"{flag}={', '.join(others)} or {last}" if others else f"{flag}={last}"


def _with(flag, found, wanted):
  """Says with which value a setting is idle, and which it needs."""
  if found[0] is False:
    return f"without {flag}"
  return f"with {flag}={checks.shown(found)}; it needs {phrase(flag, wanted)}"
