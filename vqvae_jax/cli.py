"""The commands: flags in, one line and an exit code out.

`train`, `sample` and `study` are what the scripts and the console commands
call. Everything else is imported under the guard of `stops.OneLine`, so that
Ctrl-C is one line during imports, too, and help and mistakes answer at once.
"""

import os
import pathlib
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from vqvae_jax import stops


def train() -> NoReturn:
  """Runs `train.py` with the command line of this process and ends it."""
  stops.leave(main("train"))


def sample() -> NoReturn:
  """Runs `sample.py` with the command line of this process and ends it."""
  stops.leave(main("sample"))


def study() -> NoReturn:
  """Runs the study with the command line of this process and ends it."""
  stops.leave(main("study"))


def main(name: str) -> int:
  """Runs a command with `sys.argv`; returns the exit code of `run`.

  Args:
    name: train, sample or study.
  """
  with stops.OneLine():
    from vqvae_jax.commands import table

    match name:
      case "train":
        return run(table.TRAIN, _train, _resumed)
      case "sample":
        return run(table.SAMPLE, _sample)
      case "study":
        return run(table.STUDY, _study)
    raise ValueError(f"{name!r} is not a command")


def _train(config):
  from vqvae_jax.allocator import keep_freed_memory

  keep_freed_memory()
  from vqvae_jax.runs import train

  train(config)


def _resumed(args):
  """The settings of the run that --resume names, or None."""
  run = value_of("--resume", args)
  if run is None:
    return None
  from vqvae_jax.training.workdir import resumed_config

  return resumed_config(run)


def _sample(config):
  from vqvae_jax.jobs import generate

  generate(config, advise=True)


def _study(config):
  from vqvae_jax.allocator import keep_freed_memory

  print("starting: loading JAX and the images", flush=True)
  keep_freed_memory()
  keep_programs()
  from vqvae_jax.study.run import study

  study(config)


def keep_programs() -> None:
  """Keeps compiled programs, which are the same for all seeds of a study.

  They are executed, so they lie in the cache of the user and not in the folder
  of the study, which is passed on with its results. A directory that was set
  otherwise (JAX_COMPILATION_CACHE_DIR) stays.
  """
  import jax

  if jax.config.jax_compilation_cache_dir is None:
    jax.config.update("jax_compilation_cache_dir", str(programs_folder()))


def programs_folder() -> pathlib.Path:
  """Returns where compiled programs are kept, by the XDG convention."""
  caches = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
  return caches.expanduser() / "vqvae_jax" / "programs"


def run(
  command: Any,
  action: Callable[[Any], object],
  default: Callable[[list[str]], Any] = lambda args: None,
) -> int:
  """Runs a command and returns its exit code.

  Args:
    command: a `commands.table.Command`.
    action: the work, called with the settings.
    default: function of the command line that returns the settings where no
      flag is given; None for those of the command.

  Returns:
    0; 2 after a mistake that the user can mend or an error of the disk, the
    memory or the device, which is printed in one line; 128 and the number of
    the signal after a signal.

  Raises:
    SystemExit: with 0, after help.
  """
  with stops.OneLine(command.resume):
    from vqvae_jax import commands

    args, usage = sys.argv[1:], _usage(command)
    text = commands.answer(command, args, usage)
    if text is not None:
      commands.show(text)
      sys.exit(0)
    prog = usage.removeprefix("python ") if ".py" in usage else usage

    def work():
      action(commands.parse(command.kind, args, prog, default(args)))

    return guarded(work, command.resume)


def _usage(command):
  """How the command was called: as a script or as a console command."""
  name = os.path.basename(sys.argv[0])
  return name if name.startswith("vqvae-") else command.usage


def guarded(work: Callable[[], object], resume: str) -> int:
  """Does work and returns the exit code of `run`.

  Args:
    work: function that does the work.
    resume: how to continue after an interruption.
  """
  from vqvae_jax.errors import Interrupted, UserError, told_in_one_line
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
  """Returns a message in one line, harmless to a terminal.

  Messages quote names of files and classes, which may hold anything.
  """
  words = " ".join(part.strip() for part in message.splitlines())
  return "".join(
    sign if sign.isprintable() else repr(sign)[1:-1] for sign in words
  )


def value_of(flag: str, args: list[str]) -> str | None:
  """Returns the value of a flag of a command line; None if it is not given."""
  for word, following in zip(args, [*args[1:], None], strict=True):
    name, equals, value = word.partition("=")
    if name.replace("_", "-") == flag:
      return value if equals else following
  return None
