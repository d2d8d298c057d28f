"""Weights that need no compiling, and float64."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest


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
