"""The quantizers in somebody else's program: its meshes, its checks, NNX.

Rank promotion is an error in all tests; see `conftest.py`.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from test_family import BOTH, FAMILY, latents, variables

from vqvae_jax.quantizers import nearest_code, search

KINDS = ("ema", "vq rotation", "simvq", "residual", "product", "fsq", "lfq")
KINDS += ("gumbel", "projected")
EACH = pytest.mark.parametrize("name", KINDS)
P = PartitionSpec


def everything(quantizer, values, z):
  """All that a training program asks of a quantizer, in one go."""
  key = jax.random.key(5)

  def loss(z, params):
    both = {**values, "params": params}
    out = quantizer.apply(both, z, True, rngs={"codes": key})
    return out.loss + jnp.sum(out.vectors**2), out

  given = z, values.get("params", {})
  gradients, out = jax.grad(loss, argnums=(0, 1), has_aux=True)(*given)
  ids = quantizer.apply(values, z).ids

  def call(method, *args):
    return quantizer.apply(values, *args, method=method)

  def change(method, *args):
    return quantizer.apply(values, *args, method=method, mutable=BOTH)[1]

  return {
    "out": out,
    "ids": ids,
    "decoded": call("ids_to_vectors", ids),
    "resampled": call("resample", z, 1.0, key),
    "gradients": gradients,
    "started": change("start", z, key),
    "updated": change("update", z, ids, key),
  }


@functools.cache
def expected(name):
  """`everything` on one device."""
  z = latents(FAMILY[name], (8, 4))
  return z, jax.jit(everything, static_argnums=0)(
    FAMILY[name], variables(name), z
  )


def assert_close(got, wanted):
  for (path, a), b in zip(
    jax.tree_util.tree_leaves_with_path(got),
    jax.tree.leaves(wanted),
    strict=True,
  ):
    np.testing.assert_allclose(
      a, b, rtol=1e-4, atol=1e-5, err_msg=jax.tree_util.keystr(path)
    )


@EACH
def test_a_mesh_with_explicit_axes_changes_nothing(name):
  """Latents that two axes divide; the default of `jax.make_mesh`."""
  z, wanted = expected(name)
  mesh = jax.make_mesh(
    (2, 2),
    ("data", "model"),
    (AxisType.Explicit,) * 2,
    devices=jax.devices()[:4],
  )
  with jax.set_mesh(mesh):
    place = functools.partial(jax.device_put, device=NamedSharding(mesh, P()))
    values = jax.tree.map(place, variables(name))
    z = jax.device_put(z, NamedSharding(mesh, P("data", "model")))
    got = jax.jit(everything, static_argnums=0)(FAMILY[name], values, z)
    spec = jax.typeof(got["out"].vectors).sharding.spec
    assert tuple(spec)[:2] == ("data", "model")
  assert_close(got, wanted)


@EACH
def test_inside_of_shard_map_each_device_has_its_own_latents(name):
  quantizer, values = FAMILY[name], variables(name)
  z, wanted = expected(name)
  mesh = jax.make_mesh(
    (2,), ("data",), (AxisType.Auto,), devices=jax.devices()[:2]
  )

  def local(values, z):
    found = everything(quantizer, values, z)
    # What differs from device to device gets an axis to differ along.
    own = {k: found[k] for k in ("started", "updated")}
    own["params"] = found["gradients"][1]
    own["out"] = found["out"].loss, found["out"].metrics
    rows = found["ids"], found["decoded"], found["resampled"]
    return rows, jax.tree.map(lambda x: jnp.asarray(x)[None], own)

  (ids, decoded, resampled), own = jax.jit(
    jax.shard_map(
      local, mesh=mesh, in_specs=(P(), P("data")), out_specs=P("data")
    )
  )(values, z)
  np.testing.assert_array_equal(ids, wanted["ids"])
  np.testing.assert_allclose(decoded, wanted["decoded"], atol=1e-6)
  assert resampled.shape == wanted["resampled"].shape
  losses = np.asarray(own["out"][0])
  assert losses.shape == (2,)
  if name not in ("fsq", "gumbel"):  # Whose losses are 0 at the start.
    assert len(np.unique(losses)) > 1


def test_the_tiled_search_is_the_same_on_any_mesh(monkeypatch):
  rng = np.random.default_rng(0)
  z = jnp.asarray(rng.normal(size=(16, 3)), jnp.float32)
  codes = jnp.asarray(rng.normal(size=(5, 3)), jnp.float32)
  wanted = ((z[:, None] - codes[None]) ** 2).sum(-1).argmin(1)
  monkeypatch.setattr(search, "DENSE_LIMIT", 0)
  monkeypatch.setattr(search, "_CPU_TILE", (3, 2))
  monkeypatch.setattr(search, "_TILE", (3, 2))
  # Other lambdas: a cached trace would know nothing of the limit.
  for kind in (AxisType.Explicit, AxisType.Auto):
    mesh = jax.make_mesh((8,), ("data",), (kind,))
    with jax.set_mesh(mesh):
      split = jax.device_put(z, NamedSharding(mesh, P("data")))
      whole = jax.device_put(codes, NamedSharding(mesh, P()))
      ids = jax.jit(lambda z, c: nearest_code(z, c))(split, whole)
    np.testing.assert_array_equal(ids, wanted)
  local = jax.shard_map(
    nearest_code, mesh=mesh, in_specs=(P("data"), P()), out_specs=P("data")
  )
  np.testing.assert_array_equal(jax.jit(local)(z, codes), wanted)
  # Here the codes vary, too, and the latents do not.
  both = jax.shard_map(
    lambda z, c: nearest_code(z, c)[None],
    mesh=jax.make_mesh(
      (5,), ("data",), (AxisType.Auto,), devices=jax.devices()[:5]
    ),
    in_specs=(P(), P("data")),
    out_specs=P("data"),
  )
  assert (jax.jit(both)(z, codes) == 0).all()


@EACH
def test_an_empty_batch_costs_and_changes_nothing(name):
  quantizer, values = FAMILY[name], variables(name)
  z = jnp.zeros((0, 3, quantizer.width))
  got = jax.jit(everything, static_argnums=0)(quantizer, values, z)
  out = got["out"]
  assert out.vectors.shape == z.shape
  assert out.ids.shape[:2] == (0, 3) and out.ids.dtype == jnp.int32
  assert got["decoded"].shape == z.shape
  assert got["resampled"].shape == out.ids.shape
  assert out.loss == 0
  for leaf in jax.tree.leaves((out.metrics, got["gradients"])):
    assert np.isfinite(leaf).all()
  # Counts fade, codes stay.
  for method in ("started", "updated"):
    for (path, a), b in zip(
      jax.tree_util.tree_leaves_with_path({**values, **got[method]}),
      jax.tree.leaves(values),
      strict=True,
    ):
      if path[-1].key in ("vectors", "basis"):
        np.testing.assert_allclose(a, b, rtol=1e-6)
      assert np.isfinite(a).all()


@pytest.mark.parametrize("name", FAMILY)
def test_nothing_is_not_a_number(name):
  """Under `jax_debug_nans`: zeros, variables as `init` gives them."""
  quantizer = FAMILY[name]
  with jax.debug_nans(True):
    z = jnp.zeros((4, 3, quantizer.width))
    first = {"codebook": {}, **jax.jit(quantizer.init)(jax.random.key(1), z)}
    whole = jax.jit(everything, static_argnums=0)
    once = whole(quantizer, first, z)
    whole(quantizer, {**first, **once["updated"]}, z + 1)


@EACH
def test_a_quantizer_is_a_module_of_flax_nnx(name):
  quantizer = FAMILY[name]
  z = latents(quantizer)
  model = nnx.bridge.ToNNX(quantizer, rngs=nnx.Rngs(0, codes=1))
  model.lazy_init(z)

  @nnx.jit
  def step(model, z):
    def loss(model):
      out = model(z, True)
      return out.loss + jnp.mean((out.vectors - z) ** 2), out.ids

    (_, ids), gradients = nnx.value_and_grad(loss, has_aux=True)(model)
    return ids, gradients

  ids, gradients = step(model, z)
  several = quantizer.ids_per_latent
  assert ids.shape == z.shape[:-1] + (several,) * (several > 1)
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(gradients))
  vectors = model(ids, method="ids_to_vectors")
  assert vectors.shape == z.shape
