"""What all commands share: flags in, one line and an exit code out."""

import sys
from collections.abc import Callable
from typing import Any

import tyro

from vqvae_jax.errors import Interrupted, UserError
from vqvae_jax.progress import print_anything


def run(
  kind: type,
  action: Callable[[Any], object],
  description: str,
  *,
  prog: str | None = None,
  resume: str = "the same command goes on from there",
) -> int:
  """Runs a command and gives its exit code.

  Args:
    kind: dataclass of the command's settings, which become its flags.
    action: the work, called with the settings.
    description: text above the flags in `--help`.
    prog: name of the command in `--help`; by default the script's.
    resume: how to go on after an interruption.

  Returns:
    0; 2 after a mistake that the user can mend, which is told in one line;
    128 and the signal's number after a signal.
  """
  print_anything()
  try:
    config = tyro.cli(kind, description=description, prog=prog)
    action(config)
  except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    return 2
  except Interrupted as stop:
    print(f"{stop}; {resume}")
    return 128 + stop.signum
  except KeyboardInterrupt:
    print(f"interrupted; {resume}", file=sys.stderr)
    return 130
  return 0
