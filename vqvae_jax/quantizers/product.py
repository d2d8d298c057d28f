"""Product (grouped, multi-head) vector quantization.

Jégou, Douze, Schmid: "Product Quantization for Nearest Neighbor Search", IEEE
TPAMI 2011, section II-B; in a VQ-VAE, Baevski et al.: "vq-wav2vec", arXiv
1910.05453, section 3.3.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from vqvae_jax.errors import ConfigError
from vqvae_jax.quantizers import codebook as cb
from vqvae_jax.quantizers.base import CodebookQuantizer
from vqvae_jax.quantizers.ema import EMAQuantizer


class ProductQuantizer(CodebookQuantizer):
  """Each group of channels has a codebook of its own.

  Each latent gets an id from every group: ids are [..., groups].

  Attributes:
    codebook_size: codes of a group, k.
    code_dim: width of the latents, d.
    groups: number of groups; divides d.
    commitment: weight of the commitment loss.
    decay: see `EMAQuantizer`, as for the next two.
    revive_below: see there.
    kmeans: see there.
  """

  groups: int
  commitment: float = 0.25
  decay: float = 0.99
  revive_below: float = 0.03
  kmeans: int = 0

  def __post_init__(self):
    if self.groups < 1 or self.code_dim % self.groups:
      raise ConfigError(
        f"groups {self.groups} does not divide the code dimension "
        f"{self.code_dim}"
      )
    super().__post_init__()

  @property
  def ids_per_latent(self) -> int:
    """Ids for each latent."""
    return self.groups

  def setup(self):
    self.books = [
      EMAQuantizer(
        self.codebook_size,
        self.code_dim // self.groups,
        commitment=self.commitment,
        decay=self.decay,
        revive_below=self.revive_below,
        kmeans=self.kmeans,
      )
      for _ in range(self.groups)
    ]

  def __call__(
    self, z: Float[Array, "*n d"], train: bool = False
  ) -> cb.QuantizerOutput:
    """Quantizes latents of width `code_dim`; the codebooks do not change here.

    Raises:
      ConfigError: if the latents are of another width.
    """
    cb.flatten(z, self.code_dim)
    outs = [
      book.quantize(part, train)[0]
      for book, part in zip(self.books, self._parts(z), strict=True)
    ]
    metrics = jax.tree.map(
      lambda *values: jnp.mean(jnp.stack(values)), *[o.metrics for o in outs]
    )
    return cb.QuantizerOutput(
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
    """As `NearestCode.resample`, in every group."""
    ids = [
      book.resample(part, temperature, jax.random.fold_in(key, i))
      for i, (book, part) in enumerate(
        zip(self.books, self._parts(z), strict=True)
      )
    ]
    return jnp.stack(ids, axis=-1)

  def ids_to_vectors(self, ids: Int[Array, "*n m"]) -> Float[Array, "*n d"]:
    """The codes that `ids` name, group beside group.

    Raises:
      ConfigError: if there is not one for each group, or some are out of range.
    """
    cb.check_ids(ids, self.num_codes)
    if ids.shape[-1] != self.groups:
      raise ConfigError(
        f"{ids.shape[-1]} ids a latent are not one for each of the "
        f"{self.groups} groups"
      )
    return jnp.concatenate(
      [book.ids_to_vectors(ids[..., i]) for i, book in enumerate(self.books)],
      axis=-1,
    )

  def start(self, z: Float[Array, "*n d"], key: Key[Array, ""]):
    """Takes the first codes from latents of the data."""
    for i, part in enumerate(self._parts(z)):
      self.books[i].start(part, jax.random.fold_in(key, i))

  def update(
    self, z: Float[Array, "*n d"], ids: Int[Array, "*n m"], key: Key[Array, ""]
  ):
    """Lets every codebook follow its channels.

    Args:
      z: the latents of one optimizer step, before quantization.
      ids: the codes of all groups.
      key: draws the latents that replace dead codes.
    """
    for i, part in enumerate(self._parts(z)):
      self.books[i].update(part, ids[..., i], jax.random.fold_in(key, i))

  def _parts(self, z):
    return jnp.split(z, self.groups, axis=-1)
