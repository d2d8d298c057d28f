"""Convolutions on CPUs as matrix products, by Winograd's minimal filtering.

A tile of m results of a filter with r taps costs m + r - 1 products instead of
m r: values and filter are transformed to m + r - 1 points, multiplied there,
and transformed back (Winograd, "Arithmetic Complexity of Computations", 1980;
Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", arXiv
1509.09308).
In two dimensions, and with all channels at once, each pair of points is a
matrix product. The transforms, with padding and the cutting into tiles, are one
fixed matrix along each axis, so that all the work is matrix products, which
XLA's CPU backend does well.

A 4x4 convolution of stride 2 is a 2x2 convolution once 2x2 blocks of pixels are
moved to the channels; the transposed one is its adjoint.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

# With the point at infinity. Small and well apart, these keep float32 within
# a few roundings of the direct sum (Barabasz et al., "Error Analysis and
# Improving the Accuracy of Winograd Convolution for DNNs", arXiv 1803.10986).
_POINTS = (0.0, 1.0, -1.0, 0.5, -2.0)
_TILE = 4

_Map = Callable[[Array, Array], Array]


def cpu_conv(
  x: Float[Array, "b h w c"], kernel: Float[Array, "p q c d"], stride: int
) -> _Map | None:
  """Returns a map equal to `conv` for these shapes, or None for `lax`'s."""
  if not _is_wide(x.dtype):
    return None
  if kernel.shape[:2] == (1, 1) and stride == 1:
    return lambda x, kernel: _product(x, kernel[0, 0])
  if kernel.shape[:2] == (3, 3) and stride == 1:
    return lambda x, kernel: _to_images(_correlate(_to_grid(x), kernel, 1))
  even = x.shape[1] % 2 == 0 and x.shape[2] % 2 == 0
  if kernel.shape[:2] == (4, 4) and stride == 2 and even:
    return _strided
  return None


def cpu_conv_transpose(x: Float[Array, "b h w c"]) -> _Map | None:
  """Returns a map equal to `conv_transpose`, or None if `lax` is better."""
  return _strided_transpose if _is_wide(x.dtype) else None


def _is_wide(dtype):
  """Returns whether products at the points keep enough precision."""
  return dtype in (jnp.float32, jnp.float64)


def _strided(x, kernel):
  blocks = _to_blocks(jnp.pad(_to_grid(x), ((1, 1), (1, 1), (0, 0), (0, 0))))
  return _to_images(_short(blocks, _block_kernel(kernel), False))


def _strided_transpose(x, kernel):
  # `lax.conv_transpose` does not flip its kernel; the adjoint of `_strided`
  # with this kernel is the same map.
  adjoint = kernel[::-1, ::-1].swapaxes(2, 3)
  blocks = _short(_to_grid(x), _block_kernel(adjoint), True)
  return _to_images(_from_blocks(blocks)[1:-1, 1:-1])


def _to_grid(x):
  """Transposes [b, h, w, c] to [h, w, b, c], so that pixels come first."""
  return x.transpose(1, 2, 0, 3)


def _to_images(x):
  return x.transpose(2, 0, 1, 3)


def _to_blocks(x):
  """Moves pixels to channels: [2 h, 2 w, b, c] to [h, w, b, 4 c]."""
  h, w, b, c = x.shape
  x = x.reshape(h // 2, 2, w // 2, 2, b, c).transpose(0, 2, 4, 1, 3, 5)
  return x.reshape(h // 2, w // 2, b, 4 * c)


def _from_blocks(x):
  """Moves channels to pixels: [h, w, b, 4 c] to [2 h, 2 w, b, c]."""
  h, w, b, c = x.shape
  x = x.reshape(h, w, b, 2, 2, c // 4).transpose(0, 3, 1, 4, 2, 5)
  return x.reshape(2 * h, 2 * w, b, c // 4)


def _block_kernel(kernel):
  """Returns the kernel on blocks, from [4, 4, c, d] to [2, 2, 4 c, d]."""
  c, d = kernel.shape[2:]
  kernel = kernel.reshape(2, 2, 2, 2, c, d).transpose(0, 2, 1, 3, 4, 5)
  return kernel.reshape(2, 2, 4 * c, d)


def _short(x, kernel, adjoint):
  """Computes a 2x2 correlation without padding, or its adjoint."""
  # With the few channels of images the transforms would cost more than they
  # save.
  if kernel.shape[2] > 16:
    return (_correlate_adjoint if adjoint else _correlate)(x, kernel, 0)
  if adjoint:
    return _patches_adjoint(x, kernel)
  return _product(_patches(x), kernel.reshape(-1, kernel.shape[-1]))


def _patches(x):
  h, w = x.shape[0] - 1, x.shape[1] - 1
  taps = [x[i : h + i, j : w + j] for i in (0, 1) for j in (0, 1)]
  return jnp.concatenate(taps, axis=-1)


def _patches_adjoint(x, kernel):
  h, w, b, _ = x.shape
  c = kernel.shape[2]
  patches = _product(x, kernel.reshape(4 * c, -1).T)
  shape = jax.ShapeDtypeStruct((h + 1, w + 1, b, c), x.dtype)
  (blocks,) = jax.linear_transpose(_patches, shape)(patches)
  return blocks


@jax.custom_vjp
def _product(
  x: Float[Array, "h w b c"], matrix: Float[Array, "c d"]
) -> Float[Array, "h w b d"]:
  """Computes a 1x1 convolution; for its gradients see `_winograd`."""
  return x @ matrix


def _product_forward(x, matrix):
  return x @ matrix, (x, matrix)


def _product_backward(saved, g):
  x, matrix = saved
  c, d = matrix.shape
  return g @ matrix.T, x.reshape(-1, c).T @ g.reshape(-1, d)


_product.defvjp(_product_forward, _product_backward)


class _Axis(NamedTuple):
  """The matrices of one axis.

  Attributes:
    filter: taps to points, [n, taps].
    inputs: pixels to the points of the tiles, [n * tiles, size].
    results: results to the points of the tiles (the adjoint of the way back),
      [n * tiles, results].
  """

  filter: np.ndarray
  inputs: np.ndarray
  results: np.ndarray


@functools.cache
def _axis(size: int, taps: int, pads: tuple[int, int]) -> _Axis:
  """Returns the matrices of Toom-Cook multiplication, transposed to filter."""
  results = size + sum(pads) - taps + 1
  m = min(_TILE, results)
  n = m + taps - 1
  tiles = -(-results // m)

  def evaluate(terms):
    powers = np.array(_POINTS[: n - 1])[:, None] ** np.arange(terms)
    infinity = np.arange(terms)[None] == terms - 1
    return np.concatenate([powers, infinity])

  tile_inputs = np.linalg.inv(evaluate(n)).T
  tile_results = evaluate(m)
  # With room for the last tile to hang over, then cut.
  inputs = np.zeros((n, tiles, tiles * m + taps - 1 + size))
  to_results = np.zeros((n, tiles, tiles * m))
  for tile in range(tiles):
    inputs[:, tile, tile * m : tile * m + n] = tile_inputs
    to_results[:, tile, tile * m : tile * m + m] = tile_results
  return _Axis(
    evaluate(taps),
    inputs[..., pads[0] : pads[0] + size].reshape(n * tiles, size),
    to_results[..., :results].reshape(n * tiles, results),
  )


def _correlate(x, kernel, pad):
  """Correlates [h, w, b, c] to [i, j, b, d], with `pad` zeros around.

  XLA computes each small matrix product on one core, but several at the same
  time. So the upper and the lower rows are computed separately.
  """
  r = kernel.shape[0]
  split = _first_rows(x.shape[0] + 2 * pad - r + 1)
  if not split:
    return _winograd(x, kernel, (pad, pad), pad, False)
  upper = _winograd(x[: split + r - 1 - pad], kernel, (pad, 0), pad, False)
  lower = _winograd(x[split - pad :], kernel, (0, pad), pad, False)
  return jnp.concatenate([upper, lower])


def _correlate_adjoint(x, kernel, pad):
  """Applies the adjoint of `_correlate`: [i, j, b, d] to [h, w, b, c]."""
  split = _first_rows(x.shape[0])
  if not split:
    return _winograd(x, kernel, (pad, pad), pad, True)
  upper = _winograd(x[:split], kernel, (pad, 0), pad, True)
  lower = _winograd(x[split:], kernel, (0, pad), pad, True)
  start = split - pad
  rest = start + len(lower) - len(upper)
  no = (0, 0)
  return jnp.pad(upper, ((0, rest), no, no, no)) + jnp.pad(
    lower, ((start, 0), no, no, no)
  )


def _first_rows(results):
  """Returns half of the rows in whole tiles; 0 if there is one tile."""
  tiles = -(-results // _TILE)
  return _TILE * ((tiles + 1) // 2) if tiles > 1 else 0


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _winograd(
  x: Float[Array, "h w b c"],
  kernel: Float[Array, "r r p q"],
  pad_rows: tuple[int, int],
  pad: int,
  adjoint: bool,
) -> Float[Array, "i j b d"]:
  """Computes a correlation with zeros around, or the adjoint of that map.

  There are `pad_rows` zeros above and below, `pad` on the left and the right.
  The correlation takes p channels to q, the adjoint q to p.

  Gradients are written out, because JAX would derive products of the
  transposed arrays, which costs transpositions.
  """
  return _forward(x, kernel, pad_rows, pad, adjoint)[0]


def _forward(x, kernel, pad_rows, pad, adjoint):
  rows, cols = _axes(x, kernel, pad_rows, pad, adjoint)
  at_points = _kernel_at_points(kernel, rows, cols, adjoint)
  if adjoint:
    values = _transform(rows.results, cols.results, x)
    products = _multiply(values, at_points)
    y = _transform(rows.inputs.T, cols.inputs.T, products)
  else:
    values = _transform(rows.inputs, cols.inputs, x)
    products = _multiply(values, at_points)
    y = _transform(rows.results.T, cols.results.T, products)
  return y, (values, kernel)


def _backward(pad_rows, pad, adjoint, saved, g):
  values, kernel = saved
  rows, cols = _axes(g, kernel, pad_rows, pad, not adjoint)
  at_points = _kernel_at_points(kernel, rows, cols, not adjoint)
  if adjoint:
    g = _transform(rows.inputs, cols.inputs, g)
    d_x = _transform(rows.results.T, cols.results.T, _multiply(g, at_points))
    d_points = _multiply_adjoint(g, values, rows, cols)
  else:
    g = _transform(rows.results, cols.results, g)
    d_x = _transform(rows.inputs.T, cols.inputs.T, _multiply(g, at_points))
    d_points = _multiply_adjoint(values, g, rows, cols)
  taps = np.kron(rows.filter, cols.filter).astype(g.dtype)
  d_kernel = taps.T @ d_points.reshape(len(taps), -1)
  return d_x, d_kernel.reshape(kernel.shape)


_winograd.defvjp(_forward, _backward)


def _axes(x, kernel, pad_rows, pad, adjoint):
  """Returns the axes of the map that takes `x`, or of the adjoint."""
  taps = kernel.shape[0]
  return [
    _axis(size + (taps - 1 - sum(pads) if adjoint else 0), taps, pads)
    for size, pads in zip(x.shape[:2], (pad_rows, (pad, pad)), strict=True)
  ]


def _kernel_at_points(kernel, rows, cols, adjoint):
  """Returns the kernel as [row points, tiles, column points, c, d]."""
  c, d = kernel.shape[2:]
  n_rows, n_cols = len(rows.filter), len(cols.filter)
  tiles = len(rows.inputs) // n_rows
  taps = np.kron(rows.filter, cols.filter).astype(kernel.dtype)
  points = (taps @ kernel.reshape(-1, c * d)).reshape(n_rows, 1, n_cols, c, d)
  if adjoint:
    points = points.swapaxes(3, 4)
  return jnp.broadcast_to(points, (n_rows, tiles, *points.shape[2:]))


def _transform(rows, cols, x):
  """Applies matrices to two axes: [h, w, b, c] to [p, q, b, c]."""
  h, w, b, c = x.shape
  p, q = len(rows), len(cols)
  x = (rows.astype(x.dtype) @ x.reshape(h, -1)).reshape(p, w, b * c)
  cols = jnp.broadcast_to(cols.astype(x.dtype), (p, q, w))
  return (cols @ x).reshape(p, q, b, c)


def _multiply(values, at_points):
  """Multiplies [p, q, b, c] by [row points, tiles, column points, c, d]."""
  p, q, b, c = values.shape
  d = at_points.shape[-1]
  n_cols = at_points.shape[2]
  values = values.reshape(p * n_cols, -1, c)
  return (values @ at_points.reshape(p * n_cols, c, d)).reshape(p, q, b, d)


def _multiply_adjoint(values, g, rows, cols):
  """Returns the gradient of the kernel at the points, summed over tiles."""
  c, d = values.shape[-1], g.shape[-1]
  n_rows, n_cols = len(rows.filter), len(cols.filter)
  batch = len(values) * n_cols
  values, g = values.reshape(batch, -1, c), g.reshape(batch, -1, d)
  return (
    (values.swapaxes(1, 2) @ g).reshape(n_rows, -1, n_cols, c, d).sum(axis=1)
  )
