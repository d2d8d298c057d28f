"""Gumbel-softmax quantization, the discrete VAE of DALL-E.

Jang, Gu, Poole: "Categorical Reparameterization with Gumbel-Softmax", arXiv
1611.01144; Ramesh et al.: "Zero-Shot Text-to-Image Generation", arXiv
2102.12092, section 2.1 and appendix A.2, whose schedules these are.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from vqvae_jax.quantizers import codebook
from vqvae_jax.quantizers.axes import unflattened
from vqvae_jax.quantizers.base import (
  CodebookQuantizer,
  QuantizerOutput,
  check_ids,
  flatten,
)


class GumbelQuantizer(CodebookQuantizer):
  """Logits over the codes; in training, a relaxed sample mixes them.

  The relaxed sample is softmax((logits + Gumbel noise) / temperature). The
  temperature falls from 1 to `final_temperature` along a cosine, and the weight
  of the divergence from the uniform distribution rises from 0 to `divergence`
  along another, both over `steps` steps, which `update` counts in the
  collection `"codebook"`. Outside of training the likeliest code is taken.

  Example: `GumbelQuantizer(512, 64)` takes latents [b, 7, 7, 64] to ids
  [b, 7, 7].

  Attributes:
    divergence: final weight of KL(q || uniform), for each latent and dimension
      of the latent.
    final_temperature: temperature at the end of training.
    steps: optimizer steps of both schedules.
  """

  divergence: float = 5e-4
  final_temperature: float = 1 / 16
  steps: int = 1000

  def setup(self):
    k, d = self.codebook_size, self.code_dim
    self.to_logits = nn.Dense(k)
    self.codes = self.param("vectors", nn.initializers.normal(1.0), (k, d))
    self.step = self.variable(
      "codebook", "step", lambda: jnp.zeros((), jnp.int32)
    )

  def __call__(
    self, z: Float[Array, "*n d"], train: bool = False
  ) -> QuantizerOutput:
    """Quantizes latents.

    Args:
      z: latents, [..., code_dim].
      train: whether to mix codes by a relaxed sample; needs the rng "codes".

    Raises:
      ValueError: if the latents have another width.
    """
    logits = self.to_logits(flatten(z, self.code_dim))
    ids = jnp.argmax(logits, axis=-1).astype(jnp.int32)
    progress = jnp.minimum(self.step.value / self.steps, 1)
    risen = (1 - jnp.cos(math.pi * progress)) / 2
    temperature = 1 + (self.final_temperature - 1) * risen
    if train:
      noise = jax.random.gumbel(
        self.make_rng("codes"), logits.shape, logits.dtype
      )
      mixture = jax.nn.softmax((logits + noise) / temperature)
      vectors = jnp.matmul(
        mixture, self.codes, precision=jax.lax.Precision.HIGHEST
      )
    else:
      vectors = codebook.lookup(self.codes, ids)
    log_q = jax.nn.log_softmax(logits)
    divergence = codebook.mean(
      math.log(self.codebook_size) + jnp.sum(jnp.exp(log_q) * log_q, axis=-1)
    )
    counts = codebook.usage_counts(ids, self.codebook_size)
    return QuantizerOutput(
      vectors=unflattened(vectors, z).astype(z.dtype),
      ids=unflattened(ids, z),
      loss=self.divergence * risen * divergence,
      metrics={
        "divergence": jax.lax.stop_gradient(divergence),
        "temperature": temperature,
        "perplexity": codebook.perplexity(counts),
      },
    )

  def resample(
    self,
    z: Float[Array, "*n d"],
    temperature: float | Float[Array, ""],
    key: Key[Array, ""],
  ) -> Int[Array, "*n"]:
    """Draws ids from the softmax of the logits over the temperature."""
    logits = self.to_logits(flatten(z, self.code_dim))
    logits = logits - logits.max(axis=-1, keepdims=True)
    tiny = jnp.finfo(logits.dtype).tiny
    ids = jax.random.categorical(key, logits / jnp.maximum(temperature, tiny))
    return unflattened(ids.astype(jnp.int32), z)

  def ids_to_vectors(self, ids: Int[Array, "*n"]) -> Float[Array, "*n d"]:
    check_ids(ids, self.num_codes)
    return codebook.lookup(self.codes, ids)

  def update(
    self, z: Float[Array, "*n d"], ids: Int[Array, "..."], key: Key[Array, ""]
  ) -> None:
    """Counts one optimizer step."""
    self.step.value = self.step.value + 1
