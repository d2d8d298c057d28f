"""Classifiers that judge a training set by what they learn from it."""

import concurrent.futures
import dataclasses
import io
import zipfile
from collections.abc import Callable, Sequence
from functools import cache, partial

import flax.linen as nn
import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import optax
from etils import epath
from jaxtyping import Float, PyTree, UInt8

from vqvae_jax.errors import ConfigError, RunError
from vqvae_jax.files import replace
from vqvae_jax.pixels import to_float
from vqvae_jax.study.classical import STRENGTHS, classical
from vqvae_jax.study.classifiers import Classifier, TunedClassifier
from vqvae_jax.study.parts import Part, batch_rows, batches, check

# Pixels of all steps in one call of the compiled program, whose images travel
# together: between calls a training hears an interruption, so none may take
# long. And steps, at most.
CHUNK_PIXELS = 50 * 64 * 28 * 28
CHUNK = 50
# Images that `predict` and `features` read at a time.
READ = 500


@dataclasses.dataclass(frozen=True)
class Judge:
  """How a classifier is trained. Always Adam with cosine decay to 0.

  Attributes:
    name: in reports.
    build: makes the module for a number of classes.
    steps: of the optimizer.
    batch_size: images a step.
    learning_rate: at the first step.
    weight_decay: AdamW's, of kernels only.
    label_smoothing: share of the target that goes to all classes alike.
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
    """What is chosen among `CANDIDATES`, in words."""
    return (
      f"weight decay {self.weight_decay:g}, "
      f"label smoothing {self.label_smoothing:g}"
    )


SIMPLE = Judge("simple", Classifier)
TUNED = Judge("tuned", TunedClassifier, weight_decay=0.05, label_smoothing=0.1)
JUDGES = {judge.name: judge for judge in (SIMPLE, TUNED)}
# Of every study, in whose features sets compare, and that filters.
FEATURES = SIMPLE.name
# Weight decay and label smoothing, chosen on validation images.
CANDIDATES = {
  TUNED.name: tuple(
    dataclasses.replace(TUNED, weight_decay=decay, label_smoothing=smoothing)
    for decay, smoothing in ((0.05, 0.1), (0.05, 0.0), (0.5, 0.1), (0.5, 0.0))
  )
}


def train_judge(
  judge: Judge,
  parts: Sequence[Part],
  num_classes: int,
  seed: int,
  steps: int | None = None,
  on_progress: Callable[[int, float], None] | None = None,
) -> PyTree:
  """Trains on batches in which every part has its fixed share.

  Args:
    judge: what to train and how.
    parts: the training set.
    num_classes: of the labels.
    seed: of weights, orders, dropout and augmentation.
    steps: instead of the judge's.
    on_progress: is told, now and then, the steps done and their mean loss.

  Returns:
    The parameters after the last step.

  Raises:
    ConfigError: if parts do not fit each other or the judge.
    RunError: if the loss is no longer finite.
  """
  if steps is not None:
    judge = dataclasses.replace(judge, steps=steps)
  check(parts, num_classes)
  rows = batch_rows(parts, judge.batch_size)
  names = [part.augment for part in parts]
  _check_strengths(names)
  strengths = np.repeat([STRENGTHS[name] for name in names], rows, axis=0)
  # The same program for all that `CANDIDATES` try.
  program = dataclasses.replace(judge, weight_decay=0.0, label_smoothing=0.0)
  train = partial(
    _train_chunk, program, num_classes, any(name != "none" for name in names)
  )
  regularization = np.float32([judge.weight_decay, judge.label_smoothing])
  shape = parts[0].images.shape[1:]
  init_key, key = jax.random.split(jax.random.key(seed))
  params, opt_state = _init(program, num_classes, shape, init_key)
  step = 0
  chunk = _chunk(judge.batch_size, shape)
  for images, labels in batches(parts, rows, judge.steps, chunk, seed):
    params, opt_state, loss = _interruptible(
      train,
      params,
      opt_state,
      images,
      labels,
      strengths.astype(np.float32),
      regularization,
      jax.random.fold_in(key, step),
    )
    step += len(labels)
    if not np.isfinite(loss):
      raise RunError(
        f"the loss of classifier {judge.name} is {loss} at step {step}"
      )
    if on_progress:
      on_progress(step, loss)
  return params


def predict(
  judge: Judge, params: PyTree, images: UInt8[np.ndarray, "n h w c"]
) -> Float[np.ndarray, "n classes"]:
  """Logits, float32, of images as they are: no dropout, no augmentation."""
  return _read(judge, params, images, "__call__")


def features(
  judge: Judge, params: PyTree, images: UInt8[np.ndarray, "n h w c"]
) -> Float[np.ndarray, "n 128"]:
  """What the last layer sees, float32, without dropout."""
  return _read(judge, params, images, "features")


@cache
def params_like(
  judge: Judge, num_classes: int, image_shape: tuple[int, int, int]
) -> PyTree:
  """Shapes and types of the parameters for images [h, w, c]."""
  images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  model = judge.build(num_classes)
  return jax.eval_shape(model.init, jax.random.key(0), images)["params"]


def save_params(path: epath.PathLike, params: PyTree):
  """Writes an npz file, which is whole or absent."""
  flat = flax.traverse_util.flatten_dict(jax.device_get(params), sep="/")
  file = io.BytesIO()
  np.savez(file, **flat)
  replace(epath.Path(path), file.getvalue())


def load_params(path: epath.PathLike, like: PyTree) -> PyTree:
  """Reads what `save_params` wrote.

  Args:
    path: of the file.
    like: see `params_like`.

  Raises:
    RunError: if the file is absent, broken, or of another judge.
  """
  try:
    content = io.BytesIO(epath.Path(path).read_bytes())
    with np.load(content, allow_pickle=False) as file:
      flat = {name: file[name] for name in file.files}
  except (OSError, ValueError, zipfile.BadZipFile) as error:
    raise RunError(f"{path} holds no parameters: {error}") from None
  expected = flax.traverse_util.flatten_dict(like, sep="/")
  if {k: (v.shape, v.dtype) for k, v in flat.items()} != {
    k: (v.shape, v.dtype) for k, v in expected.items()
  }:
    raise RunError(f"{path} holds the parameters of another judge")
  return flax.traverse_util.unflatten_dict(flat, sep="/")


def _interruptible(train, *arguments):
  """Calls the compiled program in a thread of its own, and reads the loss.

  Python hears Ctrl-C between two of its own instructions only, and compiling
  alone may take half a minute.
  """

  def work():
    params, opt_state, loss = train(*arguments)
    return params, opt_state, float(loss)

  pool = concurrent.futures.ThreadPoolExecutor(1)
  try:
    future = pool.submit(work)
    # Woken each second: a signal may have gone to another thread.
    while not concurrent.futures.wait([future], timeout=1).done:
      pass
    return future.result()
  finally:
    pool.shutdown(wait=False)


def _chunk(batch_size, shape):
  pixels = batch_size * shape[0] * shape[1]
  return min(CHUNK, max(1, CHUNK_PIXELS // pixels))


def _check_strengths(names):
  for name in names:
    if name not in STRENGTHS:
      raise ConfigError(f"augment {name!r} is none of {', '.join(STRENGTHS)}")


def _optimizer(judge, weight_decay=0.0):
  schedule = optax.cosine_decay_schedule(judge.learning_rate, judge.steps)
  return optax.adamw(
    schedule,
    weight_decay=weight_decay,
    # Biases and norms have no more than one axis.
    mask=lambda params: jax.tree.map(lambda p: p.ndim > 1, params),
  )


@partial(jax.jit, static_argnums=(0, 1, 2))
def _init(judge, num_classes, shape, key):
  images = jnp.zeros((1, *shape))
  params = judge.build(num_classes).init(key, images)["params"]
  return params, _optimizer(judge).init(params)


@partial(jax.jit, static_argnums=(0, 1, 2), donate_argnums=(3, 4))
def _train_chunk(
  judge,
  num_classes,
  augmented,
  params,
  opt_state,
  images,
  labels,
  strengths,
  regularization,
  key,
):
  weight_decay, label_smoothing = regularization
  model, tx = judge.build(num_classes), _optimizer(judge, weight_decay)

  def loss_of(params, images, labels, key):
    logits = model.apply(
      {"params": params}, images, train=True, rngs={"dropout": key}
    )
    targets = optax.smooth_labels(
      jax.nn.one_hot(labels, num_classes), label_smoothing
    )
    return optax.softmax_cross_entropy(logits, targets).mean()

  def step(carry, batch):
    params, opt_state = carry
    images, labels, key = batch
    change_key, dropout_key = jax.random.split(key)
    images = to_float(images)
    if augmented:
      images = classical(change_key, images, strengths)
    loss, grads = jax.value_and_grad(loss_of)(
      params, images, labels, dropout_key
    )
    updates, opt_state = tx.update(grads, opt_state, params)
    return (optax.apply_updates(params, updates), opt_state), loss

  keys = jax.random.split(key, len(labels))
  (params, opt_state), losses = jax.lax.scan(
    step, (params, opt_state), (images, labels, keys)
  )
  return params, opt_state, losses.mean()


def _read(judge, params, images, method):
  """Applies a method of the module in batches of one size, the last padded."""
  num_classes = params["logits"]["bias"].shape[0]
  results = []
  for start in range(0, len(images), READ):
    rows = images[start : start + READ]
    missing = READ - len(rows)
    padded = np.pad(rows, ((0, missing), (0, 0), (0, 0), (0, 0)))
    result = _apply(judge.build, num_classes, method, params, padded)
    results.append(np.asarray(result)[: len(rows)])
  if not results:
    raise ConfigError("no images to read")
  return np.concatenate(results)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _apply(build, num_classes, method, params, images):
  return build(num_classes).apply(
    {"params": params}, to_float(images), method=method
  )
