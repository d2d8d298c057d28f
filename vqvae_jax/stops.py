"""What ends a command from outside: Ctrl-C, SIGTERM, errors in threads.

This module imports very little, so that a command can guard its own imports.
"""

import os
import signal
import sys
from typing import NoReturn

# A progress bar may have hidden the cursor.
_SHOW_CURSOR = "\x1b[?25h"


class OneLine:
  """Turns Ctrl-C and SIGTERM into one line and an exit code at any moment.

  A `KeyboardInterrupt` would not do: raised while a library is imported or in
  a callback, it comes out as another error, as a traceback, or not at all.
  Instead the process ends at once, as if it were killed, because what a command
  writes is whole or absent. `training.loop` has handlers of its own, which
  save first.

  Errors of the disk in threads that write are not printed by the thread,
  because the main thread raises them when it waits for it.
  """

  def __init__(self, resume: str = "the same command goes on from there"):
    """Prepares the message.

    Args:
      resume: how to continue afterwards.
    """
    self._resume = resume

  def __enter__(self):
    self._before = {}
    for signum in (signal.SIGINT, signal.SIGTERM):
      # The parent process may have set signals to be ignored, as nohup does.
      if signal.getsignal(signum) is signal.SIG_IGN:
        continue
      try:
        self._before[signum] = signal.signal(signum, self._end)
      except ValueError:  # Only the main thread may set handlers.
        break
    import threading

    self._hooks = threading.excepthook, sys.unraisablehook
    threading.excepthook, sys.unraisablehook = _report, _report_unraisable
    return self

  def __exit__(self, *exception):
    import threading

    threading.excepthook, sys.unraisablehook = self._hooks
    for signum, handler in self._before.items():
      signal.signal(signum, handler)

  def _end(self, signum, frame):
    del frame
    what = "interrupted" if signum == signal.SIGINT else "terminated"
    try:
      shown = _SHOW_CURSOR if sys.stderr.isatty() else ""
      sys.stdout.flush()
    except Exception:  # The signal may have come in the middle of writing.
      shown = ""
    os.write(2, f"{shown}{what}; {self._resume}\n".encode())
    os._exit(128 + signum)


def leave(code: int) -> NoReturn:
  """Ends the process with an exit code and prints nothing more.

  What libraries do at the exit may be cut short, because the work is done.
  """
  import threading

  threading.excepthook, sys.unraisablehook = _report, _report_unraisable
  for signum in (signal.SIGINT, signal.SIGTERM):
    signal.signal(signum, lambda *_: os._exit(code))
  sys.exit(code)


def _report(args):
  """Prints the error that ended a thread; see `threading.excepthook`."""
  import threading

  from vqvae_jax.errors import told_in_one_line

  if told_in_one_line(args.exc_value) is None:
    threading.__excepthook__(args)


def _report_unraisable(args):
  """Prints an error that could not be raised; see `sys.unraisablehook`."""
  from vqvae_jax.errors import told_in_one_line

  # TensorStore calls back into event loops of saves that have failed.
  late = "Event loop is closed" in str(args.exc_value)
  if not late and told_in_one_line(args.exc_value) is None:
    sys.__unraisablehook__(args)
