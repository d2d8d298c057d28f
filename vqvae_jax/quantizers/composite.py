"""Quantizers with several codebooks: residual and product."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from vqvae_jax.quantizers import codebook
from vqvae_jax.quantizers.axes import flattened, unflattened
from vqvae_jax.quantizers.base import (
  CodebookQuantizer,
  QuantizerOutput,
  check_ids,
  flatten,
)
from vqvae_jax.quantizers.nearest import EMAQuantizer
from vqvae_jax.quantizers.search import at_least_float32, nearest_code


class SeveralCodes(CodebookQuantizer, kw_only=True):
  """Gives each latent several ids, each from an `EMAQuantizer`.

  Attributes:
    commitment: weight of the commitment loss.
    codebook_ema: see `EMAQuantizer`.
    revive_below: see `EMAQuantizer`.
    kmeans: see `EMAQuantizer`.
  """

  commitment: float = 0.25
  codebook_ema: float = 0.99
  revive_below: float = 0.03
  kmeans: int = 0

  def new_books(self, count: int, width: int) -> list[EMAQuantizer]:
    """Returns this many codebooks whose codes have this width."""
    return [
      EMAQuantizer(
        self.codebook_size,
        width,
        commitment=self.commitment,
        codebook_ema=self.codebook_ema,
        revive_below=self.revive_below,
        kmeans=self.kmeans,
      )
      for _ in range(count)
    ]


class ResidualQuantizer(SeveralCodes):
  """Each depth quantizes what the depths before it left over.

  Zeghidour et al.: "SoundStream", arXiv 2107.03312, section III-C; Lee et al.:
  "Autoregressive Image Generation using Residual Quantization" (RQ-VAE), arXiv
  2203.01941, section 3.1.

  The vectors are the sum over the depths, and each latent gets an id from every
  one: `ResidualQuantizer(512, 64, 4)` takes latents [b, 7, 7, 64] to ids
  [b, 7, 7, 4]. The depths have codebooks of their own, or share one.

  vector-quantize-pytorch 1.32 gives a loss for each depth, and passes the
  gradient straight through once for each; here the loss is their mean, and the
  gradient is passed once, as RQ-VAE has it.

  Attributes:
    depth: number of codes that add up.
    shared_codebook: whether all depths have one codebook.
    quantizer_dropout: probability that an image uses, in training, the first
      few depths only (a uniform draw says how many), so that a prefix of the
      ids can be decoded (SoundStream's quantizer dropout); needs the rng
      "codes".
  """

  depth: int
  shared_codebook: bool = False
  quantizer_dropout: float = 0.0

  def __post_init__(self):
    if self.depth < 1:
      raise ValueError(f"depth {self.depth} is below 1")
    super().__post_init__()

  @property
  def ids_per_latent(self) -> int:
    return self.depth

  def setup(self):
    count = 1 if self.shared_codebook else self.depth
    self.books = self.new_books(count, self.code_dim)

  def __call__(
    self, z: Float[Array, "b *n d"], train: bool = False
  ) -> QuantizerOutput:
    """Quantizes latents; the codebooks do not change here.

    Args:
      z: latents, [b, ..., d]; dropout is by images of the first axis.
      train: whether to drop depths.

    Raises:
      ValueError: if the latents have another width.
    """
    flatten(z, self.code_dim)
    latents = at_least_float32(z)
    depths = self._depths(z.shape[0], train).reshape(-1, *(1,) * (z.ndim - 1))
    rest, total = latents, jnp.zeros_like(latents)
    ids, commitment, perplexities = [], 0.0, []
    for depth in range(self.depth):
      chosen, vectors = self._choose(depth, rest)
      ids.append(chosen)
      here = depth < depths
      squared = jnp.where(here, (rest - vectors) ** 2, 0)
      commitment += codebook.mean(squared) / self.depth
      total += jnp.where(here, vectors, 0)
      rest = rest - vectors
      counts = codebook.usage_counts(chosen, self.codebook_size)
      perplexities.append(codebook.perplexity(counts))
    return QuantizerOutput(
      vectors=codebook.straight_through(latents, total).astype(z.dtype),
      ids=jnp.stack(ids, axis=-1),
      loss=self.commitment * commitment,
      metrics={
        "commitment": jax.lax.stop_gradient(commitment),
        "perplexity": jnp.mean(jnp.stack(perplexities)),
      },
    )

  def _depths(self, images, train):
    """Returns the number of depths that each image uses."""
    depths = jnp.full(images, self.depth)
    if not (train and self.quantizer_dropout):
      return depths
    drop_key, depth_key = jax.random.split(self.make_rng("codes"))
    few = jax.random.randint(depth_key, depths.shape, 1, self.depth + 1)
    dropped = jax.random.bernoulli(
      drop_key, self.quantizer_dropout, depths.shape
    )
    return jnp.where(dropped, few, depths)

  def resample(
    self,
    z: Float[Array, "*n d"],
    temperature: float | Float[Array, ""],
    key: Key[Array, ""],
  ) -> Int[Array, "*n m"]:
    """Draws ids among the codes near each latent, depth after depth."""
    rest, ids = flatten(z, self.code_dim), []
    for depth in range(self.depth):
      codes = self._book(depth).code_vectors()
      depth_key = jax.random.fold_in(key, depth)
      ids.append(codebook.choose_code(rest, codes, temperature, depth_key))
      rest = rest - codebook.lookup(codes, ids[-1])
    return unflattened(jnp.stack(ids, axis=-1), z)

  def ids_to_vectors(self, ids: Int[Array, "*n m"]) -> Float[Array, "*n d"]:
    """Returns the sum of the codes of the first depths, one for each id.

    Raises:
      ValueError: if a latent has no ids, more than depths, or one that is out
        of range.
    """
    check_ids(ids, self.num_codes)
    count = ids.shape[-1]
    if not 1 <= count <= self.depth:
      raise ValueError(f"{count} ids a latent are not 1 to {self.depth}")
    return sum(
      self._book(depth).ids_to_vectors(ids[..., depth])
      for depth in range(count)
    )

  def start(self, z: Float[Array, "*n d"], key: Key[Array, ""]) -> None:
    """Takes the first codes from latents, depth after depth."""
    rest = flatten(z, self.code_dim)
    for depth, book in enumerate(self.books):
      book.start(rest, jax.random.fold_in(key, depth))
      rest = rest - self._choose(depth, rest)[1]

  def update(
    self, z: Float[Array, "*n d"], ids: Int[Array, "*n m"], key: Key[Array, ""]
  ) -> None:
    """Lets every codebook follow what its depths were given."""
    rest, rests = at_least_float32(z), []
    for depth in range(self.depth):
      rests.append(rest)
      rest = rest - self._book(depth).ids_to_vectors(ids[..., depth])
    if self.shared_codebook:
      self.books[0].update(jnp.stack(rests, axis=-2), ids, key)
      return
    for depth, book in enumerate(self.books):
      book.update(rests[depth], ids[..., depth], jax.random.fold_in(key, depth))

  def _book(self, depth):
    return self.books[0 if self.shared_codebook else depth]

  def _choose(self, depth, rest):
    """Returns ids and vectors of one depth, both without gradient."""
    codes = self._book(depth).code_vectors()
    flat = flattened(rest)
    ids = nearest_code(*jax.lax.stop_gradient((flat, codes)))
    vectors = unflattened(codebook.lookup(codes, ids), rest)
    return unflattened(ids, rest), vectors


class ProductQuantizer(SeveralCodes):
  """Each group of channels has a codebook of its own.

  Jégou, Douze, Schmid: "Product Quantization for Nearest Neighbor Search", IEEE
  TPAMI 2011, section II-B; in a VQ-VAE, Baevski et al.: "vq-wav2vec", arXiv
  1910.05453, section 3.3.

  Each latent gets an id from every group: `ProductQuantizer(512, 64, 2)` takes
  latents [b, 7, 7, 64] to ids [b, 7, 7, 2].

  Attributes:
    groups: number of groups; divides the width of the latents.
  """

  groups: int

  def __post_init__(self):
    if self.groups < 1 or self.code_dim % self.groups:
      raise ValueError(
        f"groups {self.groups} does not divide the code dimension "
        f"{self.code_dim}"
      )
    super().__post_init__()

  @property
  def ids_per_latent(self) -> int:
    return self.groups

  def setup(self):
    self.books = self.new_books(self.groups, self.code_dim // self.groups)

  def __call__(
    self, z: Float[Array, "*n d"], train: bool = False
  ) -> QuantizerOutput:
    """Quantizes latents; the codebooks do not change here."""
    flatten(z, self.code_dim)
    outs = [book.quantize(part, train)[0] for _, book, part in self._groups(z)]
    metrics = jax.tree.map(
      lambda *values: jnp.mean(jnp.stack(values)), *[o.metrics for o in outs]
    )
    return QuantizerOutput(
      vectors=jnp.concatenate([out.vectors for out in outs], axis=-1),
      ids=jnp.stack([out.ids for out in outs], axis=-1),
      # The groups are equally wide: the mean of their means is the mean.
      loss=sum(out.loss for out in outs) / self.groups,
      metrics=metrics,
    )

  def resample(
    self,
    z: Float[Array, "*n d"],
    temperature: float | Float[Array, ""],
    key: Key[Array, ""],
  ) -> Int[Array, "*n m"]:
    """Draws ids among the codes near each latent, group by group."""
    ids = [
      book.resample(part, temperature, jax.random.fold_in(key, i))
      for i, book, part in self._groups(z)
    ]
    return jnp.stack(ids, axis=-1)

  def ids_to_vectors(self, ids: Int[Array, "*n m"]) -> Float[Array, "*n d"]:
    """Returns the codes of the ids, group beside group.

    Raises:
      ValueError: if a latent has not one id for each group, or one that is out
        of range.
    """
    check_ids(ids, self.num_codes)
    if ids.shape[-1] != self.groups:
      raise ValueError(
        f"{ids.shape[-1]} ids a latent are not one for each of the "
        f"{self.groups} groups"
      )
    return jnp.concatenate(
      [book.ids_to_vectors(ids[..., i]) for i, book in enumerate(self.books)],
      axis=-1,
    )

  def start(self, z: Float[Array, "*n d"], key: Key[Array, ""]) -> None:
    for i, book, part in self._groups(z):
      book.start(part, jax.random.fold_in(key, i))

  def update(
    self, z: Float[Array, "*n d"], ids: Int[Array, "*n m"], key: Key[Array, ""]
  ) -> None:
    """Lets every codebook follow its channels."""
    for i, book, part in self._groups(z):
      book.update(part, ids[..., i], jax.random.fold_in(key, i))

  def _groups(self, z):
    """Returns the number, the codebook and the channels of each group."""
    parts = jnp.split(z, self.groups, axis=-1)
    return zip(range(self.groups), self.books, parts, strict=True)
