"""The judging classifier: a small convolutional net."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float


class Classifier(nn.Module):
  """Two 3x3 convolutions of 32 and 64 channels, each max-pooled; dense 128.

  The kind of "simple CNN" that augmentation is commonly judged with.

  Attributes:
    num_classes: of the logits.
    dropout: rate before the last layer.
  """

  num_classes: int
  dropout: float = 0.5

  @nn.compact
  def __call__(
    self, images: Float[Array, "b h w c"], train: bool = False
  ) -> Float[Array, "b classes"]:
    """Logits of images in [0, 1]; `train` needs the rng "dropout"."""
    x = images - 0.5
    for channels in (32, 64):
      x = nn.relu(nn.Conv(channels, (3, 3))(x))
      x = nn.max_pool(x, (2, 2), (2, 2))
    x = nn.relu(nn.Dense(128)(x.reshape(len(x), -1)))
    x = nn.Dropout(self.dropout, deterministic=not train)(x)
    return nn.Dense(self.num_classes)(x).astype(jnp.float32)
