"""What all commands share: flags in, one line and an exit code out."""

import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

from vqvae_jax import commands, stops
from vqvae_jax.errors import Interrupted, UserError, told_in_one_line


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
    0; 2 after a mistake that the user can mend or an error of the disk, the
    memory or the device, which is told in one line; 128 and the signal's
    number after a signal.

  Raises:
    SystemExit: with 0, after help.
  """
  args = sys.argv[1:]
  prog = prog or os.path.basename(sys.argv[0])
  with stops.OneLine(resume):
    text = commands.answer(kind, args, prog, description, first)
    if text is not None:
      commands.show(text)
      sys.exit(0)
    return guarded(
      lambda: action(commands.parse(kind, args, prog, default(args))), resume
    )


def guarded(work: Callable[[], object], resume: str) -> int:
  """Does work and gives the exit code of `run`.

  Args:
    work: what to do.
    resume: how to go on after an interruption.
  """
  # Here, so that help answers at once.
  from vqvae_jax.progress import print_anything

  print_anything()
  with stops.OneLine(resume):
    try:
      work()
    except UserError as error:
      return _failed(str(error))
    except Interrupted as stop:
      print(f"{stop}; {resume}")
      return 128 + stop.signum
    except Exception as error:
      line = told_in_one_line(error)
      if line is None:
        raise
      return _failed(f"{line}; what was saved stays, and {resume}")
  return 0


def _failed(message):
  print(f"error: {one_line(message)}", file=sys.stderr)
  return 2


def one_line(message: str) -> str:
  """A message in one line, harmless to a terminal.

  Messages quote names of files and classes, which may hold anything.
  """
  words = " ".join(part.strip() for part in message.splitlines())
  return "".join(
    sign if sign.isprintable() else repr(sign)[1:-1] for sign in words
  )


def value_of(flag: str, args: list[str]) -> str | None:
  """The value of a flag of a command line, or None if it is not given."""
  for word, following in zip(args, [*args[1:], None], strict=True):
    name, equals, value = word.partition("=")
    if name.replace("_", "-") == flag:
      return value if equals else following
  return None
