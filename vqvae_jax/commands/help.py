"""Help in two lengths: what people need first, and everything."""

import shutil
import textwrap
from collections.abc import Iterable

from vqvae_jax.commands.flags import Flag, flags_of

# Where the explanations of the short help begin.
_INDENT = 32
# How the flags of a command that stand in no group of their own are headed.
_HEADINGS = {
  "tokenizer": "tokenizer: the VQ-VAE, images to ids and back",
  "prior": "prior: the class-conditional model of the ids",
  "baseline": "baseline: the generators of --model=ae, vae, beta_vae, dcgan",
}
_CLUSTER = ("multihost", "coordinator", "num_processes", "process_index")
# What the stages have in common, so that their help can tell it apart.
_TRAINING = (
  *("steps", "batch_size", "optimizer", "learning_rate", "schedule"),
  *("warmup_steps", "decay_rate", "decay_steps", "plateau_patience"),
  *("plateau_factor", "weight_decay", "momentum", "adam_b1", "clip_norm"),
  *("accumulate", "weights_ema", "patience", "log_every", "eval_every"),
  "checkpoint_every",
)


def short_help(
  kind: type, usage: str, description: str, first: Iterable[tuple[str, str]]
) -> str:
  """What people need first, in one screen.

  Args:
    kind: dataclass of the command's settings.
    usage: the command, such as `python train.py`.
    description: text above the flags.
    first: flag and explanation of each line; without an explanation, a heading.
  """
  flags = flags_of(kind)
  lines = [_usage(usage), "", description.strip(), ""]
  for name, text in first:
    lines += _entry(flags[name], text) if text else [f"{name}:"]
  lines += [
    "",
    f"Values shown are the defaults. This explains all {len(flags)} flags:",
    f"  {usage} --help-all",
  ]
  return "\n".join(lines)


def full_help(kind: type, usage: str, description: str) -> str:
  """Every flag with its comment, in groups; see `short_help`."""
  every = flags_of(kind).values()
  groups: dict[str, list[Flag]] = {}
  for flag in every:
    groups.setdefault(_heading(flag), []).append(flag)
  width = min(shutil.get_terminal_size().columns, 100)
  lines = [_usage(usage), "", description.strip()]
  for heading, flags in groups.items():
    lines += ["", heading, "-" * len(heading)]
    for flag in flags:
      lines += _explained(flag, width)
  lines.append("")
  lists = [flag for flag in every if flag.takes_list and flag.default]
  if lists:
    example = f"{lists[0].name} {_default(lists[0])}"
    lines.append(f"Lists are written with spaces: {example}.")
  lines += [
    "Shell completion: --tyro-print-completion bash (or zsh, tcsh) prints a",
    "script to source.",
  ]
  return "\n".join(lines)


def _usage(usage):
  return f"usage: {usage} [--FLAG=VALUE ...]"


def _heading(flag):
  group, dot, name = flag.field.rpartition(".")
  if not dot:
    return "cluster" if name in _CLUSTER else "options"
  return f"{group}: training" if name in _TRAINING else _HEADINGS[group]


def _entry(flag, text):
  """A flag with its default, and its explanation, in 80 columns."""
  wrapped = textwrap.wrap(text, 80 - _INDENT)
  start = f"  {flag.name}"
  if flag.takes_value:
    start += " " if flag.takes_list else "="
    start += flag.values if flag.optional else str(_default(flag))
  if len(start) < _INDENT - 1:
    start = start.ljust(_INDENT) + wrapped.pop(0)
  return [start, *(" " * _INDENT + line for line in wrapped)]


def _explained(flag, width):
  text = flag.comment
  start = f"  {flag.name}, {flag.opposite}"
  if flag.takes_value:
    space = " " if flag.takes_list else "="
    start = f"  {flag.name}{space}{flag.values}"
  if len(start) > width:
    # Many choices: below the flag.
    start = f"  {flag.name}{space}NAME" + " ..." * flag.takes_list
    text = f"Of {flag.values.removesuffix(' ...').replace('|', ', ')}. {text}"
  if not flag.optional:
    text += f" (default: {_default(flag)})"
  indent = " " * 6
  return [
    start,
    *textwrap.wrap(
      text, width, initial_indent=indent, subsequent_indent=indent
    ),
  ]


def _default(flag):
  if flag.takes_list:
    return " ".join(map(str, flag.default)) or "none"
  if not flag.takes_value:
    return "on" if flag.default else "off"
  return flag.default
