"""How far a study is, and that it is never silent for long."""

import io
import time

import pytest
from rich.console import Console

from vqvae_jax.config import StudyConfig
from vqvae_jax.study import schedule as sch
from vqvae_jax.study.schedule import Schedule, trainings


def made():
  return Schedule(Console(file=io.StringIO(), width=40))


@pytest.mark.parametrize(
  ("changes", "counts"),
  [
    # Three strengths, real, repeated; then alone, real+ and classical+; and two
    # classifiers of halves.
    (
      {"classifiers": ("simple",), "generators": ("vae",), "seeds": 1},
      {"simple": 5 + 3 + 2},
    ),
    (
      {
        "classifiers": ("simple", "tuned"),
        "generators": ("vae", "ae"),
        "seeds": 3,
      },
      {"simple": 3 * (5 + 6 + 2), "tuned": 3 * (3 + 6 + 4)},
    ),
    # The first classifier chooses the share; features are of the simple one.
    (
      {
        "classifiers": ("tuned",),
        "generators": ("vae",),
        "seeds": 2,
        "real_shares": (0.5, 0.7, 0.9),
        "sweep": (1, 2),
      },
      # 60 real images: twice as many are the study's own number.
      {"tuned": 2 * (5 + 1 + 6 + 4 + 2), "simple": 2 * 3},
    ),
  ],
)
def test_trainings_are_known_beforehand(changes, counts):
  config = StudyConfig(num_synthetic=120, **changes)
  assert trainings(config, 60) == counts


def test_time_left_is_told_once_all_kinds_are_known():
  schedule = made()
  schedule.plan({"simple": 4}, {"vae": 2}, {"comparing vae": 2})
  said = []

  def line():
    schedule.say("x", left=True)
    said.append(schedule.console.file.getvalue().splitlines()[-1])
    return said[-1]

  assert line() == "[0 of 4] x"
  schedule.done("simple", "a", 100.0)
  # How long a generator takes is not known yet.
  assert line() == "[1 of 4] x"
  schedule.done("vae", 0, 600.0)
  assert line() == "[1 of 4] x, about 15 min left"
  schedule.done("comparing vae", 0, 60.0)
  assert line() == "[1 of 4] x, about 16 min left"
  # The same piece counts once; one left out takes no time.
  schedule.done("simple", "a", 100.0)
  schedule.done("simple", "b")
  schedule.done("vae", 1, 600.0)
  assert line() == "[2 of 4] x, about 4 min left"


@pytest.mark.parametrize("terminal", [False, True])
def test_no_silence_on_any_screen(terminal, monkeypatch):
  monkeypatch.setattr(sch, "INTERVAL", 0.05)
  monkeypatch.setattr(sch, "TICK", 0.02)
  monkeypatch.setenv("TERM", "dumb")
  file = io.StringIO()
  console = Console(file=file, force_terminal=terminal)
  with Schedule(console) as schedule:
    assert console.is_terminal == terminal
    with schedule.busy("training vae"):
      time.sleep(0.3)
    # Whoever writes keeps it quiet.
    before = schedule._noted.last
    console.print("step")
    assert schedule._noted.last > before
  assert file.getvalue().count("training vae, 0 s so far") >= 2
  assert console.file is file
