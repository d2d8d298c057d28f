"""What is said of long work: on terminals of any width, and on pipes."""

import io
import re

import pytest
from rich.console import Console

from vqvae_jax import progress


class Clock:
  """Seconds that a test moves."""

  now = 1000.0

  def monotonic(self):
    return self.now

  def strftime(self, form):
    return "12:00:00"


class Terminal(io.StringIO):
  def isatty(self):
    return True


@pytest.fixture
def clock(monkeypatch):
  clock = Clock()
  monkeypatch.setattr(progress, "time", clock)
  return clock


def piped():
  return Console(file=io.StringIO(), width=80)


def test_durations_and_rates_in_words():
  for seconds, words in (
    (0, "0 s"),
    (44.4, "44 s"),
    (59.7, "1 min"),
    (60, "1 min"),
    (584, "9 min 44 s"),
    (3600, "1 h"),
    (7530, "2 h 5 min"),
    (86_400, "1 day"),
    (2 * 86_400 + 3600, "2 days 1 h"),
    (-3, "0 s"),
  ):
    assert progress.duration(seconds) == words
  for speed, words in (
    (2260, "2,260 images/s"),
    (120.4, "120 images/s"),
    (99.7, "100 images/s"),
    (12.75, "12.8 images/s"),
    (0.031, "0.03 images/s"),
    (1234567, "1,234,567 images/s"),
  ):
    assert progress.rate(speed, "images") == words


def test_a_pipe_gets_whole_lines_with_the_time(clock):
  console = piped()
  name = "[red]a name that rich would colour and cut :smile: " + "x" * 80
  with progress.Meter(console, name, 2000, unit="images", per=64) as meter:
    meter.advance(1)
    for _ in range(40):
      clock.now += 1
      meter.advance(10)
    meter.later = 100.0
    clock.now += 11
    meter.figures = ["90.0 nats per image"]
    meter.advance(10)
    left = (2000 - 411) / meter.speed + 100
    meter.reach(2000)
  lines = console.file.getvalue().splitlines()
  assert all(line.startswith(f"12:00:00 {name}") for line in lines)
  # Every ten seconds, and the end.
  assert len(lines) == 3 + 1 + 1
  assert "10 images/s" not in lines[0]
  # Over the last half minute: 10 steps of 64 images a second.
  assert lines[0].endswith("  640 images/s  3 min 9 s left")
  assert "411/2,000  90.0 nats per image" in lines[3]
  # What follows counts as left.
  assert lines[3].endswith(f"{progress.duration(left)} left")
  assert lines[-1].endswith("in 51 s")
  assert "e+" not in console.file.getvalue()


def test_nothing_is_said_of_nothing_and_of_quick_work(clock):
  console = piped()
  with progress.Meter(console, "shards checked", 0):
    pass
  with progress.working(console, "compiling"):
    pass
  with progress.Meter(console, "reading", 3, wait=2.0) as meter:
    meter.advance(3)
  assert console.file.getvalue() == ""


def test_a_meter_talks_while_nothing_is_counted(monkeypatch):
  monkeypatch.setattr(progress, "SILENCE", 0.02)
  waits = []
  console = piped()
  meter = progress.Meter(console, "tokenizer", 5, phase="compiling")
  original = meter._stopped.wait

  def wait(seconds):
    waits.append(seconds)
    return original(0.03)

  monkeypatch.setattr(meter._stopped, "wait", wait)
  with meter:
    while "compiling" not in console.file.getvalue():
      original(0.01)
    meter.reach(1)
    meter.reach(2)
    with meter.phase("evaluating"):
      while "evaluating" not in console.file.getvalue():
        original(0.01)
  # It looks often enough to keep its promise.
  assert max(waits) <= 1
  assert progress.SILENCE + 1 < 30


def test_phases_are_no_part_of_the_speed(clock):
  with progress.Meter(piped(), "tokenizer", 100) as meter:
    meter.reach(1)
    clock.now += 10
    meter.reach(11)
    with meter.phase("evaluating"):
      clock.now += 1000
    meter.reach(12)
    assert meter.speed == pytest.approx(1.1)


FIGURES = [
  "error 0.252 of the variance (validation 0.324)",
  "PSNR 15.2 dB",
  "SSIM 0.61",
]


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120, 200])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_no_width_cuts_the_time_left(clock, width, encoding):
  buffer = io.BytesIO()

  class Stream(io.TextIOWrapper):
    def isatty(self):
      return True

  console = Console(
    file=Stream(buffer, encoding=encoding),
    force_terminal=True,
    width=width,
    color_system=None,
  )
  meter = progress.Meter(
    console, "tokenizer", 1400, unit="images", per=64, phase="compiling"
  )
  meter.reach(1)
  clock.now += 30
  meter.reach(1087)
  meter.later = 1020.0
  meter.figures = FIGURES
  lines = meter._drawn().plain.split("\n")
  assert len(lines) == 2
  if width >= 40:
    assert lines[0].endswith("17 min 9 s left")
    assert max(map(len, lines)) <= width
    assert "1,087/1,400" in lines[0]
  # A figure is whole or absent.
  if width >= 60:
    shown = lines[1].strip().split("  ")
    assert shown == FIGURES[: len(shown)]
  assert ("images/s" in lines[0]) == (width >= 80)
  assert len(re.findall("SSIM", lines[1])) == (width >= 80)
  # Every sign can be printed.
  console.print(meter._drawn())
  console.file.flush()
  assert b"left" in buffer.getvalue() or width < 40
  # The place of what is right of the bar does not move.
  place = lines[0].index("1,087")
  meter._marks.clear()
  meter.later = 0
  assert meter._drawn().plain.split("\n")[0].index("1,087") == place


def test_where_lines_can_be_redrawn(monkeypatch):
  monkeypatch.setenv("TERM", "xterm")
  assert progress.redraws(Console(file=Terminal()))
  monkeypatch.setenv("NO_COLOR", "1")
  assert progress.redraws(Console(file=Terminal()))
  # CI systems ask for colours in what they write to a file.
  monkeypatch.setenv("FORCE_COLOR", "1")
  assert not progress.redraws(Console(file=io.StringIO()))
  monkeypatch.setenv("TERM", "dumb")
  console = Console(file=Terminal())
  assert not progress.redraws(console)
  with progress.Meter(console, "tokenizer", 3) as meter:
    meter.advance(3)
  assert "tokenizer 3/3" in console.file.getvalue()


def test_a_terminal_breaks_lines_between_words():
  words = ["word" * n for n in (1, 3, 2)] * 9
  for width in (20, 40, 80):
    console = Console(file=Terminal(), force_terminal=True, width=width)
    progress.say(console, " ".join(words))
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert " ".join(lines).split() == words
    console = Console(file=Terminal(), force_terminal=True, width=width)
    progress.say(console, " ".join(words), whole=True)
    assert console.file.getvalue() == " ".join(words) + "\n"


def test_streams_print_names_that_they_lack(monkeypatch):
  buffer = io.BytesIO()
  stream = io.TextIOWrapper(buffer, encoding="ascii")
  monkeypatch.setattr("sys.stdout", stream)
  progress.print_anything()
  progress.say(Console(), "folder:\u732b \udce9: 3 images")
  stream.flush()
  assert buffer.getvalue() == b"folder:\\u732b \\udce9: 3 images\n"


def test_counted_gives_all_items(capsys):
  assert list(progress.counted("abc", 3, "reading")) == ["a", "b", "c"]
  assert capsys.readouterr().err == ""
