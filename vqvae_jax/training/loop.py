"""One loop for every stage: steps, evaluations, checkpoints, interruptions."""

import dataclasses
import signal
import threading
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from jax.experimental import multihost_utils
from jaxtyping import PyTree
from rich.console import Console

from vqvae_jax.config import StageConfig
from vqvae_jax.data import Data, eval_batches, make_train_iterator
from vqvae_jax.errors import Interrupted, RunError
from vqvae_jax.progress import say, working
from vqvae_jax.sharding import to_global
from vqvae_jax.training.checkpoints import Checkpoints, Resumable
from vqvae_jax.training.programs import Programs
from vqvae_jax.training.reporting import Reporter
from vqvae_jax.training.state import Task, TrainState, all_finite, make_select

# Function from the best variables and the sums over the validation split to
# pictures by name.
Pictures = Callable[[PyTree, PyTree], dict[str, np.ndarray]]


class Interruption:
  """Notes SIGTERM and SIGINT while it is entered, for the loop to act on.

  The second signal has its ordinary effect, so that a hanging run can be ended.
  Several processes that compute together must all stop at the same step: there
  JAX notes the SIGTERM of any of them and says at which step.

  Attributes:
    signum: number of the signal, or None.
  """

  signum: int | None = None

  def __enter__(self) -> "Interruption":
    # Only the main thread may set handlers; elsewhere signals stay as they are.
    self._old = {}
    alone = jax.process_count() == 1
    if alone and threading.current_thread() is threading.main_thread():
      for signum in (signal.SIGTERM, signal.SIGINT):
        self._old[signum] = signal.signal(signum, self._note)
    return self

  def check(self, step: int) -> None:
    """Asks, in all processes, whether to stop after this step."""
    several = jax.process_count() > 1
    if several and multihost_utils.reached_preemption_sync_point(step):
      self.signum = signal.SIGTERM

  def __exit__(self, *exception: Any) -> None:
    self._restore()

  def _note(self, signum, frame):
    del frame
    self.signum = signum
    self._restore()

  def _restore(self):
    for signum, handler in self._old.items():
      signal.signal(signum, handler)


@dataclasses.dataclass(frozen=True)
class StageRun:
  """The training of one stage.

  Attributes:
    name: name of the stage, of its flags, and of its folder in `workdir`.
    title: name of the stage on the screen.
    task: the model and its loss.
    config: settings of the stage.
    programs: compiled functions, for tasks of the same shapes as `task`.
    data: data with the splits "train" and "validation".
    seed: seed of the order of the images.
    workdir: path of the run folder.
    pictures: what to draw of the best variables after an evaluation.
    console: where messages go.
    used_by: path of a stage that was trained on this one, so that this one must
      not change any more.
    later_seconds: expected seconds of the stages that follow.
    from_step: step of the checkpoint to continue from, by default the newest.
  """

  name: str
  title: str
  task: Task
  config: StageConfig
  programs: Programs
  data: Data
  seed: int
  workdir: epath.Path
  pictures: Pictures
  console: Console
  used_by: epath.Path | None = None
  later_seconds: float = 0.0
  from_step: int | None = None


def run_stage(run: StageRun) -> None:
  """Trains one stage to its end, from its newest checkpoint if there is one.

  Raises:
    Interrupted: on SIGTERM or SIGINT, after the state was saved.
    RunError: if the loss is no longer finite, or if the stage is not finished
      though another was trained on it.
  """
  iterator = make_train_iterator(
    run.data["train"],
    run.programs.batch_size,
    run.seed,
    jax.process_index(),
    jax.process_count(),
  )
  with Checkpoints(run.workdir / run.name, run.task.frozen) as checkpoints:
    start, state = _first_state(run, checkpoints, iterator)
    steps = run.config.steps
    if run.from_step is None and start >= steps:
      say(run.console, f"{run.title}: step {start} of {steps} is done already")
      return
    _check_unused(run, checkpoints, start, state)
    if start:
      say(run.console, f"{run.title}: resumed at step {start} of {steps}")
    if run.from_step is not None:
      _set_aside(run, checkpoints)
    state = _train(run, checkpoints, iterator, start, state)
  if int(state.step) < steps:
    say(
      run.console,
      f"{run.title}: stopped at step {int(state.step)}, validation has not "
      f"improved since step {int(state.best_step)}",
    )


def _train(run, checkpoints, iterator, start, state):
  """Trains from step `start` to the end; returns the last state."""
  programs, key, steps = run.programs, run.programs.key, run.config.steps
  stopped = _stopped_early(state, run.config)
  pending = None
  reporter = _make_reporter(run, start)
  loop = _Loop(run, checkpoints, reporter)
  with reporter, Interruption() as interruption:
    for step in range(start + 1, steps + 1):
      if stopped:
        break
      # The order of what follows must not change: a checkpoint holds the
      # position in the data after the last step that it contains, and metrics
      # are read once the next step is on its way.
      batch = to_global(next(iterator), programs.mesh)
      with jax.profiler.StepTraceAnnotation(run.name, step_num=step):
        state, metrics = programs.step(run.task.frozen, state, batch, key)
      if pending:
        loop.report(*pending)
      pending = step, metrics
      last = step == steps
      if step % run.config.eval_every == 0 or last:
        state, sums = loop.evaluate(state, pending)
        pending = None
        stopped = _stopped_early(state, run.config)
        if last or stopped:
          _warn(run, sums)
      interruption.check(step)
      over = last or stopped or interruption.signum
      if step % run.config.checkpoint_every == 0 or over:
        if pending:
          loop.report(*pending)
          pending = None
        loop.save(state, iterator)
      if interruption.signum:
        checkpoints.close()
        repeated = run.from_step is None
        raise Interrupted(
          interruption.signum, run.name, step, repeated=repeated
        )
    # Inside of the report, so that the screen says what the wait is for.
    with reporter.phase("saving"):
      checkpoints.close()
  return state


class _Loop:
  """What happens between the steps of a stage."""

  def __init__(
    self, run: StageRun, checkpoints: Checkpoints, reporter: Reporter
  ):
    self._run = run
    self._checkpoints = checkpoints
    self._reporter = reporter
    self._select = jax.jit(make_select(run.task, run.config), donate_argnums=0)
    self._finite = jax.jit(all_finite)
    self._sums = jax.jit(run.task.evaluate)
    self._summarize = jax.jit(run.task.summarize)

  def report(
    self,
    step: int,
    metrics: PyTree,
    validation: dict[str, float] | None = None,
  ) -> None:
    """Reports the metrics of a step.

    Raises:
      RunError: if the loss is not finite.
    """
    config = self._run.config
    metrics = {k: float(v) for k, v in jax.device_get(metrics).items()}
    if not np.isfinite(metrics["loss"]):
      raise self._diverged(step)
    write = step % config.log_every == 0 or step == config.steps
    metrics |= validation or {}
    self._reporter.step(step, metrics, write=write or bool(validation))

  def evaluate(
    self, state: TrainState, pending: tuple[int, PyTree]
  ) -> tuple[TrainState, PyTree]:
    """Evaluates, reports and draws; returns the next state and the sums.

    Args:
      state: state after a step; it is donated.
      pending: that step and its metrics, to be reported.
    """
    with self._reporter.phase("evaluating"):
      metrics, sums = self._validate(state.variables_to_use)
      state = self._select(state, metrics["loss"])
    validation = {f"validation_{k}": float(v) for k, v in metrics.items()}
    self.report(*pending, validation)
    with self._reporter.phase("drawing"):
      self._reporter.pictures(pending[0], self._run.pictures(state.best, sums))
    return state, sums

  def save(self, state: TrainState, iterator: Resumable) -> None:
    """Begins to save the state.

    Raises:
      RunError: if a number in it is not finite.
    """
    with self._reporter.phase("saving"):
      # Only what a step can spoil: the best loss is infinite at first.
      learned = state.variables, state.opt_state, state.average
      if not self._finite(learned):
        raise self._diverged(int(state.step))
      self._checkpoints.save(state, iterator)

  def _validate(self, variables):
    """Returns metrics of the validation split, and their sums."""
    run, total = self._run, None
    batches = eval_batches(
      run.data["validation"],
      run.programs.batch_size,
      jax.process_index(),
      jax.process_count(),
    )
    for batch in batches:
      batch = to_global(batch, run.programs.mesh)
      sums = self._sums(variables, run.task.frozen, batch)
      total = sums if total is None else jax.tree.map(jnp.add, total, sums)
    return jax.device_get((self._summarize(total), total))

  def _diverged(self, step):
    # The last checkpoint may still be on its way.
    self._checkpoints.close()
    good = self._checkpoints.latest_step
    left = f"step {good} is kept" if good else "there is no checkpoint yet"
    name = self._run.name
    return RunError(
      f"{name}: the loss or the state is not finite at step {step}; {left}. "
      f"Try a smaller --{name}.learning-rate or --{name}.clip-norm"
    )


def _first_state(run, checkpoints, iterator):
  """Returns the step to continue from, and the state there.

  The iterator is moved to the same position.
  """
  start = run.from_step
  if start is None:
    start = checkpoints.latest_step
  with working(run.console, f"{run.title}: preparing"):
    if start is None:
      return 0, run.programs.first_state(run.data)
    like = run.programs.abstract_state(run.data.spec)
    return start, checkpoints.restore(like, iterator, start)


def _check_unused(run, checkpoints, start, state):
  """Refuses to train a stage on which another stage was trained.

  Raises:
    RunError: naming the other stage.
  """
  finished = start >= run.config.steps or _stopped_early(state, run.config)
  if run.used_by and not finished:
    raise RunError(
      f"{run.used_by} was trained on the {run.name} of step "
      f"{checkpoints.latest_step}; to train the {run.name} from step {start} "
      f"to step {run.config.steps}, use another --workdir or move "
      f"{run.used_by} away"
    )


def _set_aside(run, checkpoints):
  """Renames later checkpoints, in process 0 on behalf of all."""
  if jax.process_index() == 0:
    for path in checkpoints.set_aside_after(run.from_step):
      say(run.console, f"set aside: {path}")
  if jax.process_count() > 1:
    multihost_utils.sync_global_devices("newer checkpoints are set aside")


def _make_reporter(run, start):
  return Reporter(
    run.workdir,
    run.name,
    start=start,
    steps=run.config.steps,
    batch_size=run.programs.batch_size,
    console=run.console,
    title=run.title,
    likelihood=getattr(run.config, "likelihood", "gaussian"),
    eval_every=run.config.eval_every,
    later=run.later_seconds,
  )


def _warn(run, sums):
  warning = run.task.warning(sums)
  if warning:
    say(run.console, f"warning: {warning}")


def _stopped_early(state, config):
  patience = config.patience
  return 0 < patience <= int(state.evals_without_improvement)
