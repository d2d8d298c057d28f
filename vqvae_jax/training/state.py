"""The state of a training and the pure functions that move it on.

Everything here is the same for every model. What differs is a `Task`: how to
make inputs of a batch, what the loss is, how the collections follow, what to
measure on validation data.
"""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from vqvae_jax.config import StageConfig
from vqvae_jax.training import optimizers

Batch = dict[str, Array]
Metrics = dict[str, Float[Array, ""]]


@runtime_checkable
class Task(Protocol):
  """One model and its loss. All methods are pure and can be traced.

  Attributes:
    frozen: arrays that the methods read and no step changes (the tokenizer,
      while the prior is trained). They are passed as an argument, so that no
      compiled program holds them as constants.
    selects: whether the validation loss says which weights are best. Where it
      does not (adversarial training), the latest are kept.
  """

  frozen: PyTree
  selects: bool

  def init(self, key: Key[Array, ""], batch: Batch) -> PyTree:
    """Returns the first variables: "params", and other Flax collections.

    The batch may be larger than those of training.
    """

  def prepare(self, frozen: PyTree, batch: Batch, key: Key[Array, ""]) -> Batch:
    """What the loss reads, leading axis the batch: augmented images, ids."""

  def loss(
    self,
    params: PyTree,
    collections: PyTree,
    inputs: Batch,
    key: Key[Array, ""],
  ) -> tuple[Float[Array, ""], tuple[Metrics, PyTree]]:
    """Mean loss; metrics; arrays by image that `update_collections` reads."""

  def update_collections(
    self, variables: PyTree, arrays: PyTree, key: Key[Array, ""]
  ) -> PyTree:
    """New variables, after the optimizer's update."""

  def evaluate(self, variables: PyTree, frozen: PyTree, batch: Batch) -> PyTree:
    """Sums over the images whose `batch["mask"]` is 1."""

  def summarize(self, sums: PyTree) -> Metrics:
    """Validation metrics from sums over the split; `loss` is what selects.

    Where nothing selects, it is only reported.
    """

  def warning(self, sums: PyTree) -> str | None:
    """What is amiss at the end of the training, and which flag mends it.

    Args:
      sums: of `evaluate`, over the validation split.
    """


@flax.struct.dataclass
class TrainState:
  """All that the next step depends on, except the place in the data.

  Attributes:
    step: optimizer steps done.
    params: weights.
    collections: other Flax collections of the model by name: the running
      statistics of a codebook, or of batch normalisation.
    opt_state: of the optimizer.
    average: running average of the weights, or {} where it is off.
    plateau: reduce-on-plateau's state; its scale multiplies every update.
    best: the variables with the least validation loss so far, or the latest
      that were evaluated, where that loss does not select.
    best_loss: that loss, infinite before the first evaluation, and always
      where it does not select.
    best_step: its step.
    stale: evaluations since then.
  """

  step: Int[Array, ""]
  params: PyTree
  collections: PyTree
  opt_state: PyTree
  average: PyTree
  plateau: PyTree
  best: PyTree
  best_loss: Float[Array, ""]
  best_step: Int[Array, ""]
  stale: Int[Array, ""]


TrainStep = Callable[
  [PyTree, TrainState, Batch, Key[Array, ""]], tuple[TrainState, Metrics]
]


def init_state(
  task: Task, config: StageConfig, batch: Batch, key: Key[Array, ""]
) -> TrainState:
  """The state at step 0; first codes are taken from `batch`."""
  variables = task.init(key, batch)
  params = variables["params"]
  return TrainState(
    step=jnp.zeros((), jnp.int32),
    params=params,
    collections={k: v for k, v in variables.items() if k != "params"},
    opt_state=optimizers.optimizer(config).init(params),
    average=_copy(params) if config.weights_ema else {},
    plateau=optimizers.plateau(config).init(params),
    best=_copy(variables),
    # With a type of its own: a weak one would change at the first evaluation,
    # and the step compile anew.
    best_loss=jnp.full((), jnp.inf, float),
    best_step=jnp.zeros((), jnp.int32),
    stale=jnp.zeros((), jnp.int32),
  )


def make_train_step(task: Task, config: StageConfig) -> TrainStep:
  """The pure step `(frozen, state, batch, key) -> (state, metrics)`.

  Gradients of `config.accumulate` micro-batches are averaged into one update;
  the codebook then follows all their latents at once.
  """
  tx = optimizers.optimizer(config)
  schedule = optimizers.learning_rate_schedule(config)

  def train_step(frozen, state, batch, key):
    prepare_key, loss_key, codes_key = jax.random.split(
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
    scale = state.plateau.scale
    updates = jax.tree.map(lambda u: u * scale.astype(u.dtype), updates)
    variables = task.update_collections(
      {
        "params": optax.apply_updates(state.params, updates),
        **state.collections,
      },
      arrays,
      codes_key,
    )
    average = state.average
    if config.weights_ema:
      # Early on, the average follows faster, so that it forgets the start.
      decay = jnp.minimum(
        config.weights_ema, (1 + state.step) / (10 + state.step)
      )
      average = optax.incremental_update(
        variables["params"], average, 1 - decay
      )
    metrics |= {
      "gradient_norm": optax.tree.norm(grads),
      "learning_rate": schedule(state.step) * scale,
    }
    state = state.replace(
      step=state.step + 1,
      params=variables["params"],
      collections={k: v for k, v in variables.items() if k != "params"},
      opt_state=opt_state,
      average=average,
    )
    return state, metrics

  return train_step


def weights_to_use(state: TrainState) -> PyTree:
  """The variables for validation and sampling: averaged where that is on."""
  params = state.average if state.average else state.params
  return {"params": params, **state.collections}


def make_select(config: StageConfig):
  """The pure `(state, validation loss) -> state` that keeps the best weights.

  It also counts evaluations without improvement and moves the plateau
  schedule on.
  """
  plateau = optimizers.plateau(config)

  def select(state, loss):
    better = loss < state.best_loss
    _, scaled = plateau.update(state.params, state.plateau, value=loss)
    best = jax.tree.map(
      lambda new, old: jnp.where(better, new, old),
      weights_to_use(state),
      state.best,
    )
    return state.replace(
      plateau=scaled if config.schedule == "plateau" else state.plateau,
      best=best,
      best_loss=jnp.where(better, loss, state.best_loss),
      best_step=jnp.where(better, state.step, state.best_step),
      stale=jnp.where(better, 0, state.stale + 1),
    )

  return select


def keep_latest(state: TrainState, loss: Float[Array, ""]) -> TrainState:
  """What `make_select` gives, where the validation loss does not select.

  The best loss stays infinite, so checkpoints hold the weights of their own
  step.
  """
  del loss
  best, best_step = _copy((weights_to_use(state), state.step))
  return state.replace(best=best, best_step=best_step)


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
