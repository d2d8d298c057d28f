"""The state of a training, and the pure functions that advance it.

Everything here is the same for every model. A `Task` says what differs: how a
batch becomes inputs, what the loss is, how collections such as the codebook
follow, and what is measured on validation images.

Variables are those of Flax, `{"params": ..., **collections}`.
"""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Key, PyTree

from vqvae_jax.config import StageConfig
from vqvae_jax.training import optimizers

Batch = dict[str, Array]
Metrics = dict[str, Float[Array, ""]]


@runtime_checkable
class Task(Protocol):
  """One model and its loss. All methods but `warning` are pure.

  Attributes:
    frozen: arrays that the methods read and no step changes (the tokenizer,
      while the prior is trained). They are passed as an argument, so that no
      compiled program holds them as constants.
    selects: whether the validation loss says which weights are best. If it
      does not (adversarial training), the latest weights are used.
  """

  frozen: PyTree
  selects: bool

  def init(self, key: Key[Array, ""], batch: Batch) -> PyTree:
    """Returns the first variables.

    The batch may be larger than those of training.
    """

  def prepare(self, frozen: PyTree, batch: Batch, key: Key[Array, ""]) -> Batch:
    """Returns what the loss reads, such as augmented images or ids.

    The first axis of every array is the batch.
    """

  def loss(
    self,
    params: PyTree,
    collections: dict[str, PyTree],
    inputs: Batch,
    key: Key[Array, ""],
  ) -> tuple[Float[Array, ""], tuple[Metrics, PyTree]]:
    """Returns the mean loss, metrics, and arrays for `update_collections`.

    The first axis of these arrays is the batch.
    """

  def update_collections(
    self, variables: PyTree, arrays: PyTree, key: Key[Array, ""]
  ) -> PyTree:
    """Returns new variables after the update of the optimizer."""

  def evaluate(self, variables: PyTree, frozen: PyTree, batch: Batch) -> PyTree:
    """Returns sums over the images whose `batch["mask"]` is 1."""

  def summarize(self, sums: PyTree) -> Metrics:
    """Returns validation metrics from sums over the split.

    The best weights are those with the least `loss`, where the task selects.
    """

  def warning(self, sums: PyTree) -> str | None:
    """Says what is wrong at the end of the training and which flag mends it.

    Args:
      sums: sums of `evaluate` over the validation split.
    """


@flax.struct.dataclass
class TrainState:
  """All that the next step depends on, except the position in the data.

  Attributes:
    step: number of optimizer steps done, int32 [].
    params: weights.
    collections: the other variables of the model, such as the codebook and its
      running statistics, or the statistics of batch normalisation.
    opt_state: state of the optimizer.
    average: running average of the weights, or {} if it is off.
    plateau: state of the plateau schedule, whose scale multiplies every update,
      or {} for other schedules.
    best: the variables with the least validation loss so far, or the latest
      that were evaluated, if that loss does not select.
    best_loss: that loss, float32 []. It is infinite before the first
      evaluation, and always if the loss does not select.
    best_step: the step of `best`, int32 [].
    evals_without_improvement: number of evaluations since `best_step`,
      int32 [].
  """

  # Operations on trees also put shapes, names or None in place of arrays, so
  # that no narrower annotation would be true.
  step: PyTree
  params: PyTree
  collections: PyTree
  opt_state: PyTree
  average: PyTree
  plateau: PyTree
  best: PyTree
  best_loss: PyTree
  best_step: PyTree
  evals_without_improvement: PyTree

  @property
  def variables(self) -> PyTree:
    """The latest variables."""
    return {"params": self.params, **self.collections}

  @property
  def variables_to_use(self) -> PyTree:
    """The variables for validation and sampling: averaged if that is on."""
    return {**self.variables, "params": self.average or self.params}


TrainStep = Callable[
  [PyTree, TrainState, Batch, Key[Array, ""]], tuple[TrainState, Metrics]
]


def init_state(
  task: Task, config: StageConfig, batch: Batch, key: Key[Array, ""]
) -> TrainState:
  """Returns the state at step 0; the first codes are taken from `batch`."""
  variables = task.init(key, batch)
  collections = dict(variables)
  params = collections.pop("params")
  plateau = {}
  if config.schedule == "plateau":
    plateau = optimizers.plateau(config).init(params)
  return TrainState(
    step=jnp.zeros((), jnp.int32),
    params=params,
    collections=collections,
    opt_state=optimizers.optimizer(config).init(params),
    average=_copy(params) if config.weights_ema else {},
    plateau=plateau,
    best=_copy(variables),
    # The type is given because a weak one would change at the first evaluation,
    # and the step would be compiled again.
    best_loss=jnp.full((), jnp.inf, float),
    best_step=jnp.zeros((), jnp.int32),
    evals_without_improvement=jnp.zeros((), jnp.int32),
  )


def make_train_step(task: Task, config: StageConfig) -> TrainStep:
  """Returns the pure step `(frozen, state, batch, key) -> (state, metrics)`.

  Gradients of `config.accumulate` micro-batches are averaged into one update;
  the collections then follow all their arrays at once.
  """
  tx = optimizers.optimizer(config)
  schedule = optimizers.learning_rate_schedule(config)

  def train_step(frozen, state, batch, key):
    prepare_key, loss_key, update_key = jax.random.split(
      jax.random.fold_in(key, state.step), 3
    )
    inputs = task.prepare(frozen, batch, prepare_key)

    def gradients(inputs, key):
      return jax.grad(task.loss, has_aux=True)(
        state.params, state.collections, inputs, key
      )

    grads, (metrics, arrays) = _accumulate(
      gradients, inputs, loss_key, config.accumulate
    )
    updates, opt_state = tx.update(grads, state.opt_state, state.params)
    scale = state.plateau.scale if config.schedule == "plateau" else 1
    if config.schedule == "plateau":
      updates = jax.tree.map(lambda u: u * scale.astype(u.dtype), updates)
    variables = {
      **state.collections,
      "params": optax.apply_updates(state.params, updates),
    }
    collections = dict(task.update_collections(variables, arrays, update_key))
    params = collections.pop("params")
    metrics |= {
      "gradient_norm": optax.tree.norm(grads),
      "learning_rate": schedule(state.step) * scale,
    }
    state = state.replace(
      step=state.step + 1,
      params=params,
      collections=collections,
      opt_state=opt_state,
      average=_averaged(state, params, config.weights_ema),
    )
    return state, metrics

  return train_step


def _averaged(state, params, decay):
  if not decay:
    return state.average
  # Early on, the average follows faster, so that it forgets the start.
  decay = jnp.minimum(decay, (1 + state.step) / (10 + state.step))
  return optax.incremental_update(params, state.average, 1 - decay)


def make_select(
  task: Task, config: StageConfig
) -> Callable[[TrainState, Float[Array, ""]], TrainState]:
  """Returns the pure `(state, validation loss) -> state` after an evaluation.

  It keeps the best variables, counts the evaluations without improvement and
  advances the plateau schedule. If the loss of the task does not select, the
  latest variables are kept, and the best loss stays infinite, so that
  checkpoints hold the weights of their own step.
  """

  def select(state, loss):
    better = loss < state.best_loss
    best = jax.tree.map(
      lambda new, old: jnp.where(better, new, old),
      state.variables_to_use,
      state.best,
    )
    state = state.replace(
      best=best,
      best_loss=jnp.where(better, loss, state.best_loss),
      best_step=jnp.where(better, state.step, state.best_step),
      evals_without_improvement=jnp.where(
        better, 0, state.evals_without_improvement + 1
      ),
    )
    if config.schedule != "plateau":
      return state
    _, plateau = optimizers.plateau(config).update(
      state.params, state.plateau, value=loss
    )
    return state.replace(plateau=plateau)

  def keep_latest(state, loss):
    del loss
    best, best_step = _copy((state.variables_to_use, state.step))
    return state.replace(best=best, best_step=best_step)

  return select if task.selects else keep_latest


def all_finite(tree: PyTree) -> Bool[Array, ""]:
  """Whether every floating-point number in the tree is finite."""
  leaves = [
    jnp.isfinite(leaf).all()
    for leaf in jax.tree.leaves(tree)
    if jnp.issubdtype(leaf.dtype, jnp.floating)
  ]
  return jnp.array(leaves).all()


def _accumulate(gradients, inputs, key, count):
  """Averages gradients and metrics over micro-batches, joins their arrays."""
  if count == 1:
    return gradients(inputs, key)

  # Micro-batch i takes rows i, i + count, ...: every device keeps its rows.
  def deal(x):
    return x.reshape(-1, count, *x.shape[1:]).swapaxes(0, 1)

  def join(x):
    return x.swapaxes(0, 1).reshape(-1, *x.shape[2:])

  micro = jax.tree.map(deal, inputs), jax.random.split(key, count)
  shapes = jax.eval_shape(gradients, *jax.tree.map(lambda x: x[0], micro))
  zeros = jax.tree.map(
    lambda s: jnp.zeros(s.shape, s.dtype), (shapes[0], shapes[1][0])
  )

  def body(total, xs):
    grads, (metrics, arrays) = gradients(*xs)
    return jax.tree.map(jnp.add, total, (grads, metrics)), arrays

  total, arrays = jax.lax.scan(body, zeros, micro)
  grads, metrics = jax.tree.map(lambda x: x / count, total)
  return grads, (metrics, jax.tree.map(join, arrays))


def _copy(tree):
  """New buffers: two leaves that share one cannot both be donated."""
  return jax.tree.map(jnp.copy, tree)
