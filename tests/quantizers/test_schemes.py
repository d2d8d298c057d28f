"""What each scheme computes, against numpy or a closed form."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqvae_jax.quantizers import (
  FSQ,
  LFQ,
  EMAQuantizer,
  GumbelQuantizer,
  ProductQuantizer,
  Projected,
  ResidualQuantizer,
  SimVQ,
  codebook,
)

BOTH = ["params", "codebook"]


def drawn(shape, seed=0, scale=1.0):
  values = np.random.default_rng(seed).normal(size=shape)
  return jnp.asarray(scale * values, jnp.float32)


def nearest(z, codes):
  return ((z[:, None] - codes[None]) ** 2).sum(axis=-1).argmin(axis=1)


def book(codes):
  """Variables of an `EMAQuantizer` with these codes."""
  return {"vectors": codes, "count": jnp.ones(len(codes)), "sum": codes}


@pytest.mark.parametrize("levels", [(8, 5, 5, 5), (8, 8, 8, 6, 5), (2, 3)])
def test_fsq_reaches_every_code_in_bfloat16(levels):
  # The middle of each level, before tanh: the inverse of the paper's bound.
  axes = []
  for count in levels:
    reach = (count - 1) * (1 + 1e-3) / 2
    offset = 0.5 if count % 2 == 0 else 0.0
    place = np.arange(count) - count // 2
    axes.append(
      np.arctanh((place + offset) / reach) - np.arctanh(offset / reach)
    )
  z = np.array(list(itertools.product(*axes)))
  quantizer = FSQ(levels)
  out = jax.jit(lambda z: quantizer.apply({}, z))(jnp.asarray(z, jnp.bfloat16))
  np.testing.assert_array_equal(np.sort(out.ids), np.arange(np.prod(levels)))
  vectors = quantizer.apply({}, out.ids, method="ids_to_vectors")
  np.testing.assert_array_equal(
    np.asarray(out.vectors, np.float32), vectors.astype(jnp.bfloat16)
  )
  places = np.array(
    list(itertools.product(*[np.arange(n) - n // 2 for n in levels]))
  )
  np.testing.assert_allclose(vectors, places / (np.array(levels) // 2))


def test_fsq_passes_the_gradient_of_the_bound():
  quantizer = FSQ((7,))
  z = jnp.linspace(-2, 2, 9)[:, None]
  got = jax.grad(lambda z: quantizer.apply({}, z).vectors.sum())(z)
  reach = 3 * (1 + 1e-3)
  np.testing.assert_allclose(got, reach / 3 * (1 - np.tanh(z) ** 2), rtol=1e-5)


def test_residual_is_greedy():
  z, codes = drawn((40, 4)), [drawn((9, 4), i + 1, 0.6**i) for i in range(3)]
  quantizer = ResidualQuantizer(9, 4, 3, commitment=0.5)
  values = {"codebook": {f"books_{i}": book(c) for i, c in enumerate(codes)}}
  out = jax.jit(quantizer.apply)(values, z)
  rest, ids, errors = np.asarray(z), [], []
  for level in codes:
    ids.append(nearest(rest, np.asarray(level)))
    rest = rest - np.asarray(level)[ids[-1]]
    errors.append((rest**2).mean())
  np.testing.assert_array_equal(out.ids, np.stack(ids, axis=-1))
  np.testing.assert_allclose(out.vectors, z - rest, atol=1e-5)
  np.testing.assert_allclose(out.loss, 0.5 * np.mean(errors), rtol=1e-5)
  assert errors[0] > errors[1] > errors[2]


def test_residual_dropout_keeps_a_prefix():
  quantizer = ResidualQuantizer(9, 4, 3, quantizer_dropout=0.9)
  z, codes = drawn((200, 4)), [drawn((9, 4), i + 1, 0.6**i) for i in range(3)]
  values = {"codebook": {f"books_{i}": book(c) for i, c in enumerate(codes)}}
  apply = jax.jit(
    lambda z, key: quantizer.apply(values, z, True, rngs={"codes": key})
  )
  out = apply(z, jax.random.key(0))
  parts = np.stack([np.asarray(c)[out.ids[:, i]] for i, c in enumerate(codes)])
  sums = np.cumsum(parts, axis=0)
  match = np.isclose(np.asarray(out.vectors), sums, atol=1e-5).all(axis=-1)
  # Each is the sum of one, two or three levels; of all with probability
  # 0.1 + 0.9 / 3.
  assert match.any(axis=0).all()
  assert abs(match[2].mean() - 0.4) < 0.15
  assert abs(match[0].mean() - 0.3) < 0.15
  # A prefix of the ids decodes to the sum of its levels.
  decode = functools.partial(quantizer.apply, values, method="ids_to_vectors")
  for levels in (1, 2, 3):
    np.testing.assert_allclose(
      decode(out.ids[:, :levels]), sums[levels - 1], atol=1e-5
    )
  for bad in (out.ids[:, :0], jnp.pad(out.ids, ((0, 0), (0, 1)))):
    with pytest.raises(ValueError, match="ids a latent are not 1 to 3"):
      decode(bad)
  # Ids do not depend on it, so the codebooks follow all levels.
  np.testing.assert_array_equal(out.ids, quantizer.apply(values, z).ids)


def test_product_wants_an_id_of_each_group():
  quantizer = ProductQuantizer(9, 4, 2)
  values = {
    "codebook": {f"books_{i}": book(drawn((9, 2), i)) for i in range(2)}
  }
  for count in (1, 3):
    ids = jnp.zeros((5, count), jnp.int32)
    with pytest.raises(ValueError, match=f"^{count} ids a latent are not one"):
      quantizer.apply(values, ids, method="ids_to_vectors")


def test_shared_residual_counts_all_levels_together():
  quantizer = ResidualQuantizer(
    5, 3, 2, shared_codebook=True, codebook_ema=0.0, revive_below=0.0
  )
  z, codes = drawn((30, 3)), drawn((5, 3), 1)
  values = {"codebook": {"books_0": book(codes)}}
  ids = quantizer.apply(values, z).ids
  _, changed = quantizer.apply(
    values, z, ids, jax.random.key(0), method="update", mutable=BOTH
  )
  got = changed["codebook"]["books_0"]
  rest = np.asarray(z) - np.asarray(codes)[ids[:, 0]]
  rows, flat = np.concatenate([z, rest]), np.asarray(ids).T.ravel()
  np.testing.assert_allclose(got["count"], np.bincount(flat, minlength=5))
  for i in set(flat):
    np.testing.assert_allclose(
      got["vectors"][i], rows[flat == i].mean(axis=0), rtol=1e-4, atol=1e-5
    )


def test_product_quantizes_each_group_alone():
  z, codes = drawn((40, 6)), [drawn((7, 3), 1), drawn((7, 3), 2)]
  quantizer = ProductQuantizer(7, 6, 2, commitment=0.5)
  values = {"codebook": {f"books_{i}": book(c) for i, c in enumerate(codes)}}
  out = jax.jit(quantizer.apply)(values, z)
  for i, part in enumerate((z[:, :3], z[:, 3:])):
    expected = nearest(np.asarray(part), np.asarray(codes[i]))
    np.testing.assert_array_equal(out.ids[:, i], expected)
  error = np.mean((np.asarray(z) - np.asarray(out.vectors)) ** 2)
  np.testing.assert_allclose(out.loss, 0.5 * error, rtol=1e-5)


def test_projected_codes_follow_projected_latents():
  inner = EMAQuantizer(7, 3, codebook_ema=0.0, revive_below=0.0)
  quantizer = Projected(inner, 6)
  z = drawn((40, 6))
  values = quantizer.init(jax.random.key(0), z)
  (kernel, back), (offset, back_offset) = (
    [np.asarray(values["params"][name][part]) for name in values["params"]]
    for part in ("kernel", "bias")
  )
  inner = np.asarray(z) @ kernel + offset
  codes = np.asarray(values["codebook"]["quantizer"]["vectors"])
  out = quantizer.apply(values, z)
  np.testing.assert_array_equal(out.ids, nearest(inner, codes))
  np.testing.assert_allclose(
    out.vectors, codes[out.ids] @ back + back_offset, rtol=1e-5, atol=1e-5
  )
  error = np.mean((inner - codes[out.ids]) ** 2)
  np.testing.assert_allclose(out.loss, 0.25 * error, rtol=1e-5)
  _, changed = quantizer.apply(
    values, z, out.ids, jax.random.key(0), method="update", mutable=BOTH
  )
  got = changed["codebook"]["quantizer"]["vectors"]
  for i in set(np.asarray(out.ids)):
    mean = inner[out.ids == i].mean(axis=0)
    np.testing.assert_allclose(got[i], mean, rtol=1e-4, atol=1e-5)


def test_simvq_learns_its_map_and_nothing_else():
  quantizer, z = SimVQ(9, 4, commitment=0.25), drawn((40, 4))
  values = quantizer.init(jax.random.key(0), z)
  basis, weights = values["codebook"]["basis"], values["params"]["map"]
  codes = np.asarray(basis) @ np.asarray(weights)
  out = quantizer.apply(values, z)
  ids = nearest(np.asarray(z), codes)
  np.testing.assert_array_equal(out.ids, ids)
  error = np.mean((np.asarray(z) - codes[ids]) ** 2)
  np.testing.assert_allclose(out.loss, 1.25 * error, rtol=1e-5)
  got = jax.grad(lambda v: quantizer.apply(v, z).loss)(values)
  # d/dW mean |z - B W|^2, the commitment's share has no gradient there.
  used = np.asarray(basis)[ids]
  expected = 2 * used.T @ (codes[ids] - np.asarray(z)) / z.size
  np.testing.assert_allclose(got["params"]["map"], expected, atol=1e-5)
  # Every code moves, chosen or not.
  moved = np.abs(np.asarray(basis) @ expected).max(axis=1)
  assert (moved > 0).all() and len(set(ids)) < 9


def lfq_entropies(z, bits, sharpness):
  signs = np.array(list(itertools.product([-1, 1], repeat=bits)))[:, ::-1]
  logits = 2 * sharpness * np.asarray(z, np.float64) @ signs.T
  p = np.exp(logits - logits.max(axis=1, keepdims=True))
  p /= p.sum(axis=1, keepdims=True)
  mean = p.mean(axis=0)
  each = -(p * np.log(np.maximum(p, 1e-300))).sum(axis=1).mean()
  return each, -(mean * np.log(np.maximum(mean, 1e-300))).sum()


@pytest.mark.parametrize("count", [3, 256, 700])
def test_lfq_entropies_against_all_codes(count):
  quantizer = LFQ(4, commitment=0.5, entropy=0.3, diversity=2.0, sharpness=0.7)
  z = drawn((count, 4))
  out = jax.jit(lambda z: quantizer.apply({}, z))(z)
  signs = np.where(np.asarray(z) > 0, 1, -1)
  np.testing.assert_array_equal(out.vectors, signs)
  np.testing.assert_array_equal(out.ids, (signs > 0) @ [1, 2, 4, 8])
  each, together = lfq_entropies(z, 4, 0.7)
  expected = 0.5 * np.mean((np.asarray(z) - signs) ** 2)
  expected += 0.3 * (each - 2 * together)
  np.testing.assert_allclose(out.loss, expected, rtol=1e-4)


def test_lfq_gradient_is_finite_where_choices_are_certain():
  quantizer = LFQ(6, sharpness=100.0)
  z = 50 * drawn((20, 6))
  got = jax.grad(lambda z: quantizer.apply({}, z).loss)(z)
  assert np.isfinite(got).all()


def test_gumbel_mixes_in_training_and_chooses_outside():
  quantizer = GumbelQuantizer(7, 4, divergence=0.5, steps=10)
  z = drawn((5000, 4))
  values = quantizer.init(jax.random.key(0), z)
  dense = jax.tree.map(np.float64, values["params"]["to_logits"])
  logits = np.asarray(z) @ dense["kernel"] + dense["bias"]
  codes = np.asarray(values["params"]["vectors"])

  def at(step, train):
    later = {**values, "codebook": {"step": jnp.asarray(step, jnp.int32)}}
    rngs = {"codes": jax.random.key(1)}
    return quantizer.apply(later, z, train, rngs=rngs)

  out = at(0, False)
  np.testing.assert_array_equal(out.ids, logits.argmax(axis=1))
  np.testing.assert_allclose(out.vectors, codes[out.ids], rtol=1e-6)
  for step, temperature, risen in (
    (0, 1, 0),
    (5, 0.53125, 0.5),
    (30, 1 / 16, 1),
  ):
    out = at(step, True)
    np.testing.assert_allclose(out.metrics["temperature"], temperature)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    divergence = (p * np.log(p * 7)).sum(axis=1).mean()
    np.testing.assert_allclose(
      out.loss, 0.5 * risen * divergence, rtol=1e-4, atol=1e-7
    )
  # The relaxed sample's mode is a sample of the softmax: on average, the
  # nearest codes of cold mixtures are as frequent as the softmax says.
  cold = nearest(np.asarray(at(30, True).vectors), codes)
  frequencies = np.bincount(cold, minlength=7) / len(z)
  np.testing.assert_allclose(frequencies, p.mean(axis=0), atol=0.03)
  _, changed = quantizer.apply(
    values, z, out.ids, jax.random.key(0), method="update", mutable=BOTH
  )
  assert changed["codebook"]["step"] == 1


def test_rotation_turns_the_gradient_with_the_latent():
  z, vectors = drawn((6, 5)), drawn((6, 5), 1)
  out = codebook.rotated(z, vectors)
  np.testing.assert_array_equal(out, vectors)
  jacobian = np.asarray(jax.vmap(jax.jacobian(codebook.rotated))(z, vectors))
  length = np.linalg.norm
  for turn, a, b in zip(
    jacobian, np.asarray(z), np.asarray(vectors), strict=True
  ):
    stretch = length(b) / length(a)
    np.testing.assert_allclose(turn @ a, b, atol=1e-5)
    np.testing.assert_allclose(turn.T @ turn, stretch**2 * np.eye(5), atol=1e-5)
    assert np.linalg.det(turn) > 0


def test_random_choice_follows_the_distances():
  codes = jnp.array([[0.0], [1.0], [3.0]])
  z = jnp.full((20000, 1), 0.4)
  ids = codebook.choose_code(z, codes, 0.5, jax.random.key(0))
  # In units of the distance to the nearest.
  weights = np.exp(-np.array([0.16, 0.36, 6.76]) / (0.5 * 0.16))
  frequencies = np.bincount(ids, minlength=3) / len(z)
  np.testing.assert_allclose(frequencies, weights / weights.sum(), atol=0.015)


def test_kmeans_finds_the_clusters():
  centres = np.array([[0, 0], [8, 0], [0, 8], [8, 8]], float)
  z = np.repeat(centres, 100, axis=0)
  z = jnp.asarray(z + 0.3 * np.random.default_rng(0).normal(size=z.shape))
  # From a good start: one latent of each cluster.
  for seed in range(20):
    rows = codebook.draw_latents(jax.random.key(seed), z, 4)
    if len(np.unique(nearest(np.asarray(rows), centres))) == 4:
      break
  codes = codebook.first_codes(jax.random.key(seed), z, 4, 5)
  which = nearest(np.asarray(codes), centres)
  means = np.asarray(z).reshape(4, 100, 2).mean(axis=1)[which]
  np.testing.assert_allclose(codes, means, atol=1e-4)


def test_orthogonality_of_known_codes():
  codes = jnp.array([[2.0, 0.0], [0.0, 3.0], [1.0, 1.0]])
  # Cosines 0, 1/sqrt(2), 1/sqrt(2), each pair twice, over 6 pairs.
  np.testing.assert_allclose(
    codebook.orthogonality_loss(codes), 2 / 6, rtol=1e-6
  )


def test_entropy_loss_of_known_choices():
  sure = 50 * jnp.eye(4)
  np.testing.assert_allclose(codebook.entropy_loss(sure), -np.log(4), atol=1e-6)
  even = jnp.zeros((3, 4))
  np.testing.assert_allclose(codebook.entropy_loss(even), 0, atol=1e-6)
  same = jnp.zeros((3, 4)).at[:, 0].set(50.0)
  np.testing.assert_allclose(codebook.entropy_loss(same), 0, atol=1e-6)
  gradient = jax.grad(codebook.entropy_loss)(1e4 * same)
  assert np.isfinite(gradient).all()
