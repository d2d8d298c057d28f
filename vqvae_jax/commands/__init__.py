"""The command line: flags of dataclasses, help, and mistakes in one line."""

import os
import sys

from vqvae_jax.commands import help as help_texts
from vqvae_jax.commands.parse import parse
from vqvae_jax.commands.table import Command

__all__ = ["answer", "parse", "show"]


def answer(command: Command, args: list[str], usage: str) -> str | None:
  """Returns what a command prints without any work, or None if it has work.

  Args:
    command: the command.
    args: words of the command line.
    usage: how the command was called, such as `python train.py`.
  """
  if "--help-all" in args:
    return help_texts.full_help(command, usage)
  if "--help" in args or "-h" in args:
    return help_texts.short_help(command, usage)
  if "--version" in args:
    import vqvae_jax

    return f"vqvae_jax {vqvae_jax.__version__}"
  if args and args[0] == "--tyro-print-completion":
    import tyro

    tyro.cli(command.kind, args=args, prog=usage.removeprefix("python "))
  return None


def show(text: str) -> None:
  """Prints; a reader that stops early, such as `head`, is not a mistake."""
  try:
    print(text, flush=True)
  except BrokenPipeError:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
