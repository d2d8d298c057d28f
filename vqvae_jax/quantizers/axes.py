"""What lets the quantizers run on other people's meshes.

Under `jax.jit` with Auto axes, the default of this project, none of this is
needed. A mesh with Explicit axes, the default of `jax.make_mesh` since JAX
0.9, wants to be told how the result of a gather or a scatter lies on it.
"""

from collections.abc import Callable

import jax
from jax.sharding import AxisType, PartitionSpec
from jaxtyping import Array, PyTree


def spec_of(x: Array) -> PartitionSpec:
  """How an array lies on the Explicit axes of its mesh."""
  return jax.typeof(x).sharding.spec


def with_auto_axes(
  function: Callable[..., PyTree], out_spec: PartitionSpec, *arrays: Array
) -> PyTree:
  """Calls a function with the axes of the arrays' mesh taken as Auto.

  Args:
    function: pure function of the arrays.
    out_spec: how its results lie on the mesh; one for all of them.
    *arrays: arguments of the function.
  """
  meshes = [jax.typeof(x).sharding.mesh for x in arrays]
  mesh = next((m for m in meshes if AxisType.Explicit in m.axis_types), None)
  if mesh is None:
    return function(*arrays)
  with jax.sharding.use_abstract_mesh(mesh):
    return jax.sharding.auto_axes(function, out_sharding=out_spec)(*arrays)


def flattened(x: Array) -> Array:
  """The array with all axes but the last made one."""
  names = []
  for axes in spec_of(x)[:-1]:
    names += axes if isinstance(axes, tuple) else [axes] * (axes is not None)
  out_spec = PartitionSpec(tuple(names) or None, None)
  return with_auto_axes(lambda x: x.reshape(-1, x.shape[-1]), out_spec, x)


def unflattened(rows: Array, like: Array) -> Array:
  """Rows with their first axis made those of `like`, all but its last."""
  shape = *like.shape[:-1], *rows.shape[1:]
  out_spec = PartitionSpec(*spec_of(like)[:-1], *(None,) * (rows.ndim - 1))
  return with_auto_axes(lambda x: x.reshape(shape), out_spec, rows)
