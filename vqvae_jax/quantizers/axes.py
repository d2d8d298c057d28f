"""Gathers, scatters and reshapes that also run on meshes with Explicit axes.

Meshes with Auto axes, the default of this project, need none of this. On a mesh
with Explicit axes, the default of `jax.make_mesh` since JAX 0.9, the program
must say how the result of a gather or a scatter lies on the mesh.
"""

from collections.abc import Callable

import jax
from jax.sharding import AxisType, PartitionSpec
from jaxtyping import Array, PyTree


def spec_of(x: Array) -> PartitionSpec:
  """Returns how an array lies on the Explicit axes of its mesh."""
  return jax.typeof(x).sharding.spec


def with_auto_axes(
  function: Callable[..., PyTree], out_spec: PartitionSpec, *arrays: Array
) -> PyTree:
  """Calls a function with the axes of the arrays' mesh taken as Auto.

  Args:
    function: pure function of the arrays.
    out_spec: partition of its results on the mesh, the same for all.
    *arrays: arguments of the function.
  """
  meshes = [jax.typeof(x).sharding.mesh for x in arrays]
  mesh = next((m for m in meshes if AxisType.Explicit in m.axis_types), None)
  if mesh is None:
    return function(*arrays)
  with jax.sharding.use_abstract_mesh(mesh):
    return jax.sharding.auto_axes(function, out_sharding=out_spec)(*arrays)


def flattened(x: Array) -> Array:
  """Merges all axes of an array but the last."""
  names = []
  for axes in spec_of(x)[:-1]:
    names += axes if isinstance(axes, tuple) else [axes] * (axes is not None)
  out_spec = PartitionSpec(tuple(names) or None, None)
  return with_auto_axes(lambda x: x.reshape(-1, x.shape[-1]), out_spec, x)


def unflattened(rows: Array, like: Array) -> Array:
  """Splits the first axis of rows into all axes of `like` but its last."""
  shape = *like.shape[:-1], *rows.shape[1:]
  out_spec = PartitionSpec(*spec_of(like)[:-1], *(None,) * (rows.ndim - 1))
  return with_auto_axes(lambda x: x.reshape(shape), out_spec, rows)
