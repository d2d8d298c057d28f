"""What a study has to do, how far it is, and how long it will still take."""

import collections
import threading
import time
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from rich.console import Console

from vqvae_jax.config import StudyConfig
from vqvae_jax.progress import duration
from vqvae_jax.study.classical import STRENGTHS
from vqvae_jax.study.fitting import CANDIDATES, FEATURES

# Seconds without a sign of life after which a line says what is going on.
INTERVAL = 20
# Seconds between two looks whether that is so.
TICK = 1


def trainings(config: StudyConfig, num_real: int) -> dict[str, int]:
  """How often each judge is trained in a whole study.

  Args:
    config: settings of the study.
    num_real: number of training and validation images of one seed.
  """
  points = sum(
    multiplier * num_real != config.num_synthetic for multiplier in config.sweep
  )
  counts = collections.Counter()
  for n, judge in enumerate(config.judges):
    # The first one chooses for all: the strength, of which the best is its
    # classical arm, and the share of real images.
    plain = len(STRENGTHS) + 1 if n == 0 else 3
    shares = len(config.real_shares) if n == 0 else 1
    counts[judge] += plain + len(config.generators) * (1 + 2 * shares)
    counts[judge] += len(CANDIDATES.get(judge, ())) + 2 * points
  # Of each half of the real images, and one for its features.
  counts[FEATURES] += 2 + (FEATURES not in config.judges)
  return {judge: count * config.seeds for judge, count in counts.items()}


class Schedule:
  """Counts what is done, and says it with every line.

  While it is entered, no more than `INTERVAL` seconds pass without a line.
  """

  def __init__(self, console: Console):
    self.console = console
    self._todo = {}
    self._judges, self._short = set(), set()
    self._seen = set()
    self._total = self._done = 0
    self._seconds = collections.defaultdict(list)
    self._now, self._since = "at work", time.monotonic()
    self._stop = threading.Event()

  def __enter__(self):
    self._file = self.console.file
    self._noted = _Noted(self._file)
    self.console.file = self._noted
    self._thread = threading.Thread(target=self._watch, daemon=True)
    self._thread.start()
    return self

  def __exit__(self, *exception):
    self._stop.set()
    self._thread.join()
    self.console.file = self._file

  def plan(
    self,
    judges: dict[str, int],
    others: dict[str, int],
    short: dict[str, int],
  ):
    """Sets what is to be done.

    Args:
      judges: number of trainings of each judge; these are counted on screen.
      others: number of pieces of other work of each kind.
      short: the same of work that takes little time, so that the time left can
        be told before the first piece of it is done.
    """
    self._todo = {**others, **short, **judges}
    self._judges, self._short = set(judges), set(short)
    self._total = sum(judges.values())

  def done(self, kind: str, key: Hashable, seconds: float | None = None):
    """Notes a piece of work that is done, or need not be done.

    Args:
      kind: what work it is.
      key: which piece of this kind it is; it counts once.
      seconds: time it took, now or in an earlier session; None for none.
    """
    if (kind, key) in self._seen:
      return
    self._seen.add((kind, key))
    if seconds is not None:
      self._seconds[kind].append(seconds)
    if kind in self._todo:
      self._todo[kind] -= 1
    self._done += kind in self._judges

  def say(self, text: str, left: bool = False):
    """Prints a line, with the time that is left if `left` is set."""
    where = f"[{self._done} of {self._total}] " if self._total else ""
    rest = self._left() if left else ""
    self.console.print(
      f"{where}{text}{rest and ', ' + rest}", highlight=False, soft_wrap=True
    )

  @contextmanager
  def busy(self, what: str) -> Iterator[None]:
    """Says what is going on, where that takes long."""
    before, self._now = self._now, what
    self._since = time.monotonic()
    try:
      yield
    finally:
      self._now, self._since = before, time.monotonic()

  def update(self, what: str):
    """Changes what `busy` says."""
    self._now = what

  def _left(self):
    """The time left in words; empty while too little is known."""
    seconds = 0.0
    for kind, count in self._todo.items():
      if count <= 0:
        continue
      if not self._seconds[kind]:
        if kind in self._short:
          continue
        return ""
      seconds += count * sum(self._seconds[kind]) / len(self._seconds[kind])
    if seconds >= 100:
      # An estimate is no better than that.
      seconds = 60 * round(seconds / 60)
    return f"about {duration(seconds)} left" if seconds else ""

  def _watch(self):
    while not self._stop.wait(TICK):
      if time.monotonic() - self._noted.last > INTERVAL:
        spent = duration(time.monotonic() - self._since)
        self.say(f"{self._now}, {spent} so far", left=True)


class _Noted:
  """A file that knows when it was written to last."""

  def __init__(self, file):
    self._file = file
    self.last = time.monotonic()

  def write(self, text: str) -> int:
    self.last = time.monotonic()
    return self._file.write(text)

  def __getattr__(self, name: str):
    return getattr(self._file, name)
