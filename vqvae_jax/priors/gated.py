"""The gated layer of PixelCNN, on whole grids or on the last row or id.

Van den Oord et al.: "Conditional Image Generation with PixelCNN Decoders",
arXiv 1606.05328, sections 2.1 to 2.3.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float


class Convolution(nn.Module):
  """A convolution without padding, on whole grids or on their last rows.

  Attributes:
    inputs: channels of the input.
    features: channels of the result.
    kernel: rows and columns of the kernel.
    dtype: dtype of the computation; parameters are float32.
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
    """Computes the convolution at every position."""
    x, weights, bias = nn.dtypes.promote_dtype(
      x, self.weights, self.bias, dtype=self.dtype
    )
    return bias[None, None, None] + jax.lax.conv_general_dilated(
      x, weights, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )

  def last_row(self, x: Float[Array, "b h w c"]) -> Float[Array, "b 1 j d"]:
    """Computes the convolution of a grid that is as high as the kernel.

    It is one matrix product, because XLA's convolutions inside of a loop are
    slow on CPU.
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

  The inputs are shifted, those of the vertical stack by a row and those of the
  horizontal one by an id, so that a layer may use its own position. The
  vertical stack sees the rows up to its own and the columns around; the
  horizontal one sees its own row up to its position, and the vertical stack
  there. Together they have no blind spot. Both take [b, 7, 7, 128] to
  [b, 7, 7, 128].

  Attributes:
    width: channels of both stacks.
    kernel: ids that the convolutions of the vertical stack reach across, odd.
    dropout: dropout rate on the output of the horizontal stack.
    dtype: dtype of the computation; parameters are float32.
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
    """Number of rows of the vertical convolution, its own and those above."""
    return (self.kernel + 1) // 2

  def __call__(
    self,
    v: Float[Array, "b h w c"],
    x: Float[Array, "b h w c"],
    label: Float[Array, "b c"],
    train: bool = False,
  ) -> tuple[Float[Array, "b h w c"], Float[Array, "b h w c"]]:
    """Computes both stacks on whole grids.

    Args:
      v: input of the vertical stack.
      x: input of the horizontal stack.
      label: embedding of the class.
      train: whether to drop; needs the rng "dropout".

    Returns:
      The outputs of both stacks.
    """
    label = label[:, None, None]
    above = jnp.pad(v, ((0, 0), (self.rows - 1, 0), (0, 0), (0, 0)))
    v, link = self.down(above, label, self.vertical)
    left = jnp.pad(x, ((0, 0), (0, 0), (self.rows - 1, 0), (0, 0)))
    return v, x + self.along(left, link, self.horizontal, train)

  def next_row(
    self, above: Float[Array, "b r w c"], label: Float[Array, "b 1 1 c"]
  ) -> tuple[Float[Array, "b 1 w c"], Float[Array, "b 1 w p"]]:
    """Returns the vertical stack's last row and its link; see `down`."""
    return self.down(above, label, self.vertical.last_row)

  def next_id(
    self, left: Float[Array, "b 1 r c"], link: Float[Array, "b 1 1 p"]
  ) -> Float[Array, "b 1 1 c"]:
    """Returns what the horizontal stack adds at the last id of a row."""
    return self.along(left, link, self.horizontal.last_row, False)

  def down(self, above, label, convolve):
    """Computes the vertical stack from rows and those above them.

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
    """Returns what the horizontal stack adds, from ids and those before."""
    gated = gate(convolve(left) + link)
    return self.drop(self.out(gated), deterministic=not train)


def gate(x: Float[Array, "*b c"]) -> Float[Array, "*b d"]:
  """Returns tanh of half of the channels times the sigmoid of the others."""
  a, b = jnp.split(x, 2, axis=-1)
  return jnp.tanh(a) * nn.sigmoid(b)
