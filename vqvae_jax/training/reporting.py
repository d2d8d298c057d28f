"""Reports of a run: screen, metrics.jsonl, TensorBoard, pictures."""

import contextlib
import json
import time
from collections.abc import Iterator

import jax
import numpy as np
import tensorboardX
from etils import epath
from rich.console import Console

from vqvae_jax.files import is_remote, replace
from vqvae_jax.pictures import png
from vqvae_jax.progress import Meter
from vqvae_jax.training.figures import chart, describe, with_units


class Reporter:
  """Reports one stage. Only process 0 writes or prints.

  `metrics.jsonl` has one line for each reported step, with the name of the
  stage. When a run resumes from a step, later lines are dropped, since those
  steps are done again.
  """

  def __init__(
    self,
    workdir: epath.PathLike,
    stage: str,
    *,
    start: int,
    steps: int,
    batch_size: int,
    console: Console,
    title: str | None = None,
    likelihood: str = "gaussian",
    eval_every: int | None = None,
    later: float = 0.0,
  ):
    """Prepares the report.

    Args:
      workdir: path of the run folder.
      stage: name of the stage in the metrics, and of its folder.
      start: the last step that was done.
      steps: total number of steps.
      batch_size: number of images in a step.
      console: where progress goes.
      title: name of the stage on the screen.
      likelihood: likelihood of the tokenizer's pixels, which decides the unit
        of its error.
      eval_every: number of steps between two evaluations.
      later: expected seconds of the stages that follow.
    """
    self._workdir = epath.Path(workdir)
    self._stage = stage
    self._title = title or stage
    self._steps = steps
    self._batch_size = batch_size
    self._likelihood = likelihood
    self._eval_every = eval_every or steps
    self._later = later
    self._active = jax.process_index() == 0
    self._shown: dict[str, float] = {}
    self._pauses: list[float] = []
    self._meter = Meter(
      console,
      self._title,
      steps,
      done=start,
      unit="images",
      per=batch_size,
      phase="compiling",
    )
    if self._active:
      self._open(start)

  def _open(self, start):
    """Opens the files, without what was reported after step `start`."""
    self._metrics_file = self._workdir / "metrics.jsonl"
    forget_after(self._metrics_file, self._stage, start)
    # Object stores (gs://...) cannot append to a file.
    self._appends = not is_remote(self._workdir)
    self._waiting: list[str] = []
    # With two runs, TensorBoard draws both in one chart. Each stage has a
    # folder of its own, because events after `start` are dropped by folder.
    self._boards = {
      run: _open_board(self._workdir / self._stage / run, start)
      for run in ("train", "validation")
    }
    settings = self._workdir / "config.json"
    if settings.exists():
      self._boards["train"].add_text("configuration", _code(settings))

  def __enter__(self):
    if self._active:
      self._meter.__enter__()
    return self

  def __exit__(self, *exception):
    if self._active:
      self._flush()
      self._meter.__exit__(*exception)
      for board in self._boards.values():
        board.close()

  @contextlib.contextmanager
  def phase(self, name: str) -> Iterator[None]:
    """Shows that work other than steps is going on, such as evaluating."""
    start = time.monotonic()
    with self._meter.phase(name):
      yield
    self._pauses.append(time.monotonic() - start)

  def step(self, step: int, metrics: dict[str, float], *, write: bool):
    """Shows the metrics of one step; `write` also records them."""
    if not self._active:
      return
    self._shown |= with_units(metrics, self._likelihood)
    self._meter.figures = describe(self._shown)
    self._meter.later = self._later + self._pauses_left(step)
    self._meter.reach(step, aloud="validation_loss" in metrics)
    if not write:
      return
    line = {"stage": self._stage, "step": step}
    if self._meter.speed:
      line["images_per_second"] = self._meter.speed * self._batch_size
    line |= metrics
    self._waiting.append(json.dumps(line) + "\n")
    if self._appends or "validation_loss" in metrics:
      self._flush()
    for name, value in line.items():
      if name not in ("stage", "step"):
        run, tag = chart(self._title, name)
        self._boards[run].add_scalar(tag, value, step)

  def pictures(self, step: int, pictures: dict[str, np.ndarray]):
    """Writes uint8 pictures [h, w, c]; a name replaces its earlier picture."""
    if not self._active:
      return
    folder = self._workdir / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    for name, pixels in pictures.items():
      (folder / f"{name}.png").write_bytes(png(pixels))
      self._boards["validation"].add_image(
        f"pictures/{self._title}/{name}", pixels, step, dataformats="HWC"
      )

  def _flush(self):
    if self._appends:
      with self._metrics_file.open("a") as file:
        file.writelines(self._waiting)
    else:
      known = self._metrics_file
      before = known.read_text() if known.exists() else ""
      known.write_text(before + "".join(self._waiting))
    self._waiting = []

  def _pauses_left(self, step):
    """Estimates the seconds of the evaluations, pictures and saves to come."""
    done = max(1, (step - 1) // self._eval_every)
    left = -(-(self._steps - step) // self._eval_every)
    return sum(self._pauses) / done * left


def _code(path):
  """Returns a file as a block of code in Markdown."""
  return "".join(f"    {line}\n" for line in path.read_text().splitlines())


def _open_board(folder, start):
  """Opens a writer that does not hang if its thread ends on a full disk.

  The process does not wait for the queue when it ends. `close` waits for the
  thread, and that is enough while the thread lives.
  """
  board = tensorboardX.SummaryWriter(
    str(folder), purge_step=start + 1, max_queue=0
  )
  with contextlib.suppress(AttributeError):
    board.file_writer.event_writer._event_queue.cancel_join_thread()
  return board


def forget_after(path: epath.Path, stage: str, step: int):
  """Drops the lines of a stage after `step`, and an incomplete line.

  Lines of any other form belong to somebody else and stay as they are.
  """
  if not path.exists():
    return
  content = path.read_bytes()
  lines = [line + b"\n" for line in content.splitlines()]
  remaining = b"".join(x for x in lines if not _is_later(x, stage, step))
  if remaining != content:
    replace(path, remaining)


def _is_later(line, stage, step):
  """Returns whether a line is of a later step, or ours and incomplete."""
  try:
    entry = json.loads(line)
  except (ValueError, RecursionError):
    start = b'{"stage": '
    return line.startswith(start) or start.startswith(line.strip())
  return (
    isinstance(entry, dict)
    and entry.get("stage") == stage
    and isinstance(entry.get("step"), int)
    and entry["step"] > step
  )
