"""The progress of a study: what is done, what is left, and for how long."""

import collections
import threading
import time
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from rich.console import Console

from vqvae_jax.config import StudyConfig
from vqvae_jax.data.augment import STRENGTHS
from vqvae_jax.progress import duration
from vqvae_jax.study.fitting import CANDIDATES, FEATURES

# After this many seconds without a line, a line says what is being done.
INTERVAL = 20
# The number of seconds between two checks of that.
TICK = 1


def trainings(config: StudyConfig, num_real: int) -> dict[str, int]:
  """Returns how often each classifier is trained in a whole study.

  Args:
    config: settings of the study.
    num_real: number of training and validation images of one seed.
  """
  points = sum(
    multiplier * num_real != config.num_synthetic for multiplier in config.sweep
  )
  counts = collections.Counter()
  for n, name in enumerate(config.classifiers):
    # The arms real, repeated and classical. The first classifier is trained at
    # all strengths and all shares of real images, and chooses for the others.
    plain = 2 + (len(STRENGTHS) - 1 if n == 0 else 1)
    shares = len(config.real_shares) if n == 0 else 1
    counts[name] += plain + len(config.generators) * (1 + 2 * shares)
    counts[name] += len(CANDIDATES.get(name, ())) + 2 * points
  # One is trained on each half of the real images.
  counts[FEATURES.name] += 2
  if FEATURES.name not in config.classifiers:
    # Another one is trained for its features.
    counts[FEATURES.name] += 1
  return {name: count * config.seeds for name, count in counts.items()}


class Schedule:
  """Counts what is done, and prints the count with every line.

  Within its context, at least one line is printed every `INTERVAL` seconds.
  """

  def __init__(self, console: Console):
    self.console = console
    self._todo = {}
    self._classifiers, self._short = set(), set()
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
    classifiers: dict[str, int],
    others: dict[str, int],
    short: dict[str, int],
  ) -> None:
    """Sets what is to be done.

    Args:
      classifiers: number of trainings of each classifier; the screen shows how
        many of these are done.
      others: number of pieces of other work of each kind.
      short: number of pieces of short work of each kind. It does not delay the
        first estimate of the time left.
    """
    self._todo = {**others, **short, **classifiers}
    self._classifiers, self._short = set(classifiers), set(short)
    self._total = sum(classifiers.values())

  def done(
    self, kind: str, key: Hashable, seconds: float | None = None
  ) -> None:
    """Notes a piece of work that is done, or need not be done.

    Args:
      kind: kind of the work.
      key: identity of the piece within its kind; each piece counts once.
      seconds: time that it took, now or in an earlier session; None if it is
        not done.
    """
    if (kind, key) in self._seen:
      return
    self._seen.add((kind, key))
    if seconds is not None:
      self._seconds[kind].append(seconds)
    if kind in self._todo:
      self._todo[kind] -= 1
    if kind in self._classifiers:
      self._done += 1

  def say(self, text: str, left: bool = False) -> None:
    """Prints a line, with the time that is left if `left` is set."""
    where = f"[{self._done} of {self._total}] " if self._total else ""
    rest = self._left() if left else ""
    self.console.print(
      f"{where}{text}{rest and ', ' + rest}", highlight=False, soft_wrap=True
    )

  @contextmanager
  def busy(self, what: str) -> Iterator[None]:
    """Sets what is being done, for the lines during long work."""
    before, self._now = self._now, what
    self._since = time.monotonic()
    try:
      yield
    finally:
      self._now, self._since = before, time.monotonic()

  def update(self, what: str) -> None:
    """Changes what `busy` has set."""
    self._now = what

  def _left(self):
    """Returns the time left in words; empty while too little is known."""
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
      # The estimate is not more precise than that.
      seconds = 60 * round(seconds / 60)
    return f"about {duration(seconds)} left" if seconds else ""

  def _watch(self):
    while not self._stop.wait(TICK):
      if time.monotonic() - self._noted.last > INTERVAL:
        spent = duration(time.monotonic() - self._since)
        self.say(f"{self._now}, {spent} so far", left=True)


class _Noted:
  """A file that notes when it was last written to."""

  def __init__(self, file):
    self._file = file
    self.last = time.monotonic()

  def write(self, text: str) -> int:
    self.last = time.monotonic()
    return self._file.write(text)

  def __getattr__(self, name: str):
    return getattr(self._file, name)
