"""The masked prior: its masks, what it may see, how it draws."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqvae_jax.priors import (
  MaskGITPrior,
  Sampling,
  draw_mask,
  mask_ratio,
  sample,
)
from vqvae_jax.priors.sampling import CHOICE_TEMPERATURE


def make(num_codes=12, num_classes=3, grid=(2, 3), **options):
  options = dict(layers=2, width=16, heads=2) | options
  model = MaskGITPrior(num_codes, num_classes, grid, **options)
  ids = jnp.zeros((1, model.length), jnp.int32)
  params = jax.jit(model.init)(jax.random.key(0), ids, ids[:, 0], ids > 0)
  return model, params["params"]


def image_keys(count, seed=0):
  fold = jax.vmap(lambda n: jax.random.fold_in(jax.random.key(seed), n))
  return fold(jnp.arange(count))


def test_masked_ids_are_not_seen_and_others_are():
  model, params = make()
  ids = jnp.array([[7, 2, 9, 0, 4, 11]])
  mask = jnp.array([[True, False, True, False, False, True]])
  run = jax.jit(
    lambda ids: model.apply({"params": params}, ids, jnp.array([1]), mask)
  )
  logits = run(ids)
  for position in range(6):
    changed = run(ids.at[0, position].set(5))
    if mask[0, position]:
      np.testing.assert_array_equal(changed, logits)
    else:
      # From both sides: every logit sees it.
      assert (jnp.abs(changed - logits).max(axis=-1) > 1e-4).all()


def test_masks_are_even_and_have_the_ratio():
  ratio = jnp.array([0.0, 0.01, 0.5, 0.51, 1.0])
  draw = jax.jit(lambda key: draw_mask(key, ratio, 10))
  mask = np.stack([draw(jax.random.key(seed)) for seed in range(200)])
  np.testing.assert_array_equal(
    mask.sum(axis=2), np.tile([0, 1, 5, 6, 10], (200, 1))
  )
  # Each id half of the time: 200 draws, five standard deviations.
  assert np.abs(mask[:, 2].mean(axis=0) - 0.5).max() < 0.18


def test_mask_ratio_is_a_cosine_that_ends_at_zero():
  progress = jnp.array([0.0, 1 / 3, 0.5, 1.0])
  np.testing.assert_allclose(
    mask_ratio(progress), [1, 0.75**0.5, 0.5**0.5, 0], rtol=1e-6
  )


def test_known_ids_stay_and_are_seen():
  model, params = make(grid=(3, 3))
  labels = jnp.array([0, 1, 2, 1])
  known = jax.random.randint(jax.random.key(2), (4, 9), 0, 12)
  mask = jnp.arange(36).reshape(4, 9) % 3 == 0
  draw = jax.jit(
    lambda known: sample(
      model,
      params,
      image_keys(4),
      labels,
      Sampling(temperature=0.0, decode_steps=1),
      known=known,
      mask=mask,
    )
  )
  got = draw(known)
  logits = model.apply({"params": params}, known, labels, mask)
  expected = jnp.where(mask, logits.argmax(axis=-1), known)
  np.testing.assert_array_equal(got, expected)
  # Ids under the mask do not matter.
  np.testing.assert_array_equal(draw(jnp.where(mask, 0, known)), got)


def test_one_step_draws_every_id_by_itself():
  model, params = make()
  labels = jnp.array([0, 1, 2, 1])
  nothing = jnp.zeros((4, 6), jnp.int32)
  logits = model.apply({"params": params}, nothing, labels, nothing == 0)
  sampling = Sampling(temperature=0.0, decode_steps=1)
  got = sample(model, params, image_keys(4), labels, sampling)
  np.testing.assert_array_equal(got, logits.argmax(axis=-1))


def test_frequencies_of_two_ids_in_two_steps():
  """The surer of two draws stays, up to noise; the other is drawn again."""
  model, params = make(num_codes=3, num_classes=2, grid=(1, 2))
  # Surer, so that the order matters.
  params["head"] = jax.tree.map(lambda x: 3 * x, params["head"])
  draws = 20_000
  labels = jnp.arange(draws) % 2
  got = np.asarray(
    sample(model, params, image_keys(draws), labels, Sampling(decode_steps=2))
  )
  pairs = jnp.array(list(itertools.product(range(3), repeat=2)))

  @jax.jit
  def log_p(label, mask):
    mask = jnp.tile(jnp.array([mask]), (9, 1))
    logits = model.apply({"params": params}, pairs, jnp.full(9, label), mask)
    return jax.nn.log_softmax(logits)

  for label in range(2):
    first, second = np.asarray(log_p(label, [True, True]))[0]
    given_first = np.exp(log_p(label, [False, True]))[::3, 1]
    given_second = np.exp(log_p(label, [True, False]))[:3, 0]
    expected = np.zeros((3, 3))
    for a, b in itertools.product(range(3), repeat=2):
      # The difference of two Gumbel draws is logistic.
      noise = CHOICE_TEMPERATURE / 2
      stays = 1 / (1 + np.exp((second[b] - first[a]) / noise))
      both = np.exp(first[a] + second[b])
      expected[a] += both * stays * given_first[a]
      expected[:, b] += both * (1 - stays) * given_second[b]
    codes = got[label::2] @ np.array([3, 1])
    counts = np.bincount(codes, minlength=9)
    expected = expected.ravel() * draws / 2
    assert expected.max() > 2 * expected.min()
    chi_square = np.sum((counts - expected) ** 2 / expected)
    # 8 degrees of freedom: one in a million lies above 43.
    assert chi_square < 43


@pytest.mark.parametrize("guidance", [0.0, 1.5])
def test_guidance_adds_what_the_class_changes(guidance):
  model, params = make()
  labels = jnp.array([0, 1, 2, 1])
  nothing = jnp.zeros((4, 6), jnp.int32)
  with_class, without = (
    model.apply({"params": params}, nothing, y, nothing == 0)
    for y in (labels, jnp.full(4, 3))
  )
  expected = (1 + guidance) * with_class - guidance * without
  sampling = Sampling(temperature=0.0, guidance=guidance, decode_steps=1)
  got = sample(model, params, image_keys(4), labels, sampling)
  np.testing.assert_array_equal(got, expected.argmax(axis=-1))


def test_rows_depend_on_their_key_and_label_alone():
  model, params = make(grid=(3, 3))
  labels = jnp.array([0, 1, 2, 1, 0, 2])
  keys = image_keys(6)
  got = sample(model, params, keys, labels)
  order = np.array([3, 1, 5, 0, 2, 4])
  moved = sample(model, params, keys[order], labels[order])
  np.testing.assert_array_equal(moved, got[order])
  assert len(np.unique(got, axis=0)) == 6
