"""Stage 2: the prior learns the ids that the tokenizer gives to images."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PyTree
from numpy.typing import DTypeLike

from vqvae_jax.config import Config
from vqvae_jax.data import DataSpec
from vqvae_jax.data.augment import augment
from vqvae_jax.generators.vqvae.tokenizer import build_tokenizer
from vqvae_jax.pixels import to_float
from vqvae_jax.priors import (
  MaskGITPrior,
  PixelCNNPrior,
  Prior,
  TransformerPrior,
  draw_mask,
  mask_ratio,
  prior_loss,
)

# On digits: enough that few are misread, and little enough that a classifier
# learns as much from them as without (from 0.5 on it learns less).
DEFAULT_GUIDANCE = 0.3
# Shares of hidden ids that a masked prior is evaluated at.
EVALUATED = 4


def can_be_guided(config: Config, spec: DataSpec) -> bool:
  """Whether the prior has seen images both with and without their class."""
  return spec.num_classes > 1 and config.prior.label_dropout > 0


def default_guidance(config: Config, spec: DataSpec) -> float:
  """The guidance to sample with where none is asked for."""
  return DEFAULT_GUIDANCE if can_be_guided(config, spec) else 0.0


def build_prior(
  config: Config, spec: DataSpec, dtype: DTypeLike | None = None
) -> Prior:
  """The prior over a run's grid of ids."""
  height, width, _ = spec.image_shape
  tokenizer = build_tokenizer(config, spec)
  stride, quantizer = tokenizer.stride, tokenizer.quantizer
  several = quantizer.ids_per_latent > 1
  prior = config.prior
  common = {
    "num_codes": quantizer.num_codes,
    "num_classes": spec.num_classes,
    "grid": (
      height // stride,
      width // stride,
      *(quantizer.ids_per_latent,) * several,
    ),
    "layers": prior.layers,
    "width": prior.width,
    "dropout": prior.dropout,
    "dtype": dtype or jnp.dtype(config.dtype),
  }
  match prior.kind:
    case "transformer":
      return TransformerPrior(**common, heads=prior.heads)
    case "pixelcnn":
      return PixelCNNPrior(**common, kernel=prior.kernel)
    case "maskgit":
      return MaskGITPrior(**common, heads=prior.heads)
  raise ValueError(f"prior kind {prior.kind!r} is unknown")


def prior_task(
  config: Config,
  spec: DataSpec,
  tokenizer_variables: PyTree,
  dtype: DTypeLike | None = None,
) -> "PriorTask":
  """The task that trains the prior of `config`."""
  kind = MaskedPriorTask if config.prior.kind == "maskgit" else PriorTask
  return kind(config, spec, tokenizer_variables, dtype)


def example(model: Prior, labels: Int[Array, "b"]) -> tuple[Array, ...]:
  """Inputs to initialise a prior with."""
  ids = jnp.zeros((len(labels), model.length), jnp.int32)
  return (ids, labels) if model.exact else (ids, labels, ids > 0)


class PriorTask:
  """Trains a prior; see `state.Task`. Ids are encoded afresh at every step.

  So each step sees newly augmented images, which is what keeps a prior of a
  small set from learning its ids by heart.

  Attributes:
    frozen: the tokenizer's variables.
  """

  selects = True

  def __init__(
    self,
    config: Config,
    spec: DataSpec,
    tokenizer_variables: PyTree,
    dtype: DTypeLike | None = None,
  ):
    self.tokenizer = build_tokenizer(config, spec, dtype)
    self.model = build_prior(config, spec, dtype)
    self.frozen = tokenizer_variables
    self._augment = spec.augment
    # Where there is one class, all labels are the same already.
    labelled = spec.num_classes > 1
    self._label_dropout = config.prior.label_dropout if labelled else 0.0
    self._float = jnp.promote_types(self.model.dtype, jnp.float32)

  def init(self, key, batch):
    labels = batch["label"][:1]
    params = self.model.init(key, *example(self.model, labels))["params"]
    return {"params": params, "codebook": {}}

  def prepare(self, frozen, batch, key):
    augment_key, label_key = jax.random.split(key)
    images = to_float(batch["image"], self._float)
    images = augment(augment_key, images, self._augment)
    inputs = self._encode(frozen, images, batch)
    labels = inputs["label"]
    dropped = jax.random.bernoulli(label_key, self._label_dropout, labels.shape)
    any_class = jnp.full_like(labels, self.model.num_classes)
    return inputs | {"label": jnp.where(dropped, any_class, labels)}

  def loss(self, params, codebook, inputs, key):
    del codebook
    logits = self.model.apply(
      {"params": params},
      inputs["ids"],
      inputs["label"],
      train=True,
      rngs={"dropout": key},
    )
    nats = prior_loss(logits, inputs["ids"]).mean()
    # Per id, so that the learning rate fits grids of any size.
    loss = nats / inputs["ids"].shape[1]
    return loss, ({"loss": loss, "nats_per_image": nats}, ())

  def update_codes(self, variables, arrays, key):
    del arrays, key
    return variables

  def evaluate(self, variables, frozen, batch):
    inputs = self._encode(frozen, to_float(batch["image"], self._float), batch)
    logits = self.model.apply(
      {"params": variables["params"]}, inputs["ids"], inputs["label"]
    )
    nats = prior_loss(logits, inputs["ids"])
    mask = batch["mask"]
    return {"count": mask.sum(), "nats_per_image": (nats * mask).sum()}

  def summarize(self, sums):
    nats = sums["nats_per_image"] / sums["count"]
    # In the unit of the training loss.
    loss = nats / self.model.length
    return {"loss": loss, "nats_per_image": nats}

  def warning(self, sums):
    del sums

  def _encode(self, tokenizer, images, batch):
    ids = self.tokenizer.apply(tokenizer, images, method="encode")
    ids = ids.reshape(ids.shape[0], -1)
    return {"ids": jax.lax.stop_gradient(ids), "label": batch["label"]}


class MaskedPriorTask(PriorTask):
  """Trains a prior that predicts hidden ids.

  How many are hidden follows a cosine of an even draw, as in sampling (Chang et
  al. 2022, arXiv 2202.04200, section 3.1).
  """

  def loss(self, params, codebook, inputs, key):
    del codebook
    drop_key, share_key, hidden_key = jax.random.split(key, 3)
    even = jax.random.uniform(share_key, inputs["label"].shape)
    hidden = draw_mask(hidden_key, mask_ratio(even), self.model.length)
    nats = self._hidden_nats(
      params, inputs, hidden, train=True, rngs={"dropout": drop_key}
    )
    loss = nats.mean()
    return loss, ({"loss": loss}, ())

  def evaluate(self, variables, frozen, batch):
    inputs = self._encode(frozen, to_float(batch["image"], self._float), batch)

    # The same shares and places at every evaluation, so that they compare.
    def nats(number):
      even = jnp.full(inputs["label"].shape, (number + 0.5) / EVALUATED)
      key = jax.random.fold_in(jax.random.key(0), number)
      hidden = draw_mask(key, mask_ratio(even), self.model.length)
      return self._hidden_nats(variables["params"], inputs, hidden)

    nats = jax.lax.map(nats, jnp.arange(EVALUATED)).mean(axis=0)
    mask = batch["mask"]
    return {"count": mask.sum(), "nats_per_hidden_id": (nats * mask).sum()}

  def summarize(self, sums):
    nats = sums["nats_per_hidden_id"] / sums["count"]
    return {"loss": nats, "nats_per_hidden_id": nats}

  def _hidden_nats(self, params, inputs, hidden, **options):
    """Of each image, over the number of ids that are hidden on average.

    Over each image's own number, few hidden ids would weigh as many do.
    """
    ids = inputs["ids"]
    logits = self.model.apply(
      {"params": params}, ids, inputs["label"], hidden, **options
    )
    expected = self.model.length * 2 / math.pi
    return prior_loss(logits, ids, hidden) / expected
