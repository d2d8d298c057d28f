"""A bidirectional transformer over masked ids, drawn in parallel.

Chang et al.: "MaskGIT: Masked Generative Image Transformer", arXiv 2202.04200,
section 3.
"""

import math
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from vqvae_jax.nn.transformer import residual_blocks
from vqvae_jax.priors.base import Prior


class MaskGITPrior(Prior):
  """Predicts masked ids from the class and all ids that are not masked.

  It has no exact likelihood. If cells have several ids, each of them is a
  position of its own.

  Example: `MaskGITPrior(512, 10, (7, 7))` maps ids [b, 49], labels [b] and a
  mask [b, 49] to logits [b, 49, 512].

  Attributes:
    heads: number of attention heads; divides the width.
  """

  heads: int = 4

  exact: ClassVar[bool] = False

  def setup(self):
    super().setup()
    # The mask token; checkpoints have this name.
    self.hidden_embedding = self.table(1)
    self.position_embedding = self.table(self.length)
    self.blocks = residual_blocks(
      self.layers, self.heads, False, self.dropout, self.dtype
    )
    self.embedding_dropout = nn.Dropout(self.dropout)

  def __call__(
    self,
    ids: Int[Array, "b t"],
    labels: Int[Array, " b"],
    mask: Bool[Array, "b t"],
    train: bool = False,
  ) -> Float[Array, "b t k"]:
    """Returns the logits of every id, given the class and the unmasked ids.

    Args:
      ids: ids in raster order; any valid ids where they are masked.
      labels: class of each image.
      mask: which ids are masked.
      train: whether to drop; needs the rng "dropout".

    Returns:
      Logits over the codes, float32 or wider.
    """
    positions = jnp.arange(ids.shape[1])
    codes = self.embed(ids, positions)
    token = self.hidden_embedding(jnp.zeros((1, 1), jnp.int32))
    x = jnp.where(mask[..., None], token, codes)
    x = x + self.class_embedding(labels)[:, None]
    x = x + self.position_embedding(positions)[None]
    x = self.embedding_dropout(x, deterministic=not train)
    for block in self.blocks:
      x, _ = block(x, train)
    return self.head(self.norm(x))


def draw_mask(
  key: Key[Array, ""], ratio: Float[Array, " b"], length: int
) -> Bool[Array, "b t"]:
  """Draws masks; their number of masked ids is rounded up.

  Args:
    key: key of the draw.
    ratio: mask ratio of each image, in [0, 1].
    length: number of ids of an image.
  """
  order = jax.random.uniform(key, (ratio.shape[0], length))
  ranks = jnp.argsort(jnp.argsort(order, axis=1), axis=1)
  return ranks < jnp.ceil(ratio * length)[:, None]


def mask_ratio(progress: Float[Array, "*b"]) -> Float[Array, "*b"]:
  """Returns the mask ratio: a cosine from 1 to 0 (section 3.2).

  Args:
    progress: progress of the drawing, from 0 (all masked) to 1 (nothing).
  """
  # Exactly 0 at 1, where the cosine is only nearly so.
  return jnp.where(progress < 1, jnp.cos(math.pi / 2 * progress), 0)
