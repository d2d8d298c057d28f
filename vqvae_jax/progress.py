"""How far a job is: one line that is redrawn, or lines where none can be."""

import time

from rich import progress
from rich.console import Console

# Seconds between two lines.
INTERVAL = 10


class Meter:
  """Counts things done, and shows how many, how fast, how long still."""

  def __init__(self, console: Console, what: str, total: int):
    self._console = console
    self._what = what
    self._total = total
    self._done = self._counted = 0
    self._last = self._start = time.monotonic()
    self._bar = progress.Progress(
      progress.TextColumn(what),
      progress.BarColumn(bar_width=24),
      progress.MofNCompleteColumn(),
      progress.TextColumn("{task.fields[speed]}"),
      progress.TimeRemainingColumn(),
      console=console,
      disable=not console.is_terminal,
    )
    self._task = self._bar.add_task(what, total=total, speed="")

  def __enter__(self):
    self._bar.start()
    return self

  def __exit__(self, *exception):
    self._bar.stop()

  def advance(self, count: int):
    """Adds `count` that are done."""
    self._done += count
    now = time.monotonic()
    # From the first call on: before it, programs are compiled.
    if self._done == count:
      self._start, self._counted = now, count
    speed = (self._done - self._counted) / max(now - self._start, 1e-9)
    shown = f"{speed:.3g} a second" if speed else ""
    self._bar.update(self._task, completed=self._done, speed=shown)
    over = self._done == self._total
    if self._console.is_terminal or not (over or now - self._last > INTERVAL):
      return
    self._last = now
    left = (self._total - self._done) / speed if speed else 0
    self._console.print(
      f"{self._what} {self._done}/{self._total}"
      + (f"  {shown}" if shown else "")
      + (f"  {left:.0f} s left" if left else ""),
      highlight=False,
    )
