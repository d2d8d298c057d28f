"""What all commands share: flags in, one line and an exit code out."""

import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

from vqvae_jax import commands
from vqvae_jax.errors import Interrupted, UserError


def run(
  kind: type,
  action: Callable[[Any], object],
  description: str,
  *,
  first: Iterable[tuple[str, str]],
  prog: str | None = None,
  resume: str = "the same command goes on from there",
  default: Callable[[list[str]], Any] = lambda args: None,
) -> int:
  """Runs a command and gives its exit code.

  Args:
    kind: dataclass of the command's settings, which become its flags.
    action: the work, called with the settings.
    description: text above the flags in `--help`.
    first: the flags that `--help` explains; see `commands.first`.
    prog: name of the command; by default the script's.
    resume: how to go on after an interruption.
    default: function of the command line that gives the settings where no flag
      is given; None for those of `kind`.

  Returns:
    0; 2 after a mistake that the user can mend, which is told in one line;
    128 and the signal's number after a signal.

  Raises:
    SystemExit: with 0, after help.
  """
  args = sys.argv[1:]
  prog = prog or os.path.basename(sys.argv[0])
  text = commands.answer(kind, args, prog, description, first)
  if text is not None:
    commands.show(text)
    sys.exit(0)
  try:
    action(commands.parse(kind, args, prog, default(args)))
  except UserError as error:
    print(f"error: {one_line(str(error))}", file=sys.stderr)
    return 2
  except Interrupted as stop:
    print(f"{stop}; {resume}")
    return 128 + stop.signum
  except KeyboardInterrupt:
    print(f"interrupted; {resume}", file=sys.stderr)
    return 130
  return 0


def one_line(message: str) -> str:
  """A message in one line, harmless to a terminal.

  Messages quote names of files and classes, which may hold anything.
  """
  words = " ".join(part.strip() for part in message.splitlines())
  return "".join(
    sign if sign.isprintable() else repr(sign)[1:-1] for sign in words
  )
