"""The same inputs and codes through vector-quantize-pytorch.

Its figures are recorded; if it is installed, they are computed again.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import peer_figures as peer
import pytest

from vqvae_jax.quantizers import (
  FSQ,
  LFQ,
  EMAQuantizer,
  ResidualQuantizer,
  codebook,
)


@pytest.fixture(params=["recorded", "live"], scope="module")
def figures(request):
  if request.param == "recorded":
    with np.load(peer.RECORDED, allow_pickle=False) as recorded:
      return dict(recorded)
  pytest.importorskip("vector_quantize_pytorch")
  return peer.compute()


def book(values):
  values = jnp.asarray(values)
  return {"vectors": values, "count": jnp.ones(len(values)), "sum": values}


def compare(figures, scheme, quantizer, variables, ids=None, passes=1):
  """Ids exactly; vectors, loss and the gradient of weighted vectors closely."""
  z = jnp.asarray(peer.latents(quantizer.width))
  weights = peer.weights(quantizer.width)

  @jax.jit
  @functools.partial(jax.grad, has_aux=True)
  def run(z):
    out = quantizer.apply(variables, z, True)
    return jnp.sum(out.vectors * weights), out

  gradient, out = run(z)
  expected = figures[f"{scheme}/ids"] if ids is None else ids
  np.testing.assert_array_equal(out.ids, expected)
  assert len(np.unique(out.ids)) > 20
  close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
  close(out.vectors, figures[f"{scheme}/vectors"])
  close(passes * gradient, figures[f"{scheme}/gradient"])
  # Residual: a loss of each level there, their mean here. FSQ has none.
  loss = figures.get(f"{scheme}/loss", np.zeros(1))
  close(out.loss, loss.mean())
  return z, out.ids


@pytest.mark.parametrize(
  ("scheme", "options"),
  [
    ("ema", {}),
    ("rotation", {"gradient": "rotation"}),
    ("cosine", {"codebook_norm": "l2"}),
  ],
)
def test_nearest_code(figures, scheme, options):
  quantizer = EMAQuantizer(
    peer.CODES,
    peer.WIDTH,
    commitment=peer.COMMITMENT,
    codebook_ema=peer.DECAY,
    revive_below=0.0,
    **options,
  )
  codes = peer.codes()
  if scheme == "cosine":
    codes = peer.unit(codes)
  variables = {"codebook": book(codes)}
  z, ids = compare(figures, scheme, quantizer, variables)
  if scheme == "rotation":
    return
  _, changed = quantizer.apply(
    variables, z, ids, jax.random.key(0), method="update", mutable=["codebook"]
  )
  got = changed["codebook"]
  np.testing.assert_allclose(
    got["count"], figures[f"{scheme}/count"], rtol=1e-5
  )
  # There, counts are smoothed by 1e-5 before sums are divided by them.
  np.testing.assert_allclose(
    got["vectors"], figures[f"{scheme}/codes"], rtol=1e-3, atol=1e-5
  )
  assert not np.allclose(got["vectors"], codes, atol=0.05)


def test_residual(figures):
  quantizer = ResidualQuantizer(
    peer.CODES, peer.WIDTH, peer.DEPTH, commitment=peer.COMMITMENT
  )
  books = {f"books_{i}": book(peer.codes(i)) for i in range(peer.DEPTH)}
  # There, every level passes the gradient straight through, and they add up.
  variables = {"codebook": books}
  compare(figures, "residual", quantizer, variables, passes=peer.DEPTH)


def test_fsq(figures):
  compare(figures, "fsq", FSQ(peer.LEVELS), {})


def test_lfq(figures):
  quantizer = LFQ(
    peer.BITS,
    commitment=peer.COMMITMENT,
    entropy=peer.ENTROPY,
    diversity=peer.DIVERSITY,
    sharpness=peer.SHARPNESS,
  )
  # There, the first channel is the highest bit.
  bits = figures["lfq/ids"][..., None] >> np.arange(peer.BITS) & 1
  ids = bits @ 2 ** np.arange(peer.BITS)[::-1]
  compare(figures, "lfq", quantizer, {}, ids)


def test_orthogonality(figures):
  # There, the mean is over all k * k pairs; here, over the k * (k - 1) of two
  # codes.
  got = codebook.orthogonality_loss(jnp.asarray(peer.codes()))
  np.testing.assert_allclose(
    got * (peer.CODES - 1) / peer.CODES, figures["orthogonality"], rtol=1e-5
  )
