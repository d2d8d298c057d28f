"""A bidirectional transformer over masked ids, drawn in parallel.

Chang et al.: "MaskGIT: Masked Generative Image Transformer", arXiv 2202.04200,
section 3.
"""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int, Key

from vqvae_jax.nn.transformer import residual_blocks
from vqvae_jax.priors.base import Prior


class MaskGITPrior(Prior):
  """Predicts hidden ids from the class and all ids that are not hidden.

  It has no exact likelihood. Where each place has several ids, each of them is
  a position of its own, with an embedding table of its own.

  Example: `MaskGITPrior(512, 10, (7, 7))` maps ids [b, 49], labels [b] and
  hidden [b, 49] to logits [b, 49, 512].

  Attributes:
    num_codes: see `Prior`, as for what is not listed here.
    dropout: rate on embeddings, attention and MLP outputs.
    heads: attention heads; divides the width.
  """

  heads: int = 4

  exact = False

  def setup(self):
    super().setup()
    self.hidden_embedding = self.table(1)
    self.position_embedding = self.table(self.length)
    self.blocks = residual_blocks(
      self.layers, self.heads, False, self.dropout, self.dtype
    )
    self.embedding_dropout = nn.Dropout(self.dropout)

  def __call__(
    self,
    ids: Int[Array, "b t"],
    labels: Int[Array, "b"],
    hidden: Bool[Array, "b t"],
    train: bool = False,
  ) -> Float[Array, "b t k"]:
    """Logits of every id, given the class and the ids that are not hidden.

    Args:
      ids: in raster order, t is the product of the grid; anything in range
        where they are hidden.
      labels: class of each image.
      hidden: which ids not to look at.
      train: whether to drop; needs the rng "dropout".

    Returns:
      Logits over the codes, float32 or wider.
    """
    positions = jnp.arange(ids.shape[1])
    codes = self.embed(ids, positions)
    unknown = self.hidden_embedding(jnp.zeros((1, 1), jnp.int32))
    x = jnp.where(hidden[..., None], unknown, codes)
    x = x + self.class_embedding(labels)[:, None]
    x = x + self.position_embedding(positions)[None]
    x = self.embedding_dropout(x, deterministic=not train)
    for block in self.blocks:
      x, _ = block(x, train)
    return self.head(self.norm(x))


def draw_mask(
  key: Key[Array, ""], share: Float[Array, "b"], length: int
) -> Bool[Array, "b t"]:
  """Hides ids at random places, rounded up to whole ids of each image.

  Args:
    key: draws the places.
    share: of the ids to hide, in [0, 1], for each image.
    length: ids of an image.
  """
  order = jax.random.uniform(key, (share.shape[0], length))
  ranks = jnp.argsort(jnp.argsort(order, axis=1), axis=1)
  return ranks < jnp.ceil(share * length)[:, None]


def mask_ratio(progress: Float[Array, "*b"]) -> Float[Array, "*b"]:
  """Share of the ids that is hidden: a cosine from 1 to 0 (section 3.2).

  Args:
    progress: from 0 (all is hidden) to 1 (nothing is).
  """
  # Exactly 0 at 1, where the cosine is only nearly so.
  return jnp.where(progress < 1, jnp.cos(math.pi / 2 * progress), 0)
