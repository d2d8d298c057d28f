"""The command line: flags of dataclasses, help, and mistakes in one line."""

import os
import sys
from typing import Any

from vqvae_jax.commands import help as help_texts
from vqvae_jax.commands.parse import parse

__all__ = ["answer", "parse", "show"]


def answer(
  kind: type, args: list[str], prog: str, description: str, first: Any
) -> str | None:
  """What a command says without any work, or None if it has work to do.

  Args:
    kind: dataclass of the command's settings.
    args: words of the command line.
    prog: name of the command, such as `train.py`.
    description: text above the flags.
    first: lines of the short help; see `help.short_help`.
  """
  usage = prog if prog.startswith("python ") else f"python {prog}"
  if "--help-all" in args:
    return help_texts.full_help(kind, usage, description)
  if "--help" in args or "-h" in args:
    return help_texts.short_help(kind, usage, description, first)
  if "--version" in args:
    import vqvae_jax

    return f"vqvae_jax {vqvae_jax.__version__}"
  if args and args[0] == "--tyro-print-completion":
    import tyro

    tyro.cli(kind, args=args, prog=prog)
  return None


def show(text: str):
  """Prints; a reader that stops early, such as `head`, is not a mistake."""
  try:
    print(text, flush=True)
  except BrokenPipeError:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
