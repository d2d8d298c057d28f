"""Sampling from a prior: its law, its restrictions, its independence."""

import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqvae_jax import sharding
from vqvae_jax.errors import ArgumentError
from vqvae_jax.priors import (
  MaskGITPrior,
  PixelCNNPrior,
  Sampling,
  TransformerPrior,
  log_prob,
  sample,
)
from vqvae_jax.priors.choice import choose, restrict


def make(num_codes=16, num_classes=4, grid=(3, 3), kind=TransformerPrior):
  model = kind(num_codes, num_classes, grid, layers=2, width=16)
  ids = jnp.zeros((1, grid[0] * grid[1]), jnp.int32)
  params = jax.jit(model.init)(jax.random.key(0), ids, ids[:, 0])["params"]
  # Far enough from even that a class makes a difference.
  params["head"] = jax.tree.map(lambda x: 2 * x, params["head"])
  return model, params


def image_keys(numbers, seed=0):
  fold = jax.vmap(lambda n: jax.random.fold_in(jax.random.key(seed), n))
  return fold(jnp.asarray(numbers))


KINDS = TransformerPrior, PixelCNNPrior


@pytest.fixture(scope="module", params=KINDS)
def prior(request):
  return make(kind=request.param)


def test_temperature_zero_is_argmax_of_uncached_logits(prior):
  model, params = prior
  labels = jnp.arange(4)
  forward = jax.jit(lambda ids: model.apply({"params": params}, ids, labels))
  expected = np.zeros((4, 9), np.int32)
  for t in range(9):
    expected[:, t] = np.argmax(forward(jnp.asarray(expected))[:, t], axis=-1)
  keys = image_keys(range(4))
  got = sample(model, params, keys, labels, Sampling(temperature=0.0))
  np.testing.assert_array_equal(got, expected)
  # The best code is always kept, and of one code the draw is certain.
  for sampling in (
    Sampling(temperature=0.0, top_p=0.5),
    Sampling(top_k=1),
    Sampling(top_p=1e-6),
  ):
    got = sample(model, params, keys, labels, sampling)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("guidance", [0.0, 1.5])
def test_guidance_adds_what_the_class_changes(prior, guidance):
  model, params = prior
  labels = jnp.arange(4)
  any_class = jnp.full(4, model.num_classes)

  @jax.jit
  def guided(ids):
    with_class, without = (
      model.apply({"params": params}, ids, y) for y in (labels, any_class)
    )
    return (1 + guidance) * with_class - guidance * without

  expected = np.zeros((4, 9), np.int32)
  for t in range(9):
    expected[:, t] = np.argmax(guided(jnp.asarray(expected))[:, t], axis=-1)
  guided, plain = (
    sample(
      model,
      params,
      image_keys(range(4)),
      labels,
      Sampling(temperature=0.0, guidance=value),
    )
    for value in (guidance, 0.0)
  )
  np.testing.assert_array_equal(guided, expected)
  assert (plain == expected).all() == (guidance == 0)


def test_known_ids_stay_and_are_seen(prior):
  model, params = prior
  labels = jnp.arange(4)
  known = jax.random.randint(jax.random.key(2), (4, 9), 0, 16)
  mask = jnp.arange(36).reshape(4, 9) % 4 == 0
  got = sample(
    model,
    params,
    image_keys(range(4)),
    labels,
    Sampling(temperature=0.0),
    known=known,
    mask=mask,
  )
  np.testing.assert_array_equal(
    jnp.where(mask, 0, got), jnp.where(mask, 0, known)
  )
  logits = model.apply({"params": params}, got, labels)
  best = logits.argmax(axis=-1)
  np.testing.assert_array_equal(got, jnp.where(mask, best, known))
  assert (best != known).any()


@pytest.mark.parametrize("kind", KINDS)
def test_frequencies_match_log_prob(kind):
  model, params = make(num_codes=3, num_classes=2, grid=(1, 3), kind=kind)
  ids = jnp.array(list(itertools.product(range(3), repeat=3)))
  draws = 20_000
  labels = jnp.arange(draws) % 2
  got = np.asarray(sample(model, params, image_keys(range(draws)), labels))
  for label in range(2):
    probs = np.exp(log_prob(model, params, ids, jnp.full(27, label)))
    assert probs.max() > 3 * probs.min()
    codes = got[label::2] @ np.array([9, 3, 1])
    counts = np.bincount(codes, minlength=27)
    expected = probs * draws / 2
    chi_square = np.sum((counts - expected) ** 2 / expected)
    # 26 degrees of freedom: mean 26; one in a million lies above 77.
    assert chi_square < 77


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_temperature_scales_the_logits(temperature):
  logits = jnp.array([1.0, 0.0, -1.0, 0.5])
  draws = 20_000
  ids = choose(
    image_keys(range(draws)),
    3,
    jnp.broadcast_to(logits, (draws, 4)),
    temperature,
  )
  expected = jax.nn.softmax(logits / temperature) * draws
  counts = np.bincount(ids, minlength=4)
  # 3 degrees of freedom: one in a million lies above 31.
  assert np.sum((counts - expected) ** 2 / expected) < 31


def test_top_k_keeps_the_k_best():
  logits = jax.random.normal(jax.random.key(0), (50, 20))
  for k in (1, 3, 20):
    kept = np.isfinite(restrict(logits, 1.0, k, None))
    assert (kept.sum(axis=1) == k).all()
    order = np.argsort(-np.asarray(logits), axis=1)
    assert np.take_along_axis(kept, order[:, :k], axis=1).all()
  ids = choose(image_keys(range(50)), 0, logits, 5.0, top_k=3)
  ranks = np.argmax(order == np.asarray(ids)[:, None], axis=1)
  assert set(ranks) == {0, 1, 2}


@pytest.mark.parametrize("top_k", [None, 6])
@pytest.mark.parametrize("temperature", [0.7, 1.0, 3.0])
def test_top_p_keeps_the_smallest_sufficient_set(temperature, top_k):
  logits = np.asarray(jax.random.normal(jax.random.key(0), (30, 20))) * 2
  for p in (0.05, 0.5, 0.9):
    kept = np.isfinite(restrict(jnp.asarray(logits), temperature, top_k, p))
    for row, mask in zip(logits, kept, strict=True):
      order = np.argsort(-row)[:top_k]
      probs = np.exp(row[order].astype(float) / temperature)
      probs /= probs.sum()
      size = np.searchsorted(np.cumsum(probs), p) + 1
      assert set(np.flatnonzero(mask)) == set(order[:size])


def test_top_p_takes_the_temperature_to_zero_without_nan():
  logits = jnp.array([[3.0, 2.999999, -1e30, 5.0]])
  kept = restrict(logits, 0.0, None, 0.99)
  np.testing.assert_array_equal(kept, [[-np.inf, -np.inf, -np.inf, 5.0]])


def test_restrictions_reach_the_samples(prior):
  model, params = prior
  keys, labels = image_keys(range(64)), jnp.arange(64) % 4
  free = sample(model, params, keys, labels, Sampling(temperature=3.0))
  for options in (dict(top_k=2), dict(top_p=0.3)):
    sampling = Sampling(temperature=3.0, **options)
    got = sample(model, params, keys, labels, sampling)
    logits = jax.jit(model.apply)({"params": params}, got, labels)
    allowed = restrict(
      logits.reshape(-1, 16), 3.0, options.get("top_k"), options.get("top_p")
    )
    taken = jnp.take_along_axis(allowed, got.reshape(-1, 1), axis=-1)
    assert jnp.isfinite(taken).all()
    assert jnp.mean(got == free) < 0.5


def test_other_values_do_not_compile_again(prior, monkeypatch):
  model, params = prior
  keys, labels = image_keys(range(3)), jnp.zeros(3, jnp.int32)
  traced = []

  def count(*args):
    traced.append(args)
    return choose(*args)

  monkeypatch.setattr("vqvae_jax.priors.sampling.choose", count)
  first = Sampling(1.0, top_k=3, top_p=0.5, guidance=0.1)
  sample(model, params, keys, labels, first)
  assert traced
  traced.clear()
  sample(model, params, keys, labels, Sampling(0.3, 5, 0.9, guidance=2.0))
  assert not traced


def test_an_image_keeps_its_ids_in_another_place(prior):
  model, params = prior
  numbers = np.arange(13)
  labels = numbers % 4

  def run(numbers, labels):
    keys = image_keys(numbers)
    return np.asarray(sample(model, params, keys, jnp.asarray(labels)))

  first = run(numbers, labels)
  order = np.random.default_rng(0).permutation(13)
  np.testing.assert_array_equal(run(order, labels[order]), first[order])
  # One image beside twelve strangers.
  others = np.where(numbers == 5, 2, numbers + 100)
  got = run(others, np.where(numbers == 5, labels[2], 3))
  np.testing.assert_array_equal(got[5], first[2])
  assert np.mean(np.delete(got, 5, 0) == np.delete(first, 5, 0)) < 0.5


def test_logits_of_a_row_keep_their_bytes_in_another_place(prior):
  model, params = prior
  ids = jax.random.randint(jax.random.key(1), (13, 9), 0, 16)
  labels = jnp.arange(13) % 4
  order = np.random.default_rng(0).permutation(13)

  @jax.jit
  def decode(ids, labels):
    def step(cache, t):
      previous = jax.lax.dynamic_index_in_dim(ids, t - 1, 1, keepdims=False)
      logits, cache = model.apply(
        {"params": params}, previous, labels, t, cache, method="decode_step"
      )
      return cache, logits

    cache = model.init_cache(13)
    return jax.lax.scan(step, cache, jnp.arange(9))[1]

  first = decode(ids, labels)
  moved = decode(ids[order], labels[order])
  np.testing.assert_array_equal(moved, first[:, order])


def test_seed_number_and_label_change_the_image(prior):
  model, params = prior
  labels = jnp.zeros(32, jnp.int32)
  first = sample(model, params, image_keys(range(32)), labels)
  for keys, other in (
    (image_keys(range(32), seed=1), labels),
    (image_keys(range(32, 64)), labels),
    (image_keys(range(32)), labels + 1),
  ):
    got = sample(model, params, keys, other)
    assert jnp.mean(jnp.all(got == first, axis=1)) < 0.1


def test_noise_differs_from_position_to_position():
  logits = jnp.zeros((40, 16))
  keys = image_keys(range(40))
  first, second = choose(keys, 0, logits), choose(keys, 1, logits)
  assert jnp.mean(first == second) < 0.3


def test_a_sharded_batch_gives_the_ids_of_one_device(prior):
  model, params = prior
  mesh = sharding.make_mesh()
  assert mesh.size == 8
  per_device = 5
  numbers = np.arange(8 * per_device)
  labels = numbers % 4
  split, replicated = sharding.split(mesh), sharding.replicated(mesh)
  run = jax.jit(
    lambda params, keys, labels: sample(
      model, params, keys, labels, Sampling(0.9, top_p=0.95)
    ),
    in_shardings=(replicated, split, split),
    out_shardings=split,
  )
  args = (params, image_keys(numbers), jnp.asarray(labels, jnp.int32))
  compiled = run.lower(*args).compile()
  # Each device works on its own rows: nothing is gathered in the loop.
  collectives = r"all-gather|all-reduce|all-to-all|collective-permute"
  assert not re.search(collectives, compiled.as_text())
  got = np.asarray(run(*args))
  for start in range(0, len(numbers), per_device):
    rows = slice(start, start + per_device)
    alone = sample(
      model,
      params,
      image_keys(numbers[rows]),
      jnp.asarray(labels[rows], jnp.int32),
      Sampling(0.9, top_p=0.95),
    )
    np.testing.assert_array_equal(got[rows], alone)


@pytest.mark.parametrize(
  ("options", "message"),
  [
    (dict(temperature=-1.0), "temperature -1.0 is not a finite number from 0"),
    (dict(temperature=float("nan")), "temperature nan is not"),
    (dict(temperature=float("inf")), "temperature inf is not"),
    (dict(temperature="1"), "temperature '1' is not a number"),
    (dict(top_k=0), "top_k 0 is not between 1 and the 16 codes"),
    (dict(top_k=17), "top_k 17 is not between 1 and the 16 codes"),
    (dict(top_k=1.5), "top_k 1.5 is not a whole number"),
    (dict(top_p=0.0), "top_p 0.0 is not above 0 and at most 1"),
    (dict(top_p=1.1), "top_p 1.1 is not"),
    (dict(top_p=float("nan")), "top_p nan is not"),
    (dict(guidance=-0.5), "guidance -0.5 is not a finite number from 0"),
    (dict(guidance=float("nan")), "guidance nan is not"),
    (dict(guidance=float("inf")), "guidance inf is not"),
    (dict(guidance=True), "guidance True is not a number"),
    (dict(decode_steps=2), "decode_steps 2 is for maskgit priors; a Transfo"),
  ],
)
def test_bad_settings_are_named(options, message):
  with pytest.raises(ArgumentError, match=re.escape(message)) as error:
    Sampling(**options).check(TransformerPrior(16, 4, (3, 3)))
  assert "\n" not in str(error.value)


@pytest.mark.parametrize("top_k", [None, 1, 16])
@pytest.mark.parametrize("top_p", [1e-9, 1.0])
@pytest.mark.parametrize("temperature", [0, 0.0, 1, 100.0])
def test_good_settings_pass(temperature, top_k, top_p):
  prior = TransformerPrior(16, 4, (3, 3))
  Sampling(temperature, top_k, top_p).check(prior)
  Sampling(temperature, top_k, top_p, guidance=2.5).check(prior)


@pytest.mark.parametrize("steps", [0, 5])
def test_a_masked_prior_takes_at_most_one_step_for_each_id(steps):
  prior = MaskGITPrior(16, 4, (2, 2))
  Sampling(decode_steps=4).check(prior)
  with pytest.raises(ValueError, match=f"decode_steps {steps} is not a whole"):
    Sampling(decode_steps=steps).check(prior)
