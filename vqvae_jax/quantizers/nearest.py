"""What the quantizers that choose the nearest code have in common."""

from typing import Literal

import jax
from jaxtyping import Array, Float, Int, Key

from vqvae_jax.quantizers import codebook as cb
from vqvae_jax.quantizers.axes import unflattened
from vqvae_jax.quantizers.base import CodebookQuantizer


class NearestCode(CodebookQuantizer):
  """Looks up the nearest code; subclasses say where codes come from.

  Attributes:
    codebook_size: number of codes, k.
    code_dim: width of latents and codes, d.
    commitment: weight of the commitment loss, beta.
    norm: "l2" puts latents and codes on the unit sphere before they are
      compared, so the nearest code is the one of the largest cosine (Yu et
      al., "Vector-quantized Image Modeling with Improved VQGAN", arXiv
      2110.04627, section 3.2).
    estimator: of the gradient through the choice, a name in
      `codebook.ESTIMATORS`.
    temperature: of a random choice among near codes in training; 0 takes the
      nearest. See `codebook.near_logits`.
    entropy: weight of `codebook.entropy_loss` on softmax(-distance^2); it
      holds all distances.
  """

  commitment: float = 0.25
  norm: Literal["none", "l2"] = "none"
  estimator: Literal["straight-through", "rotation"] = "straight-through"
  temperature: float = 0.0
  entropy: float = 0.0

  def __call__(
    self, z: Float[Array, "*n d"], train: bool = False
  ) -> cb.QuantizerOutput:
    """Quantizes latents of width `code_dim`.

    Args:
      z: latents, [..., d].
      train: whether to choose at random, where `temperature` is above 0; needs
        the rng "codes".

    Raises:
      ConfigError: if the latents are of another width.
    """
    return self.quantize(z, train)[0]

  def quantize(self, z, train):
    """`__call__`, and the latents as they were compared, [n, d]."""
    flat = self.compared(z)
    codes = self.code_vectors()
    temperature = self.temperature if train else 0.0
    key = self.make_rng("codes") if temperature else None
    ids = cb.choose_code(flat, codes, temperature, key)
    vectors = cb.lookup(codes, ids)
    fixed, target = jax.lax.stop_gradient((flat, vectors))
    # Both losses before the gradient is passed through the choice.
    commitment = cb.mean((flat - target) ** 2)
    loss = self.commitment * commitment + self.codebook_loss(fixed, vectors)
    if self.entropy:
      loss += self.entropy * cb.entropy_loss(-cb.squared_distances(flat, codes))
    passed = cb.ESTIMATORS[self.estimator](flat, vectors)
    counts = cb.usage_counts(ids, self.codebook_size)
    out = cb.QuantizerOutput(
      vectors=unflattened(passed, z).astype(z.dtype),
      ids=unflattened(ids, z),
      loss=loss,
      metrics={
        "commitment": jax.lax.stop_gradient(commitment),
        "perplexity": cb.perplexity(counts),
      },
    )
    return out, flat

  def compared(self, z: Float[Array, "*n d"]) -> Float[Array, "n d"]:
    """Latents as they are compared with codes: in float32, on the sphere."""
    flat = cb.flatten(z, self.code_dim)
    return cb.unit(flat) if self.norm == "l2" else flat

  def resample(
    self,
    z: Float[Array, "*n d"],
    temperature: float | Float[Array, ""],
    key: Key[Array, ""],
  ) -> Int[Array, "*n"]:
    """Ids drawn among the codes near each latent.

    Args:
      z: the latents of one image.
      temperature: 0 for the nearest; see `codebook.near_logits`.
      key: of the draws.
    """
    ids = cb.choose_code(
      self.compared(z), self.code_vectors(), temperature, key
    )
    return unflattened(ids, z)

  def ids_to_vectors(self, ids: Int[Array, "*n"]) -> Float[Array, "*n d"]:
    """The codes that `ids` name."""
    cb.check_ids(ids, self.num_codes)
    return cb.lookup(self.code_vectors(), ids)

  def code_vectors(self) -> Float[Array, "k d"]:
    """All codes, as latents are compared with them."""
    raise NotImplementedError

  def codebook_loss(
    self, z: Float[Array, "n d"], vectors: Float[Array, "n d"]
  ) -> Float[Array, ""] | float:
    """What moves the codes, where gradients do."""
    del z, vectors
    return 0.0

  def start(self, z: Float[Array, "*n d"], key: Key[Array, ""]):
    """Takes the first codes from latents of the data."""

  def update(
    self, z: Float[Array, "*n d"], ids: Int[Array, "*n"], key: Key[Array, ""]
  ):
    """Lets the codes follow the latents of one optimizer step.

    Args:
      z: the latents, before quantization.
      ids: the codes that they chose.
      key: draws the latents that replace dead codes.
    """
