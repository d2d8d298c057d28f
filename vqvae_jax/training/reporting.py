"""What a run shows and writes: screen, metrics.jsonl, TensorBoard, pictures."""

import contextlib
import json
import time

import jax
import numpy as np
import tensorboardX
from etils import epath
from rich import progress
from rich.console import Console

from vqvae_jax.files import replace
from vqvae_jax.training.pictures import png

# Seconds between two lines where the screen cannot redraw one.
PLAIN_INTERVAL = 10


class Reporter:
  """Reports one stage. Only process 0 writes or prints.

  `metrics.jsonl` has one line for each reported step, with the stage's name;
  lines beyond the step that a run resumes from are dropped, since their steps
  come again.
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
  ):
    self._workdir = epath.Path(workdir)
    self._stage = stage
    self._steps = steps
    self._batch_size = batch_size
    self._console = console
    self._active = jax.process_index() == 0
    self._timed: tuple[float, int] | None = None
    self._last_plain = 0.0
    self._shown: dict[str, float] = {}
    if not self._active:
      return
    self._metrics_file = self._workdir / "metrics.jsonl"
    forget_after(self._metrics_file, stage, start)
    # Object stores (gs://...) cannot append to a file.
    self._appends = "://" not in str(workdir)
    self._waiting: list[str] = []
    self._board = _open_board(self._workdir / "tensorboard" / stage, start)
    self._progress = progress.Progress(
      progress.TextColumn("{task.description}"),
      progress.BarColumn(bar_width=24),
      progress.TextColumn("{task.completed}/{task.total}"),
      progress.TextColumn("{task.fields[status]}"),
      progress.TimeRemainingColumn(),
      console=console,
      disable=not console.is_terminal,
    )
    self._task = self._progress.add_task(
      stage, total=steps, completed=start, status="compiling"
    )

  def __enter__(self):
    if self._active:
      self._progress.start()
    return self

  def __exit__(self, *exception):
    if self._active:
      self._flush()
      self._progress.stop()
      self._board.close()

  def step(self, step: int, metrics: dict[str, float], *, write: bool):
    """Takes the metrics of one step; `write` also puts them on record."""
    if not self._active:
      return
    now = time.monotonic()
    since, at = self._timed or (now, step)
    if "validation_loss" in metrics:
      # Evaluating is not a step's time.
      self._timed = None
    elif now - since > 1:
      # Over at least a second, so that the figure can be read.
      self._shown["images/s"] = (step - at) * self._batch_size / (now - since)
      self._timed = now, step
    else:
      self._timed = since, at
    for name in ("loss", "validation_loss"):
      if name in metrics:
        self._shown[name] = metrics[name]
    self._show(step, now, always="validation_loss" in metrics)
    if not write:
      return
    line = {"stage": self._stage, "step": step}
    if "images/s" in self._shown:
      line["images_per_second"] = self._shown["images/s"]
    line |= metrics
    self._waiting.append(json.dumps(line) + "\n")
    if self._appends or "validation_loss" in metrics:
      self._flush()
    for name, value in metrics.items():
      self._board.add_scalar(name, value, step)

  def pictures(self, step: int, pictures: dict[str, np.ndarray]):
    """Writes uint8 pictures [h, w, c] by name, the newest of each name."""
    if not self._active:
      return
    folder = self._workdir / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    for name, pixels in pictures.items():
      (folder / f"{name}.png").write_bytes(png(pixels))
      self._board.add_image(name, pixels, step, dataformats="HWC")

  def _flush(self):
    if self._appends:
      with self._metrics_file.open("a") as file:
        file.writelines(self._waiting)
    else:
      known = self._metrics_file
      before = known.read_text() if known.exists() else ""
      known.write_text(before + "".join(self._waiting))
    self._waiting = []

  def _show(self, step, now, *, always):
    status = "  ".join(
      f"{name.replace('_', ' ')} {value:.4g}"
      for name, value in self._shown.items()
    )
    self._progress.update(self._task, completed=step, status=status)
    if self._console.is_terminal:
      return
    if always or now - self._last_plain > PLAIN_INTERVAL:
      self._last_plain = now
      left = self._progress.tasks[0].time_remaining
      self._console.print(
        f"{self._stage} {step}/{self._steps}  {status}"
        + (f"  {left:.0f} s left" if left else ""),
        highlight=False,
        soft_wrap=True,
      )


def _open_board(folder, start):
  """A writer that does not hang where its thread ends on a full disk.

  Its queue has no bound, and is not waited for when the process ends: `close`
  waits for the thread, which is enough where that lives.
  """
  board = tensorboardX.SummaryWriter(
    str(folder), purge_step=start + 1, max_queue=0
  )
  with contextlib.suppress(AttributeError):
    board.file_writer.event_writer._event_queue.cancel_join_thread()
  return board


def forget_after(path: epath.Path, stage: str, step: int):
  """Drops the lines of a stage beyond `step`, and a line cut short.

  Lines of any other form are somebody else's, and stay as they are.
  """
  if not path.exists():
    return
  content = path.read_bytes()
  lines = [line + b"\n" for line in content.splitlines()]
  kept = b"".join(line for line in lines if not _beyond(line, stage, step))
  if kept != content:
    replace(path, kept)


def _beyond(line, stage, step):
  """Whether a line is of a later step, or of ours and cut short."""
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
