"""Eight CPU devices, strict rank promotion, a compilation cache."""

import functools
import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Tests compile much and compute little. In the environment, so that processes
# which tests start round as this one does.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update(
  "jax_compilation_cache_dir",
  os.environ.get(
    "JAX_COMPILATION_CACHE_DIR",
    os.path.join(os.path.dirname(os.path.dirname(__file__)), ".jax_cache"),
  ),
)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory) -> str:
  """The --dataset of a few small images in three classes."""
  import tiny

  return tiny.write_npz(tmp_path_factory.mktemp("data") / "bars.npz")


@pytest.fixture(scope="session")
def tiny_run(dataset, tmp_path_factory):
  """Folder and screen of a whole tiny run; tests must not change it."""
  import tiny

  folder = tmp_path_factory.mktemp("runs") / "whole"
  return folder, tiny.run(tiny.config(dataset, folder))


@pytest.fixture
def tpu_devices():
  """Of a v5e that is not there, to compile for; needs libtpu."""
  pytest.importorskip("libtpu")
  from jax.experimental import topologies

  # Programs for absent devices can be written to the cache, but not read.
  name = "jax_persistent_cache_min_compile_time_secs"
  before = jax.config.values[name]
  jax.config.update(name, float("inf"))
  yield topologies.get_topology_desc(
    platform="tpu", topology_name="v5e:2x4"
  ).devices
  jax.config.update(name, before)


@pytest.fixture
def float64():
  with jax.enable_x64(True):
    yield


@pytest.fixture
def drawn_weights(monkeypatch):
  """Weights by numpy: compiled, the initializers would take most of the time.

  In float64 where that is on, so that sums in another order agree.
  """
  true_init = nn.Module.init

  def init(self, *args):
    rng = np.random.default_rng(1)

    def draw(leaf):
      if not jnp.issubdtype(leaf.dtype, jnp.floating):
        return jnp.zeros(leaf.shape, leaf.dtype)
      scale = 1.2 / np.prod(leaf.shape[:-1]) ** 0.5
      return jnp.asarray(scale * rng.normal(size=leaf.shape))

    shapes = jax.eval_shape(functools.partial(true_init, self), *args)
    return jax.tree.map(draw, shapes)

  monkeypatch.setattr(nn.Module, "init", init)
