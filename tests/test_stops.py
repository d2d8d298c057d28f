"""Signals, errors of the disk and of threads: one line each."""

import errno
import os
import signal
import sys
import threading

import numpy as np
import pytest

from vqvae_jax import cli, stops
from vqvae_jax.commands import table
from vqvae_jax.config import Config
from vqvae_jax.errors import told_in_one_line


class Ended(BaseException):
  """In the place of `os._exit`."""


@pytest.mark.parametrize(
  ("signum", "word"),
  [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")],
)
def test_a_signal_is_one_line_and_ends_the_process(
  signum, word, monkeypatch, capfd
):
  def end(code):
    raise Ended(code)

  monkeypatch.setattr(os, "_exit", end)
  before = signal.getsignal(signum)
  with pytest.raises(Ended) as ended, stops.OneLine("go on"):
    try:
      signal.raise_signal(signum)
    except Exception:  # What a library might catch.
      pytest.fail("the process went on")
  assert ended.value.args == (128 + signum,)
  assert capfd.readouterr().err == f"{word}; go on\n"
  assert signal.getsignal(signum) is before


def test_ignored_signals_stay_ignored():
  before = signal.signal(signal.SIGINT, signal.SIG_IGN)
  try:
    with stops.OneLine():
      assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
  finally:
    signal.signal(signal.SIGINT, before)


# As TensorStore, Orbax, XLA and numpy word them.
FULL = (
  'RESOURCE_EXHAUSTED: Failed writing: "/runs/a/tokenizer/5.orbax-checkpoint-'
  'tmp/training.orbax-checkpoint-tmp/d/3cc9": Failed to write 712 bytes to '
  "file 6: No space left on device [os_error_code='28']\nmore\nlines"
)
DEVICE = (
  "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 68719476736 "
  "bytes."
)
DENIED = 'PERMISSION_DENIED: Error opening "/runs/a/tokenizer/5/x": os error'


@pytest.mark.parametrize(
  ("error", "told"),
  [
    (ValueError(FULL), "no space left on the disk: /runs/a/tokenizer"),
    (OSError(errno.ENOSPC, "No space left on device"), "no space left on the"),
    (OSError(errno.EROFS, "Read-only file system", "/a/b"), "the disk is read"),
    (FileExistsError(errno.EEXIST, "File exists", "b"), "b: File exists"),
    (PermissionError(errno.EACCES, "Permission denied", "b"), "b: Permission"),
    (OSError("no number"), "no number"),
    (RuntimeError(DEVICE), "the device has not enough memory"),
    (MemoryError(), "not enough memory"),
    (MemoryError("Unable to allocate 7 GiB"), "not enough memory: Unable"),
    (ValueError(DENIED), "permission denied: /runs/a/tokenizer/5/x"),
    (ExceptionGroup("two", [KeyError("a"), ValueError(FULL)]), "no space"),
  ],
)
def test_errors_of_the_machine_are_told_in_one_line(error, told):
  wrapped = RuntimeError("Orbax failed")
  wrapped.__cause__ = error
  for one in (error, wrapped):
    line = told_in_one_line(one)
    assert line.startswith(told)
    assert "\n" not in line


def test_other_errors_are_bugs():
  for error in (ValueError("x"), KeyError("No"), ZeroDivisionError()):
    assert told_in_one_line(error) is None


def test_commands_tell_them_and_go_on_with_bugs(monkeypatch, capsys):
  monkeypatch.setattr(sys, "argv", ["train.py"])

  def fail(error):
    def action(config):
      raise error

    return action

  command = table.Command("python train.py", Config)
  assert cli.run(command, fail(ValueError(FULL))) == 2
  line = capsys.readouterr().err
  assert line.count("\n") == 1
  assert line.startswith("error: no space left on the disk: /runs/a/tokenizer;")
  assert "what was saved stays" in line
  for size, told in ((2**50, "not enough memory"), (2**62, "larger than any")):
    assert cli.run(command, lambda config, n=size: np.zeros(n)) == 2
    assert told in capsys.readouterr().err
  with pytest.raises(ValueError, match="a bug"):
    cli.run(command, fail(ValueError("a bug")))


def test_threads_that_write_print_no_traceback(capsys):
  def fail(error):
    raise error

  for error, lines in ((OSError(28, "No space left"), 0), (ValueError("x"), 1)):
    with stops.OneLine():
      thread = threading.Thread(target=fail, args=(error,))
      thread.start()
      thread.join()
    assert ("Traceback" in capsys.readouterr().err) == bool(lines)
