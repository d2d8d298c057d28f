"""What ends a run early: mistakes that the user can mend, and signals.

The commands print each of them as one line.
"""

import os
import re
import signal
import sys


class UserError(Exception):
  """The base of the errors below; any other error is a bug."""


class ConfigError(UserError):
  """A setting that cannot work; the message names the flag and the rule."""


class ArgumentError(ConfigError, ValueError):
  """An argument of a Python call that cannot work, such as an array.

  It is a `ValueError`, too, which callers of a library expect.
  """


class DataError(UserError):
  """A data set that cannot be read or does not fit the settings."""


class RunError(UserError):
  """A run folder that cannot be used, or a training that had to stop."""


class Interrupted(Exception):
  """A signal ended the training, after its state was saved.

  Attributes:
    signum: number of the signal.
    stage: name of the stage that was at work.
    step: step that was saved.
  """

  def __init__(self, signum: int, stage: str, step: int, repeated: bool = True):
    """Makes the message.

    Args:
      signum: number of the signal.
      stage: name of the stage that was at work.
      step: step that was saved.
      repeated: whether the same command continues from there; with
        `--from-step` it does not.
    """
    without = "" if repeated else "; without --from-step"
    super().__init__(
      f"{signal.Signals(signum).name}: {stage} saved at step {step}{without}"
    )
    self.signum = signum
    self.stage = stage
    self.step = step


def warn(message: str) -> None:
  """Prints a warning in one line on the standard error."""
  print(f"warning: {message}", file=sys.stderr)


def told_in_one_line(error: BaseException) -> str | None:
  """Returns what went wrong with the disk, the memory or the device.

  Args:
    error: error of Python, JAX, Orbax or TensorStore.

  Returns:
    One line; None for an error of another kind, which is a bug.
  """
  for cause in _causes(error):
    if isinstance(cause, MemoryError):
      detail = _first_line(cause)
      return f"not enough memory{': ' * bool(detail)}{detail}"
    text = str(cause)
    for sign, meaning in _SIGNS.items():
      if sign in text:
        return f"{meaning}{_path_in(text)}"
    if isinstance(cause, OSError):
      return _os_error(cause)
  return None


# Phrases in the errors of Orbax, TensorStore and XLA, and what they mean.
_SIGNS = {
  "Out of memory": "the device has not enough memory for this",
  "out of memory": "the device has not enough memory for this",
  "array is too big": "an array would be larger than any memory",
  "No space left on device": "no space left on the disk",
  "Disk quota exceeded": "the disk quota is used up",
  "Read-only file system": "the disk is read-only",
  "PERMISSION_DENIED": "permission denied",
}


def _causes(error):
  """Returns the error and those that it was raised from or in handling."""
  seen = []
  waiting = [error]
  while waiting:
    cause = waiting.pop(0)
    if cause is None or any(cause is other for other in seen):
      continue
    seen.append(cause)
    waiting += getattr(cause, "exceptions", ())
    waiting += [cause.__cause__, cause.__context__]
  return seen


def _os_error(error):
  reason = error.strerror or _first_line(error) or type(error).__name__
  where = error.filename
  return f"{os.fsdecode(where)}: {reason}" if where else reason


def _path_in(text):
  """Returns the first path that a message quotes, as `: PATH`.

  For a checkpoint under a temporary name it is the folder of the checkpoint.
  """
  found = re.search(
    r"""["'](/[^"']+?)(/[^/"']*[.]orbax-check[^"']*)?["']""", text
  )
  return f": {found[1]}" if found else ""


def _first_line(error):
  return (str(error).strip().splitlines() or [""])[0][:200]
