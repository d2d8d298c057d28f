"""Help in two lengths: what people need first, and everything."""

import shutil
import textwrap

from vqvae_jax.commands.flags import Flag, flags_of
from vqvae_jax.commands.table import Command

# Column at which the explanations of the short help begin.
_INDENT = 32


def short_help(command: Command, usage: str) -> str:
  """Returns what people need first, in one screen.

  Args:
    command: the command to explain.
    usage: how it is called, such as `python train.py`.
  """
  flags = flags_of(command.kind)
  lines = _introduction(command, usage)
  for name, text in command.first:
    lines += _entry(flags[name], text) if text else [f"{name}:"]
  lines += [
    "",
    f"Values shown are the defaults. This explains all {len(flags)} flags:",
    f"  {usage} --help-all",
  ]
  return "\n".join(lines)


def full_help(command: Command, usage: str) -> str:
  """Returns every flag with its comment, in groups; see `short_help`."""
  groups: dict[str, list[Flag]] = {}
  for flag in flags_of(command.kind).values():
    groups.setdefault(flag.heading, []).append(flag)
  # What few people need is last.
  for heading in ("cluster", "settings"):
    groups |= {heading: groups.pop(heading, [])}
  width = min(shutil.get_terminal_size().columns, 100)
  lines = _introduction(command, usage)[:-1]
  for heading, flags in groups.items():
    if flags:
      lines += ["", heading, "-" * len(heading)]
    for flag in flags:
      lines += _explained(flag, width)
  lines += [
    "",
    "Lists are written with spaces, as in --tokenizer.levels 8 5 5 5. A flag",
    "that would change nothing with the other settings is refused.",
    "Shell completion: --tyro-print-completion bash (or zsh, tcsh) prints a",
    "script to source.",
  ]
  return "\n".join(lines)


def _introduction(command, usage):
  described = command.description.format(usage=usage).strip()
  return [f"usage: {usage} [--FLAG=VALUE ...]", "", described, ""]


def _entry(flag, text):
  """A flag with its default, and its explanation, in 80 columns."""
  wrapped = textwrap.wrap(text, 80 - _INDENT, break_on_hyphens=False)
  start = f"  {flag.name}"
  if flag.takes_value:
    space = " " if flag.setting.is_list else "="
    start += space + (flag.values if flag.default is None else flag.default)
  if len(start) < _INDENT - 1:
    start = start.ljust(_INDENT) + wrapped.pop(0)
  return [start, *(" " * _INDENT + line for line in wrapped)]


def _explained(flag, width):
  text = flag.comment
  start = f"  {flag.name}, {flag.opposite}"
  if flag.takes_value:
    space = " " if flag.setting.is_list else "="
    start = f"  {flag.name}{space}{flag.values}"
  if len(start) > width:
    # Many choices stand below the flag.
    start = f"  {flag.name}{space}NAME" + " ..." * flag.setting.is_list
    choices = flag.values.removesuffix(" ...").replace("|", ", ")
    text = f"One of {choices}. {text}"
  notes = list(flag.notes)
  if flag.default is not None:
    notes.insert(0, f"default: {flag.default}")
  if notes:
    text += f" ({'; '.join(notes)})"
  indent = " " * 6
  return [
    start,
    *textwrap.wrap(
      text,
      width,
      initial_indent=indent,
      subsequent_indent=indent,
      break_on_hyphens=False,
    ),
  ]
