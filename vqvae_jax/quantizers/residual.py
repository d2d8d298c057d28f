"""Residual vector quantization.

Zeghidour et al.: "SoundStream", arXiv 2107.03312, section III-C; Lee et al.:
"Autoregressive Image Generation using Residual Quantization" (RQ-VAE), arXiv
2203.01941, section 3.1.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from vqvae_jax.errors import ConfigError
from vqvae_jax.quantizers import codebook as cb
from vqvae_jax.quantizers.axes import flattened, unflattened
from vqvae_jax.quantizers.base import CodebookQuantizer
from vqvae_jax.quantizers.ema import EMAQuantizer


class ResidualQuantizer(CodebookQuantizer):
  """Each level quantizes what the levels before it left over.

  The vectors are the sum over the levels, and each latent gets an id from
  every one: ids are [..., depth]. Levels have codebooks of their own, or share
  one.

  vector-quantize-pytorch 1.32 gives a loss for each level, and passes the
  gradient straight through once for each; here the loss is their mean, and the
  gradient is passed once, as RQ-VAE has it.

  Attributes:
    codebook_size: codes of a level, k.
    code_dim: width of latents and codes, d.
    depth: number of levels.
    shared: one codebook for all levels.
    dropout: probability that an image keeps, in training, only the first few
      levels, as many as a uniform draw says, so that a prefix of the ids can
      be decoded (SoundStream's quantizer dropout); needs the rng "codes".
    commitment: weight of the commitment loss, the mean over the levels.
    decay: see `EMAQuantizer`, as for the next two.
    revive_below: see there.
    kmeans: see there.
  """

  depth: int
  shared: bool = False
  dropout: float = 0.0
  commitment: float = 0.25
  decay: float = 0.99
  revive_below: float = 0.03
  kmeans: int = 0

  def __post_init__(self):
    if self.depth < 1:
      raise ConfigError(f"depth {self.depth} is below 1")
    super().__post_init__()

  @property
  def ids_per_latent(self) -> int:
    """Ids for each latent."""
    return self.depth

  def setup(self):
    self.books = [
      EMAQuantizer(
        self.codebook_size,
        self.code_dim,
        decay=self.decay,
        revive_below=self.revive_below,
        kmeans=self.kmeans,
      )
      for _ in range(1 if self.shared else self.depth)
    ]

  def __call__(
    self, z: Float[Array, "*n d"], train: bool = False
  ) -> cb.QuantizerOutput:
    """Quantizes latents of width `code_dim`; the codebooks do not change here.

    Args:
      z: latents, [b, ..., d]; dropout is by rows of the first axis.
      train: whether to drop levels.

    Raises:
      ConfigError: if the latents are of another width.
    """
    cb.flatten(z, self.code_dim)
    latents = cb.at_least_float32(z)
    kept = jnp.full(z.shape[0], self.depth)
    if train and self.dropout:
      drop_key, level_key = jax.random.split(self.make_rng("codes"))
      few = jax.random.randint(level_key, kept.shape, 1, self.depth + 1)
      dropped = jax.random.bernoulli(drop_key, self.dropout, kept.shape)
      kept = jnp.where(dropped, few, kept)
    kept = kept.reshape(-1, *(1,) * (z.ndim - 1))
    rest, total = latents, jnp.zeros_like(latents)
    ids, commitment, perplexities = [], 0.0, []
    for level in range(self.depth):
      chosen, vectors = self._choose(level, rest)
      ids.append(chosen)
      here = level < kept
      squared = jnp.where(here, (rest - vectors) ** 2, 0)
      commitment += cb.mean(squared) / self.depth
      total += jnp.where(here, vectors, 0)
      rest = rest - vectors
      counts = cb.usage_counts(chosen, self.codebook_size)
      perplexities.append(cb.perplexity(counts))
    return cb.QuantizerOutput(
      vectors=cb.straight_through(latents, total).astype(z.dtype),
      ids=jnp.stack(ids, axis=-1),
      loss=self.commitment * commitment,
      metrics={
        "commitment": jax.lax.stop_gradient(commitment),
        "perplexity": jnp.mean(jnp.stack(perplexities)),
      },
    )

  def resample(
    self,
    z: Float[Array, "*n d"],
    temperature: float | Float[Array, ""],
    key: Key[Array, ""],
  ) -> Int[Array, "*n m"]:
    """As `NearestCode.resample`, level after level."""
    rest, ids = cb.flatten(z, self.code_dim), []
    for level in range(self.depth):
      codes = self._book(level).code_vectors()
      level_key = jax.random.fold_in(key, level)
      ids.append(cb.choose_code(rest, codes, temperature, level_key))
      rest = rest - cb.lookup(codes, ids[-1])
    return unflattened(jnp.stack(ids, axis=-1), z)

  def ids_to_vectors(self, ids: Int[Array, "*n m"]) -> Float[Array, "*n d"]:
    """The sum of the codes that `ids` name, one for each of the first levels.

    Raises:
      ConfigError: if there are no ids, more than levels, or some out of range.
    """
    cb.check_ids(ids, self.num_codes)
    levels = ids.shape[-1]
    if not 1 <= levels <= self.depth:
      raise ConfigError(f"{levels} ids a latent are not 1 to {self.depth}")
    return sum(
      self._book(level).ids_to_vectors(ids[..., level])
      for level in range(levels)
    )

  def start(self, z: Float[Array, "*n d"], key: Key[Array, ""]):
    """Takes the first codes from latents, level after level."""
    rest = cb.flatten(z, self.code_dim)
    for level, book in enumerate(self.books):
      book.start(rest, jax.random.fold_in(key, level))
      rest = rest - self._choose(level, rest)[1]

  def update(
    self, z: Float[Array, "*n d"], ids: Int[Array, "*n m"], key: Key[Array, ""]
  ):
    """Lets every codebook follow what its levels were given.

    Args:
      z: the latents of one optimizer step, before quantization.
      ids: the codes of all levels.
      key: draws the latents that replace dead codes.
    """
    rest, rests = cb.at_least_float32(z), []
    for level in range(self.depth):
      rests.append(rest)
      rest = rest - self._book(level).ids_to_vectors(ids[..., level])
    if self.shared:
      self.books[0].update(jnp.stack(rests, axis=-2), ids, key)
      return
    for level, book in enumerate(self.books):
      book.update(rests[level], ids[..., level], jax.random.fold_in(key, level))

  def _book(self, level):
    return self.books[0 if self.shared else level]

  def _choose(self, level, rest):
    """Ids and vectors of one level, both without gradient."""
    codes = self._book(level).code_vectors()
    flat = flattened(rest)
    ids = cb.nearest_code(*jax.lax.stop_gradient((flat, codes)))
    vectors = unflattened(cb.lookup(codes, ids), rest)
    return unflattened(ids, rest), vectors
