"""The conditional DCGAN.

Radford, Metz, Chintala: "Unsupervised representation learning with deep
convolutional generative adversarial networks", arXiv 1511.06434, section 3,
for the networks; Goodfellow et al. 2014, arXiv 1406.2661, section 3, for the
losses; Mirza and Osindero 2014, arXiv 1411.1784, for the class beside the
noise; Miyato and Koyama 2018, arXiv 1802.05637, for the class as a projection
in the discriminator.

Departures from Radford et al.: kernels are 4x4 instead of 5x5, weights start
as elsewhere in this package, the noise is normal, and both networks are updated
at once.
"""

from functools import partial

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, PyTree

from vqvae_jax.nn import Conv, ConvTranspose

# Share of the running statistics that a step keeps. It is small, so that short
# trainings forget the first images.
_MOMENTUM = 0.9
_SLOPE = 0.2
# Width of the class embedding beside the noise.
_CLASS_WIDTH = 16


class Network(nn.Module):
  """What all networks of a DCGAN are given.

  Attributes:
    image_shape: height, width, channels.
    stride: pixels of a position of the coarsest grid, along each side.
    latent_dim: width of the noise.
    hidden: channels of the coarsest grid; each finer one has half as many.
    num_classes: labels are from 0 to this, exclusive.
    dtype: type of the arithmetic; results are in at least float32.
  """

  image_shape: tuple[int, int, int]
  stride: int
  latent_dim: int
  hidden: int
  num_classes: int
  dtype: DTypeLike = jnp.float32


class Generator(Network):
  """Turns noise and a class into images in [0, 1].

  For [b, 28, 28, 1] and stride 4: dense to [b, 7, 7, hidden], then 4x4
  transposed convolutions of stride 2 to [b, 14, 14, hidden / 2] and the image;
  batch normalisation and ReLU between them, tanh at the end.
  """

  @nn.compact
  def __call__(
    self,
    noise: Float[Array, "b d"],
    labels: Int[Array, "b"],
    train: bool = False,
  ) -> Float[Array, "b h w c"]:
    height, width, channels = self.image_shape
    embed = nn.Embed(
      self.num_classes,
      _CLASS_WIDTH,
      # As large as the noise.
      embedding_init=nn.initializers.normal(1.0),
      name="class",
    )
    grid = height // self.stride, width // self.stride, self.hidden
    x = jnp.concatenate([noise, embed(labels)], axis=-1)
    x = nn.Dense(int(np.prod(grid)), dtype=self.dtype, name="dense")(x)
    x = x.reshape(-1, *grid)
    x = nn.relu(_normalise("norm", train, self.dtype)(x))
    for i, features in enumerate(_widths(self.hidden, self.stride)[1:]):
      x = ConvTranspose(features, dtype=self.dtype, name=f"up_{i}")(x)
      x = nn.relu(_normalise(f"norm_{i}", train, self.dtype)(x))
    x = ConvTranspose(channels, dtype=self.dtype, name="pixels")(x)
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    return 0.5 * (jnp.tanh(x) + 1)


class Discriminator(Network):
  """Turns images in [0, 1] and their class into logits: above 0 is "real".

  The generator's mirror image: 4x4 convolutions of stride 2, LeakyReLU of
  slope 0.2, batch normalisation but not in the first layer.
  """

  @nn.compact
  def __call__(
    self,
    images: Float[Array, "b h w c"],
    labels: Int[Array, "b"],
    train: bool = False,
  ) -> Float[Array, " b"]:
    x = 2 * images - 1
    for i, features in enumerate(reversed(_widths(self.hidden, self.stride))):
      x = Conv(features, 4, 2, dtype=self.dtype, name=f"down_{i}")(x)
      if i:
        x = _normalise(f"norm_{i}", train, self.dtype)(x)
      x = nn.leaky_relu(x, _SLOPE)
    x = x.reshape(len(x), -1).astype(jnp.promote_types(x.dtype, jnp.float32))
    logits = nn.Dense(1, name="logit")(x)[:, 0]
    # The same for all classes at first.
    embed = nn.Embed(
      self.num_classes,
      x.shape[-1],
      embedding_init=nn.initializers.zeros,
      name="class",
    )
    return logits + (embed(labels) * x).sum(-1)


class DCGAN(Network):
  """Both networks, whose parameters and statistics have their names."""

  def setup(self):
    fields = "image_shape", "stride", "latent_dim", "hidden", "num_classes"
    same = {name: getattr(self, name) for name in (*fields, "dtype")}
    self.generator = Generator(**same)
    self.discriminator = Discriminator(**same)

  def __call__(self, noise: Float[Array, "b d"], labels: Int[Array, "b"]):
    """Returns logits of generated images, by way of every parameter."""
    return self.discriminate(self.generate(noise, labels), labels)

  def generate(
    self,
    noise: Float[Array, "b d"],
    labels: Int[Array, "b"],
    train: bool = False,
  ) -> Float[Array, "b h w c"]:
    """Returns images in [0, 1].

    They are normalised by the running statistics or, while training, by those
    of the batch.
    """
    return self.generator(noise, labels, train)

  def discriminate(
    self,
    images: Float[Array, "b h w c"],
    labels: Int[Array, "b"],
    train: bool = False,
  ) -> Float[Array, " b"]:
    """Returns logits, above 0 for "real"; see `generate`."""
    return self.discriminator(images, labels, train)


@flax.struct.dataclass
class Adversarial:
  """What both networks aim at on one batch.

  Attributes:
    generator_loss: mean loss, a function of the generator's parameters alone.
    discriminator_loss: mean loss, a function of the discriminator's alone.
    real_logits: logits of the real images.
    fake_logits: logits of as many generated ones.
    statistics: running statistics after the batch.
  """

  generator_loss: Float[Array, ""]
  discriminator_loss: Float[Array, ""]
  real_logits: Float[Array, " b"]
  fake_logits: Float[Array, " b"]
  statistics: PyTree


def adversarial(
  model: DCGAN,
  params: PyTree,
  statistics: PyTree,
  images: Float[Array, "b h w c"],
  labels: Int[Array, "b"],
  noise: Float[Array, "b d"],
) -> Adversarial:
  """Returns both losses, each a function of its own network only.

  So the gradient of their sum is the gradient of each for its own network, and
  one optimizer step updates both at once from the same weights. Radford et al.
  alternate: there, the generator answers to a discriminator that is one step
  ahead.

  Real and generated images are normalised apart, each by the statistics of
  their own batch.
  """
  apply = partial(model.apply, train=True, mutable=["batch_stats"])
  variables = {"params": params, "batch_stats": statistics}
  fixed = {
    "params": jax.lax.stop_gradient(params),
    "batch_stats": statistics,
  }
  fakes, drawn = apply(variables, noise, labels, method="generate")
  answers, _ = apply(fixed, fakes, labels, method="discriminate")
  discriminate = partial(apply, variables, labels=labels, method="discriminate")
  real_logits, of_real = discriminate(images)
  fake_logits, of_fake = discriminate(jax.lax.stop_gradient(fakes))
  moved = jax.tree.map(
    lambda a, b: (a + b) / 2,
    of_real["batch_stats"]["discriminator"],
    of_fake["batch_stats"]["discriminator"],
  )
  return Adversarial(
    generator_loss(answers),
    discriminator_loss(real_logits, fake_logits),
    real_logits,
    fake_logits,
    {
      "generator": drawn["batch_stats"]["generator"],
      "discriminator": moved,
    },
  )


def generator_loss(fake_logits: Float[Array, " b"]) -> Float[Array, ""]:
  """Returns the non-saturating loss, the mean of -log D(fake)."""
  return nn.softplus(-fake_logits).mean()


def discriminator_loss(
  real_logits: Float[Array, " b"], fake_logits: Float[Array, " b"]
) -> Float[Array, ""]:
  """Returns the mean of -log D(real) plus that of -log(1 - D(fake))."""
  return nn.softplus(-real_logits).mean() + nn.softplus(fake_logits).mean()


def _widths(hidden, stride):
  """Returns the channels of the grids between the coarsest and the image."""
  return [max(hidden >> i, 1) for i in range(stride.bit_length() - 1)]


def _normalise(name, train, dtype):
  return nn.BatchNorm(
    use_running_average=not train, momentum=_MOMENTUM, dtype=dtype, name=name
  )
