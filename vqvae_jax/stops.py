"""What ends a command from outside: Ctrl-C, SIGTERM, errors in threads.

Imports nothing that takes long, so that a command can guard its own imports.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator

from vqvae_jax.errors import told_in_one_line

_SHOW_CURSOR = "\x1b[?25h"


@contextlib.contextmanager
def in_one_line(resume: str) -> Iterator[None]:
  """Makes Ctrl-C and SIGTERM one line and an exit code, at any moment.

  A `KeyboardInterrupt` would not do: raised while a library is imported or in
  a callback, it comes out as another error, as a traceback, or not at all. The
  process ends here and now instead, as if it were killed: what a command
  writes is whole or absent. `training.loop` has handlers of its own, which
  save first.

  Errors of the disk in threads that write are not printed there, because the
  main thread raises them when it waits for the thread.

  Args:
    resume: how to go on afterwards.
  """

  def end(signum, frame):
    del frame
    what = "interrupted" if signum == signal.SIGINT else "terminated"
    shown = _SHOW_CURSOR if sys.stderr.isatty() else ""
    with contextlib.suppress(Exception):
      sys.stdout.flush()
    os.write(2, f"{shown}{what}; {resume}\n".encode())
    os._exit(128 + signum)

  def report(args):
    if told_in_one_line(args.exc_value) is None:
      threading.__excepthook__(args)

  main = threading.current_thread() is threading.main_thread()
  before = {}
  for signum in (signal.SIGINT, signal.SIGTERM) if main else ():
    # Who started this process may have it ignore them, as `nohup` does.
    if signal.getsignal(signum) is not signal.SIG_IGN:
      before[signum] = signal.signal(signum, end)
  hook, threading.excepthook = threading.excepthook, report
  try:
    yield
  finally:
    threading.excepthook = hook
    for signum, handler in before.items():
      signal.signal(signum, handler)
