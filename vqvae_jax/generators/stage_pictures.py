"""What each stage draws of its best variables after an evaluation."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from vqvae_jax import pictures
from vqvae_jax.config import Config
from vqvae_jax.data import Data, DataSpec
from vqvae_jax.generators.autoencoder.network import class_gaussians
from vqvae_jax.generators.baseline_tasks import (
  AdversarialTask,
  AutoencoderTask,
  as_applied,
)
from vqvae_jax.generators.dcgan.network import DCGAN
from vqvae_jax.generators.vqvae.prior import PriorTask, default_guidance
from vqvae_jax.generators.vqvae.tokenizer import TokenizerTask
from vqvae_jax.pixels import to_float, to_uint8
from vqvae_jax.priors import Sampling, sample
from vqvae_jax.training.figures import VALIDATION, result
from vqvae_jax.training.loop import Pictures

SAMPLES_PER_CLASS = 8
MAX_CLASSES_PICTURED = 16
# Of images without classes.
UNLABELLED_ROWS = 4
# Training images of a class that a plain autoencoder's Gaussians are fitted to.
FITTED = 64


def of_each_class(
  labels: Int[np.ndarray, " n"], num_classes: int, count: int
) -> list[Int[np.ndarray, " k"]]:
  """Places of at most `count` images of each class, spread over the split.

  Args:
    labels: of the split.
    num_classes: how many classes to show.
    count: images of a class.
  """
  places = []
  for label in range(num_classes):
    of_class = np.flatnonzero(labels == label)
    spread = np.linspace(0, len(of_class) - 1, min(count, len(of_class)))
    places.append(of_class[np.unique(spread.round().astype(int))])
  return places


class _Reconstructions:
  """Validation images of every class, and a page of them above others.

  Attributes:
    images: uint8, class by class.
    labels: of the images.
  """

  def __init__(self, data: Data):
    self._spec, split = data.spec, data["validation"]
    labels = split.labels
    if self._spec.class_names:
      classes = min(self._spec.num_classes, MAX_CLASSES_PICTURED)
      self._rows = of_each_class(labels, classes, SAMPLES_PER_CLASS)
    else:
      count = UNLABELLED_ROWS * SAMPLES_PER_CLASS
      (places,) = of_each_class(np.zeros_like(labels), 1, count)
      starts = range(0, len(places), SAMPLES_PER_CLASS)
      self._rows = [places[i : i + SAMPLES_PER_CLASS] for i in starts]
    batch = split.gather(np.concatenate(self._rows))
    self.images, self.labels = batch["image"], batch["label"]

  def page(self, others: dict[str, np.ndarray], title: str) -> np.ndarray:
    """Rows of originals, each above rows of their counterparts.

    Args:
      others: uint8 images by the name of their rows.
      title: text above everything.
    """
    kinds = {"original": self.images, **others}
    # Pictures of ids have colours where images may have none.
    channels = max(images.shape[-1] for images in kinds.values())
    ends = np.cumsum([len(row) for row in self._rows])
    columns = max(len(row) for row in self._rows)
    rows, names = [], []
    for number, end in enumerate(ends):
      for kind, images in kinds.items():
        row = images[end - len(self._rows[number]) : end]
        row = np.broadcast_to(row, (*row.shape[:-1], channels))
        blank = np.full((columns - len(row), *row.shape[1:]), 255, np.uint8)
        rows.append(np.concatenate([row, blank]))
        names.append(kind)
    if self._spec.class_names:
      classes = pictures.legible(self._spec.class_names)
      names[:: len(kinds)] = classes[: len(ends)]
    return pictures.grid(
      np.concatenate(rows), columns, names, title=title + _which(self._spec)
    )


def _class_rows(spec):
  """Classes to show samples of, and the names of their rows."""
  classes = min(spec.num_classes, MAX_CLASSES_PICTURED)
  if spec.class_names:
    return classes, pictures.legible(spec.class_names)[:classes]
  return 1, []


def _which(spec):
  if len(spec.class_names) <= MAX_CLASSES_PICTURED:
    return ""
  return (
    f"; the first {MAX_CLASSES_PICTURED} of {len(spec.class_names)} classes"
  )


def tokenizer_pictures(task: TokenizerTask, data: Data) -> Pictures:
  """Reconstructions of validation images, and the usage of the codes."""
  shown = _Reconstructions(data)
  height, width, _ = data.spec.image_shape

  @jax.jit
  def reconstruct(variables, images):
    ids = task.model.apply(variables, images, method="encode")
    return ids, task.model.apply(variables, ids, method="decode")

  def draw(variables, sums):
    ids, others = jax.device_get(
      reconstruct(variables, to_float(jnp.asarray(shown.images)))
    )
    rows, columns = height // task.model.stride, width // task.model.stride
    # Of several ids for a latent, the first.
    ids = ids.reshape(len(ids), rows, columns, -1)[..., 0]
    others = {
      "ids": pictures.code_map(ids, height, width),
      "reconstruction": to_uint8(others),
    }
    return {
      "reconstructions": shown.page(others, _quality(task, sums)),
      "codebook_usage": pictures.usage_plot(sums["codes"]),
    }

  return draw


def _quality(task, sums):
  """How good reconstructions are, in words."""
  quality = jax.device_get(task.summarize(sums))
  found = result({VALIDATION + k: v for k, v in quality.items()})
  return f"validation images: {found}"


def prior_pictures(task: PriorTask, config: Config, spec: DataSpec) -> Pictures:
  """Samples, a row for each class."""
  classes, rows = _class_rows(spec)
  labels = np.repeat(np.arange(classes, dtype=np.int32), SAMPLES_PER_CLASS)
  keys = jax.vmap(lambda n: jax.random.fold_in(jax.random.key(0), n))(
    jnp.arange(len(labels))
  )

  @jax.jit
  def draw_samples(variables, tokenizer_variables):
    ids = sample(
      task.model,
      variables["params"],
      keys,
      jnp.asarray(labels),
      Sampling(guidance=default_guidance(config, spec)),
    )
    ids = ids.reshape(-1, *task.model.grid)
    return task.tokenizer.apply(tokenizer_variables, ids, method="decode")

  def draw(variables, sums):
    del sums
    images = draw_samples(variables, task.frozen)
    return {
      "samples": pictures.grid(
        to_uint8(jax.device_get(images)),
        SAMPLES_PER_CLASS,
        rows,
        title="generated images" + _which(spec),
      )
    }

  return draw


def baseline_pictures(
  task: AutoencoderTask | AdversarialTask, data: Data
) -> Pictures:
  """Draws samples, a row for each class, and reconstructions if there are."""
  spec, model = data.spec, task.model
  classes, rows = _class_rows(spec)
  labels = np.repeat(np.arange(classes, dtype=np.int32), SAMPLES_PER_CLASS)
  noise = jax.random.normal(jax.random.key(0), (len(labels), model.latent_dim))

  @jax.jit
  def samples(variables, latents):
    if isinstance(model, DCGAN):
      return model.apply(
        as_applied(variables), latents, labels, method="generate"
      )
    return model.apply(
      {"params": variables["params"]}, latents, labels, method="pixels"
    )

  @jax.jit
  def encode(variables, images, labels):
    return model.apply(
      {"params": variables["params"]}, images, labels, method="encode"
    )[0]

  @jax.jit
  def reconstruct(variables, images, labels):
    latents = encode(variables, images, labels)
    return model.apply(
      {"params": variables["params"]}, latents, labels, method="pixels"
    )

  def latents_of(variables) -> Float[np.ndarray, "n d"]:
    """Latents to decode: noise, but of a plain autoencoder."""
    if isinstance(model, DCGAN) or model.variational:
      return noise
    train = data["train"]
    rows = [
      np.flatnonzero(train.labels == label)[:FITTED] for label in range(classes)
    ]
    batch = train.gather(np.concatenate(rows))
    found = encode(variables, to_float(batch["image"]), batch["label"])
    means, factors = class_gaussians(found, batch["label"], classes)
    drawn = np.einsum("nij,nj->ni", factors[labels], np.asarray(noise))
    return (means[labels] + drawn).astype(np.float32)

  shown = _Reconstructions(data)

  def draw(variables, sums):
    made = samples(variables, latents_of(variables))
    drawn = {
      "samples": pictures.grid(
        to_uint8(jax.device_get(made)),
        SAMPLES_PER_CLASS,
        rows,
        title="generated images" + _which(spec),
      )
    }
    if isinstance(model, DCGAN):
      return drawn
    others = reconstruct(
      variables, to_float(shown.images), jnp.asarray(shown.labels)
    )
    others = to_uint8(jax.device_get(others))
    drawn["reconstructions"] = shown.page(
      {"reconstruction": others}, _quality(task, sums)
    )
    return drawn

  return draw
