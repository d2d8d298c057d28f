"""What ends a command from outside: Ctrl-C, SIGTERM, errors in threads.

Imports next to nothing, so that a command can guard its own imports.
"""

import os
import signal
import sys

# In case a bar was drawn.
_SHOW_CURSOR = "\x1b[?25h"


class OneLine:
  """Makes Ctrl-C and SIGTERM one line and an exit code, at any moment.

  A `KeyboardInterrupt` would not do: raised while a library is imported or in
  a callback, it comes out as another error, as a traceback, or not at all. The
  process ends here and now instead, as if it were killed: what a command
  writes is whole or absent. `training.loop` has handlers of its own, which
  save first.

  Errors of the disk in threads that write are not printed there, because the
  main thread raises them when it waits for the thread.
  """

  def __init__(self, resume: str = "the same command goes on from there"):
    """Prepares the message.

    Args:
      resume: how to go on afterwards.
    """
    self._resume = resume

  def __enter__(self):
    self._before = {}
    for signum in (signal.SIGINT, signal.SIGTERM):
      # Who started this process may have it ignore them, as `nohup` does.
      if signal.getsignal(signum) is signal.SIG_IGN:
        continue
      try:
        self._before[signum] = signal.signal(signum, self._end)
      except ValueError:  # Only the main thread may.
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


def leave(code: int):
  """Ends the process with this exit code, and says nothing more.

  What libraries do at the exit may be cut short: the work is done.
  """
  import threading

  threading.excepthook, sys.unraisablehook = _report, _report_unraisable
  for signum in (signal.SIGINT, signal.SIGTERM):
    signal.signal(signum, lambda *_: os._exit(code))
  sys.exit(code)


def _report(args):
  """An error that a thread ended with; see `threading.excepthook`."""
  import threading

  from vqvae_jax.errors import told_in_one_line

  if told_in_one_line(args.exc_value) is None:
    threading.__excepthook__(args)


def _report_unraisable(args):
  """An error that nobody could be told; see `sys.unraisablehook`."""
  from vqvae_jax.errors import told_in_one_line

  # TensorStore calls back into event loops of saves that have failed.
  late = "Event loop is closed" in str(args.exc_value)
  if not late and told_in_one_line(args.exc_value) is None:
    sys.__unraisablehook__(args)
