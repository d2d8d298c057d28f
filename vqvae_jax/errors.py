"""What ends a run early: mistakes that the user can mend, and signals.

The scripts print each as one line.
"""

import signal


class UserError(Exception):
  """Base of the errors below; anything else is a bug with a traceback."""


class ConfigError(UserError):
  """A setting that cannot work; the message names the flag and the rule."""


class ArgumentError(ConfigError, ValueError):
  """An argument of a Python call that cannot work: an array, say.

  Also a `ValueError`, which callers of a library expect.
  """


class DataError(UserError):
  """A data set that cannot be read or does not fit the settings."""


class RunError(UserError):
  """A run folder that cannot be used, or a training that had to stop."""


class Interrupted(Exception):
  """A signal ended the training, after its state was saved.

  Attributes:
    signum: of the signal.
    stage: that was at work.
    step: that was saved.
  """

  def __init__(self, signum: int, stage: str, step: int):
    super().__init__(
      f"{signal.Signals(signum).name}: {stage} saved at step {step}"
    )
    self.signum = signum
    self.stage = stage
    self.step = step
