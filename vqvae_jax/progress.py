"""Progress of long work, on a terminal and in logs.

All long work shows its progress through a `Meter`. On a terminal the meter is
redrawn; elsewhere (a pipe, a file, `TERM=dumb`) it prints a line with the time
of day every `INTERVAL` seconds, and at least every `SILENCE` seconds while
nothing is counted.
"""

import collections
import contextlib
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.live import Live
from rich.text import Text

# Seconds between two lines.
INTERVAL = 10
# At most this many seconds pass without a line.
SILENCE = 25
# Speeds are means over about this many seconds.
_WINDOW = 30
# Characters of the bar, and of the columns to the right of the counts.
_BAR = 24
_RATE = 16
_LEFT = 18

T = TypeVar("T")


def print_anything() -> None:
  """Lets the standard streams print characters that their encoding lacks."""
  for stream in (sys.stdout, sys.stderr):
    if hasattr(stream, "reconfigure"):
      stream.reconfigure(errors="backslashreplace")


def redraws(console: Console) -> bool:
  """Returns whether lines can be redrawn: on a terminal that is not dumb."""
  return console.is_interactive and console.file.isatty()


def say(console: Console, text: str, *, whole: bool = False) -> None:
  """Prints lines, which are broken between words on a terminal only.

  Text that looks like markup or emoji of `rich` is printed as it is.

  Args:
    console: where the lines go.
    text: one or several lines.
    whole: whether lines are never broken, so that commands can be copied.
  """
  console.print(
    text,
    markup=False,
    highlight=False,
    emoji=False,
    soft_wrap=whole or not console.is_terminal,
  )


def duration(seconds: float) -> str:
  """Returns seconds in words: `44 s`, `9 min 44 s`, `2 h 5 min`."""
  seconds = max(0, round(seconds))
  units = [("day", 86_400), ("h", 3600), ("min", 60), ("s", 1)]
  for (large, size), (small, part) in zip(units, units[1:], strict=False):
    if seconds >= size:
      count, rest = divmod(seconds, size)
      large += "s" * (large == "day" and count > 1)
      small = f" {rest // part} {small}" if rest // part else ""
      return f"{count:,} {large}{small}"
  return f"{seconds} s"


def rate(per_second: float, unit: str) -> str:
  """Returns a speed in words: `2,260 images/s`, `12.7 images/s`."""
  decimals = 0 if per_second >= 99.5 else 1 if per_second >= 9.95 else 2
  return f"{per_second:,.{decimals}f} {unit}/s"


class Meter:
  """Counts finished items; shows their number, the speed and the time left.

  Attributes:
    later: seconds of later work, which are added to the time left.
    figures: other text to show, the most important first.
  """

  def __init__(
    self,
    console: Console,
    what: str,
    total: int | None = None,
    *,
    done: int = 0,
    unit: str | None = None,
    per: int = 1,
    wait: float = 0.0,
    phase: str | None = None,
  ):
    """Prepares a meter, which is shown while it is entered.

    Args:
      console: where the meter is shown.
      what: name of the work.
      total: number of items; None if nothing can be counted.
      done: number of items that were finished before.
      unit: name of the unit of the speed, by default the first word of `what`.
      per: number of units in each item.
      wait: seconds before anything is shown.
      phase: name of the work before the first item is finished.
    """
    self.later = 0.0
    self.figures: Sequence[str] = ()
    self._console = console
    self._what = what
    self._total = total
    self._done = done
    self._unit = unit or what.split()[0]
    self._per = per
    self._wait = wait
    self._redraws = redraws(console)
    self._phase = phase
    self._start = self._said = time.monotonic()
    # Pairs of a time and the count at that time; phases stop this clock.
    self._marks = collections.deque()
    self._paused = 0.0
    self._over = False
    self._live = Live(
      get_renderable=self._drawn,
      console=console,
      refresh_per_second=4,
      transient=total is None,
    )
    self._stopped = threading.Event()
    # Two threads may want to print at once.
    self._speaking = threading.Lock()
    self._watch = threading.Thread(target=self._keep_talking, daemon=True)

  def __enter__(self):
    self._start = self._said = time.monotonic()
    if self._total != 0 and not self._console.quiet:
      self._watch.start()
    return self

  def __exit__(self, *exception):
    self._stopped.set()
    if self._watch.is_alive():
      self._watch.join()
    self._over = exception[0] is None
    if self._live.is_started:
      self._live.stop()
    elif self._over and self._total:
      self._say()

  @property
  def seconds(self) -> float:
    """Seconds since the meter was entered."""
    return time.monotonic() - self._start

  def advance(self, count: int) -> None:
    """Adds `count` finished items."""
    self.reach(self._done + count)

  def reach(self, done: int, *, aloud: bool = False) -> None:
    """Sets the number of finished items; `aloud` always prints a line."""
    self._done = done
    now = time.monotonic() - self._paused
    # The clock starts at the first call: before it, programs are compiled.
    if len(self._marks) > 1 and now - self._marks[-2][0] < 0.5:
      self._marks.pop()
    self._marks.append((now, done))
    while len(self._marks) > 2 and self._marks[1][0] < now - _WINDOW:
      self._marks.popleft()
    self._phase = None
    self._say_after(0 if aloud else INTERVAL)

  def _say(self):
    if not self._shows():
      return
    with self._speaking:
      self._said = time.monotonic()
      parts = [
        f"{time.strftime('%H:%M:%S')} {self._what}{self._count(' ')}",
        *self.figures,
        self._rate(),
        self._time(),
      ]
      say(self._console, "  ".join(part for part in parts if part))

  @contextlib.contextmanager
  def phase(self, name: str) -> Iterator[None]:
    """Shows work other than the items; its time does not affect the speed."""
    start = time.monotonic()
    self._phase = name
    try:
      yield
    finally:
      self._phase = None
      self._paused += time.monotonic() - start

  @property
  def speed(self) -> float:
    """Items per second over the last half minute; 0 if not known yet."""
    if len(self._marks) < 2:
      return 0.0
    (first, before), (last, after) = self._marks[0], self._marks[-1]
    return (after - before) / max(last - first, 1e-9)

  def _keep_talking(self):
    if self._wait and self._stopped.wait(self._wait):
      return
    if self._redraws:
      self._live.start(refresh=True)
      return
    while not self._stopped.wait(1):
      self._say_after(SILENCE)

  def _shows(self):
    quiet = self._console.quiet or self._redraws or self._total == 0
    return not quiet and self.seconds >= self._wait

  def _say_after(self, interval):
    if time.monotonic() - self._said > interval:
      self._say()

  def _count(self, before):
    if self._total is None:
      return ""
    total = f"{self._total:,}"
    return f"{before}{self._done:>{len(total)},}/{total}"

  def _rate(self):
    if self._phase:
      return self._phase
    return rate(self.speed * self._per, self._unit) if self.speed else ""

  def _time(self):
    if self._over:
      return f"in {duration(self.seconds)}"
    if self._total is None or not self.speed:
      return f"{duration(self.seconds)} so far"
    left = (self._total - self._done) / self.speed + self.later
    return f"{duration(left)} left" if left >= 0.5 else ""

  def _drawn(self):
    """Returns a line with bar, speed and time, and a line with the figures.

    Parts that do not fit are left out: first the speed, then the bar, then the
    last figures. The time is always shown.
    """
    width = self._console.width
    count, time_left = self._count(" "), self._time()
    line = Text(self._what, no_wrap=True, overflow="crop")
    room = width - len(self._what) - len(count) - 2 - _LEFT
    with_rate = room - _RATE - 2 >= 6
    if with_rate:
      room -= _RATE + 2
    if self._total and room >= 6:
      self._append_bar(line, min(_BAR, room - 1))
    line.append(count)
    if with_rate:
      line.append(f"  {self._rate():>{_RATE}}")
    line.append(f"  {time_left}")
    if not self.figures:
      return line
    below = "  ".join(self._fitting(width - 2))
    line.append(f"\n  {below}")
    return line

  def _append_bar(self, line, width):
    whole = min(width, width * self._done // self._total)
    sign = "\u2501" if self._console.encoding.startswith("utf") else "-"
    line.append(" ")
    line.append(sign * whole, "green")
    # Without colours the two parts would look the same.
    rest = sign if self._console.color_system else " "
    line.append(rest * (width - whole), "bright_black")

  def _fitting(self, width):
    for count in range(len(self.figures), 0, -1):
      if len("  ".join(self.figures[:count])) <= width:
        return self.figures[:count]
    return [self.figures[0].split(" (")[0][:width]]


def working(console: Console, what: str) -> Meter:
  """Returns a meter for work without a count; quick work shows nothing."""
  return Meter(console, what, wait=1.0)


def counted(items: Iterable[T], total: int, what: str) -> Iterator[T]:
  """Yields the items; shows progress on the standard error if it is slow."""
  # A new console, because the standard error may have been redirected.
  console = Console(stderr=True)
  with Meter(console, what, total, unit="images", wait=2.0) as meter:
    for item in items:
      yield item
      meter.advance(1)
