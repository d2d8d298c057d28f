"""The networks of the classifiers.

They are small and convolutional. XLA's CPU backend runs `lax` convolutions ten
times slower inside a loop than outside, so none is used here.
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vqvae_jax.nn import Conv


class _Network(nn.Module):
  """The last layers, which the classifiers have in common.

  Attributes:
    num_classes: number of classes.
    dropout: rate of dropout before the last layer.
  """

  num_classes: int
  dropout: float = 0.5

  def setup(self):
    self.dense = nn.Dense(128)
    self.drop = nn.Dropout(self.dropout)
    self.logits = nn.Dense(self.num_classes)

  def __call__(
    self, images: Float[Array, "b h w c"], train: bool = False
  ) -> Float[Array, "b classes"]:
    """Returns the logits of images in [0, 1].

    With `train`, the rng "dropout" is needed.
    """
    x = self.drop(self.features(images), deterministic=not train)
    return self.logits(x).astype(jnp.float32)


class Classifier(_Network):
  """A simple CNN, as studies of augmentation commonly use it.

  It has two 3x3 convolutions of 32 and 64 channels, each followed by max
  pooling, and a dense layer of 128 channels.
  """

  def setup(self):
    super().setup()
    self.convs = [_FirstConv(32), Conv(64)]

  def features(self, images: Float[Array, "b h w c"]) -> Float[Array, "b 128"]:
    """Returns the inputs of the last layer, for images in [0, 1]."""
    x = images - 0.5
    for conv in self.convs:
      x = max_pool(nn.relu(conv(x)))
    return nn.relu(self.dense(x.reshape(len(x), -1)))


class TunedClassifier(_Network):
  """A stronger CNN with group norms and global pooling.

  It has 3x3 convolutions of 32, 64, 64 and 128 channels, each normalized in
  groups of 8 channels, so that nothing depends on the batch. Max pooling
  follows the first and the third. The mean and the maximum over the positions
  go to a dense layer of 128 channels.
  """

  dropout: float = 0.3

  def setup(self):
    super().setup()
    self.convs = [_FirstConv(32), Conv(64), Conv(64), Conv(128)]
    self.norms = [nn.GroupNorm(num_groups=None, group_size=8) for _ in range(4)]

  def features(self, images: Float[Array, "b h w c"]) -> Float[Array, "b 128"]:
    """Returns the inputs of the last layer, for images in [0, 1]."""
    x = images - 0.5
    for n, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
      x = nn.relu(norm(conv(x)))
      if n in (0, 2):
        x = max_pool(x)
    x = x.reshape(len(x), -1, x.shape[-1])
    # The gradient of `max` divides by the number of positions that equal the
    # maximum. XLA may compute `x` again for that, with other rounding, and find
    # none. Taking the maximum by its index avoids this.
    top = jnp.argmax(x, axis=1, keepdims=True)
    most = jnp.take_along_axis(x, top, axis=1)[:, 0]
    return nn.relu(self.dense(jnp.concatenate([x.mean(1), most], axis=-1)))


class _FirstConv(nn.Module):
  """A 3x3 SAME convolution as one product with 9 shifted copies.

  It is fast because images have few channels.

  Attributes:
    features: number of channels of the result.
  """

  features: int

  @nn.compact
  def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w d"]:
    _, h, w, _ = x.shape
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = [x[:, i : i + h, j : j + w] for i in range(3) for j in range(3)]
    dense = nn.Dense(self.features, name="dense")
    return dense(jnp.concatenate(shifted, axis=-1))


def max_pool(x: Float[Array, "b h w c"]) -> Float[Array, "b i j c"]:
  """Returns the maximum of each 2x2 pixels, without an odd last row or column.

  The gradient of `nn.max_pool` is slow on CPUs, and `max` over axes has the
  problem that `TunedClassifier.features` avoids.
  """
  b, h, w, c = x.shape
  x = x[:, : h // 2 * 2, : w // 2 * 2]
  x = x.reshape(b, h // 2, 2, w // 2, 2, c)
  x = jnp.maximum(x[:, :, 0], x[:, :, 1])
  return jnp.maximum(x[:, :, :, 0], x[:, :, :, 1])
