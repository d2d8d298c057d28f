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
from jax.sharding import Mesh
from jaxtyping import PyTree
from rich.console import Console

from vqvae_jax.config import StageConfig
from vqvae_jax.data import Data, eval_batches, make_train_iterator
from vqvae_jax.errors import Interrupted, RunError
from vqvae_jax.progress import say, working
from vqvae_jax.sharding import local_rows, replicated, to_global
from vqvae_jax.training import state as st
from vqvae_jax.training.checkpoints import Checkpoints
from vqvae_jax.training.reporting import Reporter

# The first codes are taken from about so many images.
START_IMAGES = 1024

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
  batch_size: int,
  data: Data,
  *,
  mesh: Mesh,
  key_seed: int,
  seed: int,
  workdir: epath.PathLike,
  pictures: Pictures,
  console: Console,
  built_upon: epath.PathLike | None = None,
  title: str | None = None,
  later: float = 0.0,
):
  """Trains one stage to its end, from its newest checkpoint if there is one.

  Args:
    name: of the stage, and of its folder in `workdir`.
    task: the model and its loss.
    config: of the stage.
    batch_size: images in a global batch.
    data: with the splits "train" and "validation".
    mesh: the devices.
    key_seed: of the key of initial weights and of every step.
    seed: of the order of the images.
    workdir: the run folder.
    pictures: what to draw of the best variables after an evaluation.
    console: for messages.
    built_upon: what was trained on this stage as it is, so that it must not
      change any more.
    title: name of the stage on the screen, by default `name`.
    later: expected seconds of the stages that follow.

  Raises:
    Interrupted: on SIGTERM or SIGINT, after the state was saved.
    RunError: if the loss is no longer finite, or the stage is not at its end
      though something was built upon it.
  """
  workdir, title = epath.Path(workdir), title or name
  iterator = make_train_iterator(
    data["train"],
    batch_size,
    seed,
    jax.process_index(),
    jax.process_count(),
  )
  # On all devices of all processes, where `device_put` could not bring it.
  key = jax.jit(jax.random.key, out_shardings=replicated(mesh))(key_seed)
  train_step = partial(
    jax.jit(st.make_train_step(task, config), donate_argnums=1), task.frozen
  )
  select = st.make_select(config) if task.selects else st.keep_latest
  select = jax.jit(select, donate_argnums=0)
  finite = jax.jit(st.all_finite)
  evaluate = _make_evaluate(task, data, batch_size, mesh)
  with Checkpoints(workdir / name) as checkpoints:
    start = checkpoints.latest_step
    if start is not None and start >= config.steps:
      say(console, f"{title}: step {start} of {config.steps} is done already")
      return
    with working(console, f"{title}: preparing"):
      state = _first_state(task, config, data, batch_size, mesh, key)
    if start is not None:
      state = checkpoints.restore(state, iterator)
      say(console, f"{title}: resumed at step {start} of {config.steps}")
    start = start or 0
    stopped = _stopped_early(state, config)
    if built_upon and not stopped:
      raise RunError(
        f"{built_upon} was trained on the {name} of step {start}; to train "
        f"the {name} to step {config.steps}, use another --workdir or move "
        f"{built_upon} away"
      )
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
      learned = state.params, state.codebook, state.opt_state, state.average
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
          raise Interrupted(interruption.signum, name, step)
      # Here, where the screen says what is waited for.
      with reporter.phase("saving"):
        checkpoints.close()
  if stopped and int(state.step) < config.steps:
    say(
      console,
      f"{title}: stopped at step {int(state.step)}, validation has not "
      f"improved since step {int(state.best_step)}",
    )


def _first_state(task, config, data, batch_size, mesh, key):
  """The state at step 0, first codes taken from several batches."""
  split = data["train"]
  batches = max(1, min(START_IMAGES, len(split)) // batch_size)
  rows = np.random.default_rng(0).permutation(len(split))
  rows = np.resize(rows, batches * batch_size)
  batch = to_global(local_rows(split.gather(rows)), mesh)
  init = jax.jit(
    lambda batch, key: st.init_state(task, config, batch, key),
    out_shardings=replicated(mesh),
  )
  return init(batch, jax.random.fold_in(key, 2**32 - 1))


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
  good = checkpoints.latest_step
  kept = f"step {good} is kept" if good else "no checkpoint was made yet"
  return RunError(
    f"{name}: the loss or the state is not finite at step {step}; {kept}. "
    f"Try a smaller --{name}.learning-rate or --{name}.clip-norm"
  )
