"""What all commands share: flags in, one line and an exit code out."""

import sys
from collections.abc import Callable
from typing import Any

from vqvae_jax import stops
from vqvae_jax.errors import Interrupted, UserError, told_in_one_line
from vqvae_jax.progress import print_anything


def run(
  kind: type,
  action: Callable[[Any], object],
  description: str,
  *,
  prog: str | None = None,
  resume: str = "the same command goes on from there",
  default: Callable[[list[str]], Any] = lambda args: None,
) -> int:
  """Runs a command and gives its exit code.

  Args:
    kind: dataclass of the command's settings, which become its flags.
    action: the work, called with the settings.
    description: text above the flags in `--help`.
    prog: name of the command in `--help`; by default the script's.
    resume: how to go on after an interruption.
    default: settings where no flag is given, from the command line; None for
      those of `kind`.

  Returns:
    0; 2 after a mistake that the user can mend or an error of the disk, the
    memory or the device, which is told in one line; 128 and the signal's
    number after a signal.
  """
  print_anything()
  with stops.OneLine(resume):
    try:
      import tyro

      given = default(sys.argv[1:])
      config = tyro.cli(
        kind,
        description=description,
        prog=prog,
        **({} if given is None else {"default": given}),
      )
      action(config)
    except UserError as error:
      print(f"error: {error}", file=sys.stderr)
      return 2
    except Interrupted as stop:
      print(f"{stop}; {resume}")
      return 128 + stop.signum
    except Exception as error:
      line = told_in_one_line(error)
      if line is None:
        raise
      kept = f"what was saved stays, and {resume}"
      print(f"error: {line}; {kept}", file=sys.stderr)
      return 2
  return 0


def value_of(flag: str, args: list[str]) -> str | None:
  """The value of a flag of a command line, or None if it is not given."""
  for word, following in zip(args, [*args[1:], None], strict=True):
    name, equals, value = word.partition("=")
    if name.replace("_", "-") == flag:
      return value if equals else following
  return None
