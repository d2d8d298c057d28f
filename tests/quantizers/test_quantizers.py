"""Both codebook quantizers: where each loss's gradient goes, how codes move."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqvae_jax.quantizers import EMAQuantizer, VectorQuantizer

BETA = 0.25
KINDS = pytest.mark.parametrize("kind", [EMAQuantizer, VectorQuantizer])


def drawn(shape, seed, dtype=jnp.float32):
  values = np.random.default_rng(seed).normal(size=shape)
  return jnp.asarray(values, dtype)


def make(kind, codes, count=None, **options):
  """A quantizer and its variables, with these codes and running counts."""
  k, d = codes.shape
  count = jnp.ones(k) if count is None else jnp.asarray(count, jnp.float32)
  module = kind(k, d, commitment=BETA, **options)
  if kind is VectorQuantizer:
    return module, {"params": {"vectors": codes}, "codebook": {"count": count}}
  total = codes * count[:, None]
  return module, {"codebook": {"vectors": codes, "count": count, "sum": total}}


def codes_of(variables):
  return variables.get("params", variables["codebook"])["vectors"]


def nearest(z, codes):
  return ((z[:, None] - codes[None]) ** 2).sum(axis=-1).argmin(axis=1)


@functools.partial(jax.jit, static_argnums=0)
def apply(module, variables, z):
  return module.apply(variables, z)


@functools.partial(jax.jit, static_argnums=0)
def update(module, variables, z, ids, seed=0):
  _, changed = module.apply(
    variables,
    z,
    ids,
    jax.random.key(seed),
    method="update",
    mutable=["params", "codebook"],
  )
  return {**variables, **changed}


@KINDS
def test_forward_pass_gives_the_nearest_codes(kind):
  z, codes = drawn((2, 3, 4, 5), 0), drawn((9, 5), 1)
  module, variables = make(kind, codes)
  out = apply(module, variables, z)
  ids = nearest(np.asarray(z).reshape(-1, 5), np.asarray(codes))
  assert out.ids.dtype == jnp.int32
  np.testing.assert_array_equal(out.ids, ids.reshape(2, 3, 4))
  expected = np.asarray(codes)[ids].reshape(z.shape)
  np.testing.assert_allclose(out.vectors, expected, rtol=1e-5, atol=1e-6)
  error = np.mean((np.asarray(z) - expected) ** 2)
  weight = BETA if kind is EMAQuantizer else 1 + BETA
  np.testing.assert_allclose(out.loss, weight * error, rtol=1e-5)
  np.testing.assert_allclose(out.metrics["commitment"], error, rtol=1e-5)
  p = np.bincount(ids) / len(ids)
  p = p[p > 0]
  np.testing.assert_allclose(
    out.metrics["perplexity"], np.exp(-(p * np.log(p)).sum()), rtol=1e-5
  )


@KINDS
def test_ids_to_vectors_and_back(kind):
  codes = drawn((9, 5), 1)
  module, variables = make(kind, codes)
  ids = jnp.asarray(np.random.default_rng(0).integers(0, 9, (2, 3, 4)))
  vectors = module.apply(variables, ids, method="ids_to_vectors")
  np.testing.assert_array_equal(vectors, np.asarray(codes)[np.asarray(ids)])
  again = apply(module, variables, vectors)
  np.testing.assert_array_equal(again.ids, ids)
  assert again.loss == 0


def gradients(module, variables, z, loss):
  """Of `loss(output)` with respect to every variable and to the latents."""

  def scalar(variables, z):
    return loss(module.apply(variables, z, train=True))

  return jax.jit(jax.grad(scalar, argnums=(0, 1)))(variables, z)


@KINDS
def test_gradient_of_the_reconstruction_skips_the_codebook(kind):
  z, codes, weights = drawn((8, 5), 0), drawn((4, 5), 1), drawn((8, 5), 2)
  module, variables = make(kind, codes)
  to_codebook, to_latents = gradients(
    module, variables, z, lambda out: jnp.sum(weights * out.vectors)
  )
  np.testing.assert_array_equal(to_latents, weights)
  for leaf in jax.tree.leaves(to_codebook):
    np.testing.assert_array_equal(leaf, np.zeros(leaf.shape))


@KINDS
def test_gradient_of_the_loss(kind):
  z, codes = drawn((8, 5), 0), drawn((4, 5), 1)
  module, variables = make(kind, codes)
  to_codebook, to_latents = gradients(
    module, variables, z, lambda out: out.loss
  )
  x, e = np.asarray(z), np.asarray(codes)
  ids = nearest(x, e)
  # Beta stands on the commitment term, the only one that moves the latents.
  np.testing.assert_allclose(
    to_latents, BETA * 2 * (x - e[ids]) / x.size, rtol=1e-5, atol=1e-7
  )
  expected = np.zeros_like(e)
  if kind is VectorQuantizer:
    np.add.at(expected, ids, 2 * (e[ids] - x) / x.size)
    assert np.abs(expected).max() > 0.01
  np.testing.assert_allclose(
    codes_of(to_codebook), expected, rtol=1e-5, atol=1e-7
  )
  for name in set(variables["codebook"]) - {"vectors"}:
    assert not np.any(to_codebook["codebook"][name])


@KINDS
def test_losses_do_not_grow_with_the_batch(kind):
  z, codes = drawn((6, 5), 0), drawn((4, 5), 1)
  module, variables = make(kind, codes)
  once = apply(module, variables, z)
  twice = apply(module, variables, jnp.concatenate([z, z]))
  np.testing.assert_allclose(twice.loss, once.loss, rtol=1e-6)
  for name, value in once.metrics.items():
    np.testing.assert_allclose(twice.metrics[name], value, rtol=1e-6)


@KINDS
def test_maths_in_float32_under_bfloat16(kind):
  z, codes = drawn((64, 5), 0, jnp.bfloat16), drawn((200, 5), 1)
  module, variables = make(kind, codes, revive_below=0.5)
  half = apply(module, variables, z)
  wide = apply(module, variables, z.astype(jnp.float32))
  np.testing.assert_array_equal(half.ids, wide.ids)
  assert half.vectors.dtype == jnp.bfloat16
  np.testing.assert_array_equal(half.vectors, wide.vectors.astype(jnp.bfloat16))
  assert half.loss.dtype == jnp.float32
  assert half.loss == wide.loss
  from_half = update(module, variables, z, half.ids)
  from_wide = update(module, variables, z.astype(jnp.float32), half.ids)
  for a, b in zip(
    jax.tree.leaves(from_half), jax.tree.leaves(from_wide), strict=True
  ):
    assert a.dtype == jnp.float32
    np.testing.assert_array_equal(a, b)


@KINDS
def test_first_codes_come_from_data(kind):
  z = drawn((4, 5, 6), 0)
  module, variables = make(kind, 100 + drawn((8, 6), 1), count=np.full(8, 7.0))
  start = functools.partial(
    module.apply, method="start", mutable=["params", "codebook"]
  )
  _, started = jax.jit(start)(variables, z, jax.random.key(0))
  codes = np.asarray(codes_of(started))
  rows = {tuple(row) for row in np.asarray(z).reshape(-1, 6)}
  assert {tuple(code) for code in codes} <= rows
  assert len({tuple(code) for code in codes}) == 8
  np.testing.assert_array_equal(started["codebook"]["count"], np.ones(8))
  if kind is EMAQuantizer:
    np.testing.assert_array_equal(started["codebook"]["sum"], codes)


def test_ema_update_against_the_paper():
  """Equations 6 to 8 of arXiv 1711.00937, appendix A.1, over six steps."""
  k, d, decay = 6, 3, 0.8
  module, variables = make(
    EMAQuantizer, drawn((k, d), 1), codebook_ema=decay, revive_below=0.0
  )
  e = np.asarray(codes_of(variables), np.float64)
  n, m = np.ones(k), e.copy()
  train = jax.jit(
    lambda v, z: module.apply(
      v, z, True, mutable=["codebook"], rngs={"codes": jax.random.key(0)}
    )
  )
  for step in range(6):
    z = drawn((50, d), 10 + step)
    x = np.asarray(z, np.float64)
    ids = nearest(x, e)
    for i in range(k):
      n[i] = decay * n[i] + (1 - decay) * (ids == i).sum()
      m[i] = decay * m[i] + (1 - decay) * x[ids == i].sum(axis=0)
      e[i] = m[i] / n[i]
    out, variables = train(variables, z)
    np.testing.assert_array_equal(out.ids, ids)
    book = variables["codebook"]
    np.testing.assert_allclose(book["count"], n, rtol=1e-5)
    np.testing.assert_allclose(book["sum"], m, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(book["vectors"], e, rtol=1e-4, atol=1e-5)


def test_ema_looks_up_before_it_updates():
  codes, z = drawn((6, 3), 1), drawn((50, 3), 0)
  module, variables = make(EMAQuantizer, codes, codebook_ema=0.1)
  train = functools.partial(module.apply, train=True, mutable=["codebook"])
  out, changed = jax.jit(train)(variables, z, rngs={"codes": jax.random.key(0)})
  new = np.asarray(changed["codebook"]["vectors"])
  ids = nearest(np.asarray(z), np.asarray(codes))
  # Else the test could not tell the two codebooks apart.
  assert (nearest(np.asarray(z), new) != ids).any()
  np.testing.assert_array_equal(out.ids, ids)
  np.testing.assert_allclose(
    out.vectors, np.asarray(codes)[ids], rtol=1e-5, atol=1e-6
  )
  assert np.abs(np.asarray(codes)[ids] - new[ids]).max() > 0.1


def test_ema_changes_only_in_training_and_when_mutable():
  codes, z = drawn((6, 3), 1), drawn((50, 3), 0)
  module, variables = make(EMAQuantizer, codes)
  # Immutable: needs no rng, and Flax would refuse a change.
  module.apply(variables, z, train=True)
  _, same = module.apply(variables, z, train=False, mutable=["codebook"])
  for name, value in variables["codebook"].items():
    np.testing.assert_array_equal(same["codebook"][name], value)


def test_ema_statistics_are_linear_in_the_batch():
  """Twice the batch on twice the running statistics: the same codes."""
  codes, z = drawn((6, 3), 1), drawn((30, 3), 0)
  ids = nearest(np.asarray(z), np.asarray(codes))
  options = {"codebook_ema": 0.7, "revive_below": 0.0}
  module, variables = make(EMAQuantizer, codes, np.arange(1.0, 7), **options)
  once = update(module, variables, z, ids)["codebook"]
  module, variables = make(
    EMAQuantizer, codes, 2 * np.arange(1.0, 7), **options
  )
  twice = update(
    module, variables, jnp.concatenate([z, z]), np.concatenate([ids, ids])
  )["codebook"]
  np.testing.assert_allclose(twice["count"], 2 * once["count"], rtol=1e-6)
  np.testing.assert_allclose(
    twice["vectors"], once["vectors"], rtol=1e-5, atol=1e-6
  )


COUNT = np.array([100.0, 1.0, 60.0, 2.0, 80.0])
DECAY = 0.9
LIVE, DEAD = [0, 2, 4], [1, 3]


def revival(kind, revive_below):
  """Variables before and after a step that no dead code is chosen in."""
  codes, z = drawn((5, 3), 1), drawn((30, 3), 0)
  ids = np.array(LIVE * 10)
  module, before = make(
    kind, codes, COUNT, codebook_ema=DECAY, revive_below=revive_below
  )
  return module, before, update(module, before, z, ids), z, ids


@KINDS
def test_revival_replaces_code_count_and_sum_together(kind):
  _, before, after, z, ids = revival(kind, 0.1)
  _, _, plain, _, _ = revival(kind, 0.0)
  running = DECAY * COUNT + (1 - DECAY) * np.bincount(ids, minlength=5)
  expected = running.copy()
  expected[DEAD] = running.mean()
  np.testing.assert_allclose(after["codebook"]["count"], expected, rtol=1e-6)
  codes = np.asarray(codes_of(after))
  rows = {tuple(row) for row in np.asarray(z)}
  assert all(tuple(codes[i]) in rows for i in DEAD)
  assert len({tuple(codes[i]) for i in DEAD}) == 2
  np.testing.assert_array_equal(codes[LIVE], codes_of(plain)[LIVE, :])
  if kind is EMAQuantizer:
    total = np.asarray(after["codebook"]["sum"])
    np.testing.assert_allclose(
      total[DEAD], codes[DEAD] * running.mean(), rtol=1e-6
    )
    np.testing.assert_array_equal(
      total[LIVE], plain["codebook"]["sum"][LIVE, :]
    )
  else:
    np.testing.assert_array_equal(codes[LIVE], codes_of(before)[LIVE, :])


@KINDS
def test_a_revived_code_survives_the_next_steps(kind):
  module, _, variables, z, ids = revival(kind, 0.1)
  revived = np.asarray(codes_of(variables))[DEAD]
  for step in range(5):
    variables = update(module, variables, z + step, ids, seed=step + 1)
    np.testing.assert_allclose(
      np.asarray(codes_of(variables))[DEAD], revived, rtol=1e-5
    )


@KINDS
def test_nothing_is_replaced_without_revival(kind):
  _, before, after, _, ids = revival(kind, 0.0)
  np.testing.assert_allclose(
    np.asarray(codes_of(after))[DEAD],
    np.asarray(codes_of(before))[DEAD],
    rtol=1e-5,
  )
  running = DECAY * COUNT + (1 - DECAY) * np.bincount(ids, minlength=5)
  np.testing.assert_allclose(after["codebook"]["count"], running, rtol=1e-6)


@pytest.mark.parametrize("count", [0.0, 1e-37, 1e-33])
def test_a_code_whose_count_vanished_keeps_its_vector(count):
  codes, z = drawn((3, 2), 1), drawn((4, 2), 0)
  module, variables = make(
    EMAQuantizer, codes, [1.0, count, 1.0], revive_below=0.0
  )
  for _ in range(3):
    variables = update(module, variables, z, np.array([0, 2, 0, 2]))
  np.testing.assert_allclose(codes_of(variables)[1], codes[1], rtol=1e-4)
