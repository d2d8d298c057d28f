"""One loop for every stage: steps, evaluations, checkpoints, interruptions."""

import signal
import threading
from collections.abc import Callable
from functools import partial

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
from vqvae_jax.training import state as st
from vqvae_jax.training.checkpoints import Checkpoints
from vqvae_jax.training.programs import Programs
from vqvae_jax.training.reporting import Reporter

# From the best variables and the sums over the validation split.
Pictures = Callable[[PyTree, PyTree], dict[str, np.ndarray]]


class Interruption:
  """Notes SIGTERM and SIGINT while it is entered, for the loop to act on.

  The second signal has its ordinary effect, so a hanging run can be ended. Of
  several processes that compute together all must stop at the same step: there
  JAX notes SIGTERM, of any of them, and says at which.
  """

  signum: int | None = None

  def __enter__(self):
    # Only the main thread may set handlers; elsewhere signals stay as they are.
    self._old = {}
    alone = jax.process_count() == 1
    if alone and threading.current_thread() is threading.main_thread():
      for signum in (signal.SIGTERM, signal.SIGINT):
        self._old[signum] = signal.signal(signum, self._note)
    return self

  def check(self, step: int):
    """Asks, in all processes, whether to stop after this step."""
    several = jax.process_count() > 1
    if several and multihost_utils.reached_preemption_sync_point(step):
      self.signum = signal.SIGTERM

  def __exit__(self, *exception):
    self._restore()

  def _note(self, signum, frame):
    del frame
    self.signum = signum
    self._restore()

  def _restore(self):
    for signum, handler in self._old.items():
      signal.signal(signum, handler)


def run_stage(
  name: str,
  task: st.Task,
  config: StageConfig,
  programs: Programs,
  data: Data,
  *,
  seed: int,
  workdir: epath.PathLike,
  pictures: Pictures,
  console: Console,
  built_upon: epath.PathLike | None = None,
  title: str | None = None,
  later: float = 0.0,
  from_step: int | None = None,
):
  """Trains one stage to its end, from its newest checkpoint if there is one.

  Args:
    name: of the stage, and of its folder in `workdir`.
    task: the model and its loss.
    config: of the stage.
    programs: of the stage, for tasks of the same shapes as `task`.
    data: with the splits "train" and "validation".
    seed: of the order of the images.
    workdir: the run folder.
    pictures: what to draw of the best variables after an evaluation.
    console: for messages.
    built_upon: what was trained on this stage as it is, so that it must not
      change any more.
    title: name of the stage on the screen, by default `name`.
    later: expected seconds of the stages that follow.
    from_step: step of the checkpoint to go on from, by default the newest.

  Raises:
    Interrupted: on SIGTERM or SIGINT, after the state was saved.
    RunError: if the loss is no longer finite, or the stage is not at its end
      though something was built upon it.
  """
  workdir, title = epath.Path(workdir), title or name
  mesh, batch_size = programs.mesh, programs.batch_size
  iterator = make_train_iterator(
    data["train"],
    batch_size,
    seed,
    jax.process_index(),
    jax.process_count(),
  )
  key = programs.key
  train_step = partial(programs.step, task.frozen)
  select = st.make_select(config) if task.selects else st.keep_latest
  select = jax.jit(select, donate_argnums=0)
  finite = jax.jit(st.all_finite)
  evaluate = _make_evaluate(task, data, batch_size, mesh)
  with Checkpoints(workdir / name, task.frozen) as checkpoints:
    start = checkpoints.latest_step if from_step is None else from_step
    with working(console, f"{title}: preparing"):
      if start is None:
        start, state = 0, programs.first_state(data)
      else:
        like = programs.abstract_state(data.spec)
        state = checkpoints.restore(like, iterator, start)
    if from_step is None and start >= config.steps:
      say(console, f"{title}: step {start} of {config.steps} is done already")
      return
    stopped = _stopped_early(state, config)
    if built_upon and not stopped and start < config.steps:
      raise RunError(
        f"{built_upon} was trained on the {name} of step "
        f"{checkpoints.latest_step}; to train the {name} from step {start} to "
        f"step {config.steps}, use another --workdir or move {built_upon} away"
      )
    if start:
      say(console, f"{title}: resumed at step {start} of {config.steps}")
    if from_step is not None:
      _set_aside(checkpoints, from_step, console)
    reporter = Reporter(
      workdir,
      name,
      start=start,
      steps=config.steps,
      batch_size=batch_size,
      console=console,
      title=title,
      likelihood=getattr(config, "likelihood", "gaussian"),
      eval_every=config.eval_every,
      later=later,
    )

    def save():
      # Only what a step can spoil: the best loss is infinite at first.
      learned = state.params, state.collections, state.opt_state, state.average
      if not finite(learned):
        raise _diverged(name, int(state.step), checkpoints)
      checkpoints.save(state, iterator)

    pending = None

    def report(validation=None):
      step, metrics = pending
      metrics = {k: float(v) for k, v in jax.device_get(metrics).items()}
      if not np.isfinite(metrics["loss"]):
        raise _diverged(name, step, checkpoints)
      write = step % config.log_every == 0 or step == config.steps
      metrics |= validation or {}
      reporter.step(step, metrics, write=write or bool(validation))

    with reporter, Interruption() as interruption:
      for step in range(start + 1, config.steps + 1):
        if stopped:
          break
        batch = to_global(next(iterator), mesh)
        state, metrics = train_step(state, batch, key)
        # Metrics are read once the next step is on its way.
        if pending:
          report()
        pending = step, metrics
        last = step == config.steps
        if step % config.eval_every == 0 or last:
          with reporter.phase("evaluating"):
            measured, sums = evaluate(state)
            state = select(state, measured["loss"])
          report({f"validation_{k}": float(v) for k, v in measured.items()})
          pending = None
          with reporter.phase("drawing"):
            reporter.pictures(step, pictures(state.best, sums))
          stopped = _stopped_early(state, config)
          warning = task.warning(sums)
          if warning and (last or stopped):
            say(console, f"warning: {warning}")
        interruption.check(step)
        over = last or stopped or interruption.signum
        if step % config.checkpoint_every == 0 or over:
          if pending:
            report()
            pending = None
          with reporter.phase("saving"):
            save()
        if interruption.signum:
          checkpoints.close()
          raise Interrupted(
            interruption.signum, name, step, repeated=from_step is None
          )
      # Here, where the screen says what is waited for.
      with reporter.phase("saving"):
        checkpoints.close()
  if stopped and int(state.step) < config.steps:
    say(
      console,
      f"{title}: stopped at step {int(state.step)}, validation has not "
      f"improved since step {int(state.best_step)}",
    )


def _set_aside(checkpoints, step, console):
  """Renames checkpoints beyond a step, by process 0 for all."""
  if jax.process_index() == 0:
    for path in checkpoints.set_aside_after(step):
      say(console, f"set aside: {path}")
  if jax.process_count() > 1:
    multihost_utils.sync_global_devices("newer checkpoints are set aside")


def _make_evaluate(task, data, batch_size, mesh):
  """A function from a state to metrics and sums over the validation split."""
  sums = jax.jit(task.evaluate)
  summarize = jax.jit(task.summarize)

  def evaluate(state):
    variables = st.weights_to_use(state)
    total = None
    batches = eval_batches(
      data["validation"],
      batch_size,
      jax.process_index(),
      jax.process_count(),
    )
    for batch in batches:
      part = sums(variables, task.frozen, to_global(batch, mesh))
      total = part if total is None else jax.tree.map(jnp.add, total, part)
    return jax.device_get((summarize(total), total))

  return evaluate


def _stopped_early(state, config):
  return config.patience > 0 and int(state.stale) >= config.patience


def _diverged(name, step, checkpoints):
  # The last one may still be on its way.
  checkpoints.close()
  good = checkpoints.latest_step
  kept = f"step {good} is kept" if good else "no checkpoint was made yet"
  return RunError(
    f"{name}: the loss or the state is not finite at step {step}; {kept}. "
    f"Try a smaller --{name}.learning-rate or --{name}.clip-norm"
  )
