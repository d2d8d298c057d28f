"""Stage 1: the VQ-VAE learns images."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from vqvae_jax.config import Config, TokenizerConfig, resolve_stride
from vqvae_jax.data import DataSpec
from vqvae_jax.data.augment import augment
from vqvae_jax.generators import likelihoods
from vqvae_jax.generators import metrics as image_metrics
from vqvae_jax.generators.vqvae.network import VQVAE, build_vqvae
from vqvae_jax.pixels import to_float
from vqvae_jax.quantizers import codebook


def build_tokenizer(
  config: Config, spec: DataSpec, dtype: DTypeLike | None = None
) -> VQVAE:
  """Returns the VQ-VAE for a run's images."""
  height, width, channels = spec.image_shape
  stride = resolve_stride(config.tokenizer.stride, height, width)
  return build_vqvae(
    config.tokenizer, channels, stride, dtype or jnp.dtype(config.dtype)
  )


class TokenizerTask:
  """Trains a `VQVAE`; see `state.Task`."""

  frozen = ()
  selects = True

  def __init__(
    self, config: Config, spec: DataSpec, dtype: DTypeLike | None = None
  ):
    self.model = build_tokenizer(config, spec, dtype)
    self._config = config.tokenizer
    self._augment = spec.augment
    self._variance = max(spec.variance, 1e-6)
    self._float = jnp.promote_types(self.model.dtype, jnp.float32)

  def init(self, key, batch):
    init_key, codes_key = jax.random.split(key)
    images = to_float(batch["image"], self._float)
    variables = self.model.init(init_key, images[:1])
    _, started = self.model.apply(
      variables,
      images,
      codes_key,
      method="start_codes",
      mutable=["params", "codebook"],
    )
    # Runs on disk have this collection, also where it is empty.
    return {"codebook": {}, **variables, **started}

  def prepare(self, frozen, batch, key):
    del frozen
    images = to_float(batch["image"], self._float)
    return {"image": augment(key, images, self._augment)}

  def loss(self, params, collections, inputs, key):
    images = inputs["image"]
    out = self.model.apply(
      {"params": params, **collections},
      images,
      train=True,
      rngs={"codes": key},
    )
    reconstruction = likelihoods.reconstruction_loss(
      self._config.likelihood, out.outputs, images, self._variance
    ).mean()
    loss = reconstruction + out.quantized.loss
    metrics = {
      "loss": loss,
      "reconstruction": reconstruction,
      **out.quantized.metrics,
    }
    return loss, (metrics, (out.latents, out.quantized.ids))

  def update_collections(self, variables, arrays, key):
    latents, ids = arrays
    _, updated = self.model.apply(
      variables,
      latents,
      ids,
      key,
      method="update_codes",
      mutable=["params", "codebook"],
    )
    return {**variables, **updated}

  def evaluate(self, variables, frozen, batch):
    del frozen
    images = to_float(batch["image"], self._float)
    out = self.model.apply(variables, images)
    pixels = likelihoods.to_pixels(self._config.likelihood, out.outputs)
    mse = image_metrics.squared_error(images, pixels)
    by_image = {
      "reconstruction": likelihoods.reconstruction_loss(
        self._config.likelihood, out.outputs, images, self._variance
      ),
      "mse": mse,
      "psnr": image_metrics.psnr(mse),
      "ssim": image_metrics.ssim(images, pixels),
    }
    mask = batch["mask"]
    quantizer = self.model.quantizer
    ids = out.quantized.ids.reshape(mask.shape[0], -1, quantizer.ids_per_latent)
    # Padding counts as no code: its ids lie outside of the codebook.
    ids = jnp.where(mask[:, None, None] > 0, ids, quantizer.num_codes)
    count = partial(codebook.usage_counts, k=quantizer.num_codes)
    return {
      "count": mask.sum(),
      # One row for each id of a latent.
      "codes": jax.vmap(count, in_axes=-1)(ids),
      **{name: (value * mask).sum() for name, value in by_image.items()},
    }

  def summarize(self, sums):
    metrics = {
      name: value / sums["count"]
      for name, value in sums.items()
      if name not in ("count", "codes")
    }
    return {
      "loss": metrics["reconstruction"],
      **metrics,
      "mse_over_variance": metrics["mse"] / self._variance,
      "usage": (sums["codes"] > 0).mean(),
      "perplexity": codebook.perplexity(sums["codes"]).mean(),
    }

  def warning(self, sums):
    counts = np.asarray(sums["codes"])
    usage = (counts > 0).mean()
    # At most as many codes can be in use as there are ids.
    reachable = min(counts[0].sum() / counts.shape[1], 1)
    if usage >= 0.5 * reachable:
      return None
    config = self._config
    found = f"{usage:.0%} of the codes are in use on validation images"
    remedies = {
      "fsq": "fewer or smaller --tokenizer.levels",
      "lfq": "a larger --tokenizer.entropy or fewer --tokenizer.bits",
      "gumbel": "a larger --tokenizer.divergence",
      "simvq": "a smaller --tokenizer.codebook-size",
    }
    remedy = remedies.get(config.quantizer)
    if remedy is None and config.revive_below == 0:
      remedy = "--tokenizer.revive-below=0.03, which replaces unused codes"
    remedy = remedy or "a smaller --tokenizer.codebook-size"
    if config.steps < TokenizerConfig().steps:
      return f"{found}; first try more --tokenizer.steps, then {remedy}"
    return f"{found}; try {remedy}"
