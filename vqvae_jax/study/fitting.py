"""How classifiers are trained on a training set and applied to images."""

import concurrent.futures
import dataclasses
from collections.abc import Callable, Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float, PyTree, UInt8

from vqvae_jax.data.augment import STRENGTHS, classical
from vqvae_jax.errors import RunError
from vqvae_jax.pixels import to_float
from vqvae_jax.study.classifiers import Classifier, TunedClassifier
from vqvae_jax.study.parts import Part, batch_counts, batches

# The most pixels of all steps in one call of the compiled program, and the most
# steps. A call has to be short, because an interruption is only heard between
# two calls.
CHUNK_PIXELS = 50 * 64 * 28 * 28
CHUNK = 50
# The number of images that `predict` and `features` process at a time.
READ = 500


@dataclasses.dataclass(frozen=True)
class ClassifierSpec:
  """How a classifier is trained: by Adam with cosine decay to 0.

  Attributes:
    name: name of the classifier in flags and reports.
    build: function that makes the module for a number of classes.
    steps: number of optimizer steps.
    batch_size: number of images in a batch.
    learning_rate: learning rate at the first step.
    weight_decay: decay of AdamW, of kernels only.
    label_smoothing: share of the target that all classes get alike.
  """

  name: str
  build: Callable[[int], nn.Module]
  steps: int = 1500
  batch_size: int = 64
  learning_rate: float = 1e-3
  weight_decay: float = 0.0
  label_smoothing: float = 0.0

  @property
  def settings(self) -> str:
    """The settings that are chosen among `CANDIDATES`, in words."""
    return (
      f"weight decay {self.weight_decay:g}, "
      f"label smoothing {self.label_smoothing:g}"
    )


SIMPLE = ClassifierSpec("simple", Classifier)
TUNED = ClassifierSpec(
  "tuned", TunedClassifier, weight_decay=0.05, label_smoothing=0.1
)
CLASSIFIERS = {spec.name: spec for spec in (SIMPLE, TUNED)}
# Every study trains this classifier: it filters, and sets of images are
# compared in its features.
FEATURES = SIMPLE
# Weight decay and label smoothing are chosen among these on validation images.
CANDIDATES = {
  TUNED.name: tuple(
    dataclasses.replace(TUNED, weight_decay=decay, label_smoothing=smoothing)
    for decay, smoothing in ((0.05, 0.1), (0.05, 0.0), (0.5, 0.1), (0.5, 0.0))
  )
}


@dataclasses.dataclass(frozen=True)
class _Program:
  """The values that a compiled program of training is made for."""

  spec: ClassifierSpec
  num_classes: int
  augmented: bool

  def model(self) -> nn.Module:
    return self.spec.build(self.num_classes)

  def optimizer(self, weight_decay=0.0) -> optax.GradientTransformation:
    spec = self.spec
    schedule = optax.cosine_decay_schedule(spec.learning_rate, spec.steps)
    return optax.adamw(
      schedule,
      weight_decay=weight_decay,
      # Biases and the parameters of norms have no more than one axis.
      mask=lambda params: jax.tree.map(lambda p: p.ndim > 1, params),
    )


def train_classifier(
  spec: ClassifierSpec,
  parts: Sequence[Part],
  num_classes: int,
  seed: int,
  on_progress: Callable[[int, float], None] | None = None,
) -> PyTree:
  """Trains a classifier on batches in which every part has its fixed share.

  Args:
    spec: how the classifier is trained.
    parts: parts of the training set.
    num_classes: number of classes.
    seed: seed of the weights, the orders, dropout and augmentation.
    on_progress: function that is called with the number of steps done and
      their mean loss after every few steps.

  Returns:
    The parameters after the last step.

  Raises:
    ConfigError: if a part gets no image in a batch.
    RunError: if the loss is no longer finite.
  """
  counts = batch_counts(parts, spec.batch_size)
  names = [part.augment for part in parts]
  strengths = np.repeat([STRENGTHS[name] for name in names], counts, axis=0)
  # All `CANDIDATES` share a program.
  plain = dataclasses.replace(spec, weight_decay=0.0, label_smoothing=0.0)
  augmented = any(name != "none" for name in names)
  program = _Program(plain, num_classes, augmented)
  regularization = np.float32([spec.weight_decay, spec.label_smoothing])
  shape = parts[0].images.shape[1:]
  init_key, key = jax.random.split(jax.random.key(seed))
  state = _init(program, shape, init_key)
  step = 0
  chunk = _chunk(spec.batch_size, shape)
  for batch in batches(parts, counts, spec.steps, chunk, seed):
    state, loss = _interruptible(
      _train_chunk,
      program,
      state,
      batch,
      strengths.astype(np.float32),
      regularization,
      jax.random.fold_in(key, step),
    )
    step += len(batch[1])
    if not np.isfinite(loss):
      raise RunError(
        f"the loss of classifier {spec.name} is {loss} at step {step}"
      )
    if on_progress:
      on_progress(step, loss)
  return state[0]


def predict(
  spec: ClassifierSpec, params: PyTree, images: UInt8[np.ndarray, "n h w c"]
) -> Float[np.ndarray, "n classes"]:
  """Returns the logits of images, without dropout and augmentation."""
  return _apply_in_pieces(spec, params, images, "__call__")


def features(
  spec: ClassifierSpec, params: PyTree, images: UInt8[np.ndarray, "n h w c"]
) -> Float[np.ndarray, "n 128"]:
  """Returns the inputs of the last layer, without dropout."""
  return _apply_in_pieces(spec, params, images, "features")


def _interruptible(train, *arguments):
  """Calls the compiled program in a thread of its own, and reads the loss.

  Python only hears Ctrl-C between two of its own instructions, and compiling
  alone may take half a minute.
  """

  def work():
    state, loss = train(*arguments)
    return state, float(loss)

  pool = concurrent.futures.ThreadPoolExecutor(1)
  try:
    future = pool.submit(work)
    # It wakes each second, because a signal may have gone to another thread.
    while not concurrent.futures.wait([future], timeout=1).done:
      pass
    return future.result()
  finally:
    pool.shutdown(wait=False)


def _chunk(batch_size, shape):
  """Returns the number of steps in one call of the compiled program."""
  pixels = batch_size * shape[0] * shape[1]
  return min(CHUNK, max(1, CHUNK_PIXELS // pixels))


@partial(jax.jit, static_argnums=(0, 1))
def _init(program, shape, key):
  params = program.model().init(key, jnp.zeros((1, *shape)))["params"]
  return params, program.optimizer().init(params)


@partial(jax.jit, static_argnums=0, donate_argnums=1)
def _train_chunk(program, state, batch, strengths, regularization, key):
  """Trains on some batches; returns the state and the mean loss."""
  weight_decay, label_smoothing = regularization
  model, tx = program.model(), program.optimizer(weight_decay)

  def loss_of(params, images, labels, key):
    logits = model.apply(
      {"params": params}, images, train=True, rngs={"dropout": key}
    )
    targets = optax.smooth_labels(
      jax.nn.one_hot(labels, program.num_classes), label_smoothing
    )
    return optax.softmax_cross_entropy(logits, targets).mean()

  def step(state, batch):
    params, opt_state = state
    images, labels, key = batch
    change_key, dropout_key = jax.random.split(key)
    images = to_float(images)
    if program.augmented:
      images = classical(change_key, images, strengths)
    loss, grads = jax.value_and_grad(loss_of)(
      params, images, labels, dropout_key
    )
    updates, opt_state = tx.update(grads, opt_state, params)
    return (optax.apply_updates(params, updates), opt_state), loss

  images, labels = batch
  keys = jax.random.split(key, len(labels))
  state, losses = jax.lax.scan(step, state, (images, labels, keys))
  return state, losses.mean()


def _apply_in_pieces(spec, params, images, method):
  """Applies a method of the module to `READ` images at a time."""
  if not len(images):
    raise ValueError("a classifier cannot be applied to no images")
  num_classes = params["logits"]["bias"].shape[0]
  results = []
  for start in range(0, len(images), READ):
    piece = images[start : start + READ]
    missing = READ - len(piece)
    # The last piece is padded, so that one program serves all.
    padded = np.pad(piece, ((0, missing), (0, 0), (0, 0), (0, 0)))
    result = _apply(spec.build, num_classes, method, params, padded)
    results.append(np.asarray(result)[: len(piece)])
  return np.concatenate(results)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _apply(build, num_classes, method, params, images):
  return build(num_classes).apply(
    {"params": params}, to_float(images), method=method
  )
