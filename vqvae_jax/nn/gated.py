"""The gated layer of PixelCNN, over whole grids or at the end of them.

Van den Oord et al.: "Conditional Image Generation with PixelCNN Decoders",
arXiv 1606.05328, sections 2.1 to 2.3.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float
from numpy.typing import DTypeLike


class Convolution(nn.Module):
  """A convolution without padding, over whole grids or at the end of them.

  Attributes:
    inputs: channels.
    features: channels of the result.
    kernel: rows and columns.
    dtype: of the computation; parameters are float32.
  """

  inputs: int
  features: int
  kernel: tuple[int, int]
  dtype: DTypeLike = jnp.float32

  def setup(self):
    self.weights = self.param(
      "kernel",
      nn.initializers.lecun_normal(),
      (*self.kernel, self.inputs, self.features),
    )
    self.bias = self.param("bias", nn.initializers.zeros, (self.features,))

  def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b i j d"]:
    """Everywhere."""
    x, weights, bias = nn.dtypes.promote_dtype(
      x, self.weights, self.bias, dtype=self.dtype
    )
    return bias[None, None, None] + jax.lax.conv_general_dilated(
      x, weights, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )

  def last_row(self, x: Float[Array, "b h w c"]) -> Float[Array, "b 1 j d"]:
    """The same for grids as high as the kernel.

    One matrix product: inside of a loop XLA's convolutions are slow on CPU.
    """
    x, weights, bias = nn.dtypes.promote_dtype(
      x, self.weights, self.bias, dtype=self.dtype
    )
    height, width = self.kernel
    columns = x.shape[2] - width + 1
    patches = jnp.concatenate(
      [x[:, i, j : j + columns] for i in range(height) for j in range(width)],
      axis=-1,
    )
    out = patches @ weights.reshape(-1, self.features)
    return (bias[None, None] + out)[:, None]


class GatedLayer(nn.Module):
  """One layer of both stacks (figure 2 of the paper).

  The inputs come shifted, the vertical stack's by a row and the horizontal
  one's by an id, so that a layer may use its own place: the vertical stack
  sees rows up to its own and the columns around, the horizontal one its own
  row up to its place, and the vertical stack there. Together there is no blind
  spot.

  Attributes:
    width: channels of both stacks.
    kernel: ids that the convolutions of the vertical stack reach across, odd.
    dropout: rate on the output of the horizontal stack.
    dtype: of the computation; parameters are float32.
  """

  width: int
  kernel: int
  dropout: float = 0.0
  dtype: DTypeLike = jnp.float32

  def setup(self):
    def dense(features, **options):
      return nn.Dense(features, dtype=self.dtype, **options)

    def convolution(*kernel):
      return Convolution(self.width, 2 * self.width, kernel, self.dtype)

    self.vertical = convolution(self.rows, self.kernel)
    self.horizontal = convolution(1, self.rows)
    self.to_horizontal = dense(2 * self.width)
    self.vertical_class = dense(2 * self.width, use_bias=False)
    self.horizontal_class = dense(2 * self.width, use_bias=False)
    self.out = dense(self.width)
    self.drop = nn.Dropout(self.dropout)

  @property
  def rows(self) -> int:
    """Rows of the vertical convolution, its own and those above."""
    return (self.kernel + 1) // 2

  def __call__(
    self,
    v: Float[Array, "b h w c"],
    x: Float[Array, "b h w c"],
    label: Float[Array, "b c"],
    train: bool = False,
  ) -> tuple[Float[Array, "b h w c"], Float[Array, "b h w c"]]:
    """Both stacks over whole grids.

    Args:
      v: input of the vertical stack.
      x: input of the horizontal stack.
      label: embedding of the class.
      train: whether to drop; needs the rng "dropout".

    Returns:
      The outputs of both.
    """
    label = label[:, None, None]
    above = jnp.pad(v, ((0, 0), (self.rows - 1, 0), (0, 0), (0, 0)))
    v, link = self.down(above, label, self.vertical)
    left = jnp.pad(x, ((0, 0), (0, 0), (self.rows - 1, 0), (0, 0)))
    return v, x + self.along(left, link, self.horizontal, train)

  def next_row(self, above, label):
    """The vertical stack's next row, from it and those above, and its link."""
    return self.down(above, label, self.vertical.last_row)

  def next_id(self, left, link):
    """What the horizontal stack adds at the last of the ids of a row."""
    return self.along(left, link, self.horizontal.last_row, False)

  def down(self, above, label, convolve):
    """The vertical stack from rows with those above.

    Returns:
      Its output, and its link: all that the horizontal stack adds to its own
      features before the gate.
    """
    side = self.kernel // 2
    padded = jnp.pad(above, ((0, 0), (0, 0), (side, side), (0, 0)))
    features = convolve(padded)
    link = self.to_horizontal(features) + self.horizontal_class(label)
    return gate(features + self.vertical_class(label)), link

  def along(self, left, link, convolve, train):
    """What the horizontal stack adds, from ids with those to their left."""
    gated = gate(convolve(left) + link)
    return self.drop(self.out(gated), deterministic=not train)


def gate(x: Float[Array, "*b c"]) -> Float[Array, "*b d"]:
  """tanh of one half of the channels times the sigmoid of the other."""
  a, b = jnp.split(x, 2, axis=-1)
  return jnp.tanh(a) * nn.sigmoid(b)
