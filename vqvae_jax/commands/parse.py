"""Command lines to settings. Every mistake is one line that names it.

Words are read here and not by `tyro`, which frames its messages in several
lines, suggests nothing for `--flag=value`, and does not say which flags were
given.
"""

import dataclasses
import os
import re
from typing import Any

from vqvae_jax.commands.flags import Flag, flags_of, value_of
from vqvae_jax.commands.suggest import nearest
from vqvae_jax.config import Config, checks, relevance
from vqvae_jax.config.fields import Settings
from vqvae_jax.config.generators import REGISTERED, all_stages, stages_of
from vqvae_jax.config.paths import build
from vqvae_jax.errors import ConfigError

# Flags of every command that are not settings.
OTHERS = ("--help", "--help-all", "--version")


@dataclasses.dataclass(frozen=True)
class Given:
  """A flag of the command line.

  Attributes:
    flag: flag that was given.
    typed: its name, which may be the opposite.
    value: value that it gives to the field.
  """

  flag: Flag
  typed: str
  value: Any


def parse(
  kind: type[Settings], args: list[str], prog: str, default: Any = None
) -> Any:
  """Returns the settings that a command line asks for.

  Args:
    kind: dataclass of the command's settings.
    args: words of the command line.
    prog: name of the command, for messages.
    default: settings where no flag is given; None for those of `kind`.

  Raises:
    ConfigError: if a word is not a flag or not a value of its flag, if a flag
      would change nothing, or if the settings do not fit each other.
  """
  values = {one.flag.field: one.value for one in read(kind, args, prog)}
  asked = values
  path = values.pop("config", None)
  if path is not None:
    if default is not None:
      raise ConfigError(
        f"--config {checks.shown(path)} and --resume both give all settings; "
        "give one of them"
      )
    from vqvae_jax.commands import file

    found, is_record = file.read(kind, path)
    values = found | values
    # A record holds all settings of its run, whether they mattered or not.
    asked = asked if is_record else values
  config = build(kind, values, default)
  relevance.check(config, asked)
  return config


def read(kind: type[Settings], args: list[str], prog: str) -> list[Given]:
  """Returns the flags of a command line, each checked by itself."""
  flags = flags_of(kind)
  opposites = {
    flag.opposite: flag for flag in flags.values() if not flag.takes_value
  }
  known = flags | opposites
  given: list[Given] = []
  words = list(args)
  while words:
    word = words.pop(0)
    typed, equals, text = word.partition("=")
    name = typed.replace("_", "-")
    flag = known.get(name)
    if flag is None:
      raise ConfigError(_unknown(word, list(known), given, args, prog))
    if any(one.flag == flag for one in given):
      raise ConfigError(f"{flag.name} is given twice")
    if flag.takes_value:
      texts = [text] if equals else []
      value = value_of(flag, texts + _following(flag, texts, words))
    elif equals:
      raise ConfigError(
        f"{name} takes no value; write {flag.name} or {flag.opposite}"
      )
    else:
      value = name == flag.name
    given.append(Given(flag, name, value))
  return given


def _following(flag, texts, words):
  """Removes the texts of a flag's value from the words that follow it."""
  found = []
  while words and not _is_flag(words[0]):
    if (texts or found) and not flag.setting.is_list:
      break
    found.append(words.pop(0))
  return found


def _is_flag(word):
  """Whether a word begins a flag, and is not a negative number."""
  return word.startswith("-") and not re.match(r"-\.?\d|-inf|-nan", word)


def _unknown(word, names, given, args, prog):
  """Says what is wrong with a word, and which flag may be meant."""
  typed, equals, text = word.partition("=")
  name = checks.shown(typed) or repr(word)
  start = f"{name} is not a flag of {prog}"
  groups = {name.partition(".")[0] for name in names if "." in name}
  if typed in groups:
    return f"{start}, but of a group of flags; {prog} --help-all lists them"
  if not re.match("[-–—−]", word):
    meant = _bare_word(word, names, given)
    if meant:
      return f"{start}; {meant}"
  if equals and typed in OTHERS:
    return f"{typed} takes no value"
  if re.fullmatch("-+h(elp)?", typed.lower()):
    return f"{start}; did you mean --help?"
  found = nearest(typed, _of_model([*names, *OTHERS], args))
  if len(found) > 1:
    several = f"{', '.join(found[:-1])} or {found[-1]}"
    return f"{start}; {name} could be {several}"
  if found:
    return f"{start}; did you mean {found[0]}?"
  return f"{start}; {prog} --help lists the flags"


def _bare_word(word, names, given):
  """Says what a word without dashes may mean; None if nothing is likely."""
  typed, equals, text = word.partition("=")
  name = "--" + typed.replace("_", "-")
  if name in names or name in OTHERS:
    return f"did you mean {name}{equals}{checks.shown(text)}?"
  if equals:
    return None
  if given and not given[-1].flag.takes_value:
    return f"{given[-1].typed} takes no value"
  if given and given[-1].flag.setting.kind is str:
    # The shell splits what is not in quotes.
    value = checks.shown(f"{given[-1].value} {word}")
    return (
      f"if it belongs to {given[-1].typed}, write {given[-1].typed}='{value}'"
    )
  # A command first needs a data set or a run.
  first = next(n for n in names if n in ("--dataset", "--workdir"))
  if any(one.flag.name == first for one in given):
    return None
  folder = first == "--dataset" and os.path.isdir(word)
  value = f"folder:{word}" if folder else word
  return f"did you mean {first}={checks.shown(value)}?"


def _of_model(names, args):
  """Leaves out the flags of stages that the model of the command lacks."""
  if "--model" not in names:
    return names
  found = re.search(rf"--model[= ]({'|'.join(REGISTERED)})\b", " ".join(args))
  stages = stages_of(found[1] if found else Config.model)
  others = tuple(f"--{s}." for s in all_stages() if s not in stages)
  of_model = [name for name in names if not name.startswith(others)]
  lasts = {name.rpartition(".")[2] for name in of_model}
  return of_model + [
    name
    for name in names
    if name.startswith(others) and name.rpartition(".")[2] not in lasts
  ]
