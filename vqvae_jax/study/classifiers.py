"""The judging classifiers: small convolutional nets.

They are written so that XLA's CPU backend is quick with them inside a loop,
where `lax` convolutions are ten times slower than outside.
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vqvae_jax.nn import Conv


class Classifier(nn.Module):
  """Two 3x3 convolutions of 32 and 64 channels, each max-pooled; dense 128.

  The kind of "simple CNN" that augmentation is commonly judged with.

  Attributes:
    num_classes: of the logits.
    dropout: rate before the last layer.
  """

  num_classes: int
  dropout: float = 0.5

  def setup(self):
    self.convs = [_FirstConv(32), Conv(64)]
    self.dense = nn.Dense(128)
    self.drop = nn.Dropout(self.dropout)
    self.logits = nn.Dense(self.num_classes)

  def features(self, images: Float[Array, "b h w c"]) -> Float[Array, "b 128"]:
    """What the last layer sees, without dropout, of images in [0, 1]."""
    x = images - 0.5
    for conv in self.convs:
      x = max_pool(nn.relu(conv(x)))
    return nn.relu(self.dense(x.reshape(len(x), -1)))

  def __call__(
    self, images: Float[Array, "b h w c"], train: bool = False
  ) -> Float[Array, "b classes"]:
    """Logits of images in [0, 1]; `train` needs the rng "dropout"."""
    x = self.drop(self.features(images), deterministic=not train)
    return self.logits(x).astype(jnp.float32)


class TunedClassifier(nn.Module):
  """Two more convolutions, norms by group, and features of the whole image.

  3x3 convolutions of 32, 64, 64 and 128 channels, the first and the third
  max-pooled; each is normalized in groups of 8 channels, so that nothing
  depends on the batch. The mean and the maximum over the places go to dense
  128.

  Attributes:
    num_classes: of the logits.
    dropout: rate before the last layer.
  """

  num_classes: int
  dropout: float = 0.3

  def setup(self):
    self.convs = [_FirstConv(32), Conv(64), Conv(64), Conv(128)]
    self.norms = [nn.GroupNorm(num_groups=None, group_size=8) for _ in range(4)]
    self.dense = nn.Dense(128)
    self.drop = nn.Dropout(self.dropout)
    self.logits = nn.Dense(self.num_classes)

  def features(self, images: Float[Array, "b h w c"]) -> Float[Array, "b 128"]:
    """What the last layer sees, without dropout, of images in [0, 1]."""
    x = images - 0.5
    for n, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
      x = nn.relu(norm(conv(x)))
      if n in (0, 2):
        x = max_pool(x)
    places = x.reshape(len(x), -1, x.shape[-1])
    # By its place: the gradient of `max` divides by the count of places that
    # equal it, and where XLA computes `x` anew for that, there may be none.
    top = jnp.argmax(places, axis=1, keepdims=True)
    most = jnp.take_along_axis(places, top, axis=1)[:, 0]
    return nn.relu(self.dense(jnp.concatenate([places.mean(1), most], axis=-1)))

  def __call__(
    self, images: Float[Array, "b h w c"], train: bool = False
  ) -> Float[Array, "b classes"]:
    """Logits of images in [0, 1]; `train` needs the rng "dropout"."""
    x = self.drop(self.features(images), deterministic=not train)
    return self.logits(x).astype(jnp.float32)


class _FirstConv(nn.Module):
  """3x3, SAME, as one product of 9 shifted copies: images have few channels.

  Attributes:
    features: channels of the result.
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
  """The largest of each 2x2 pixels; an odd last row or column is left out.

  Not `nn.max_pool`, whose gradient is slow on CPUs, nor `max` over axes; see
  `TunedClassifier`.
  """
  b, h, w, c = x.shape
  x = x[:, : h // 2 * 2, : w // 2 * 2]
  x = x.reshape(b, h // 2, 2, w // 2, 2, c)
  x = jnp.maximum(x[:, :, 0], x[:, :, 1])
  return jnp.maximum(x[:, :, :, 0], x[:, :, :, 1])
