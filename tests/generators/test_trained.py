"""`vqvae_jax.load`: arrays in, arrays out."""

import dataclasses
import pickle

import jax.numpy as jnp
import numpy as np
import pytest

import vqvae_jax
from vqvae_jax.data import load_data
from vqvae_jax.errors import ConfigError, RunError
from vqvae_jax.generators import build
from vqvae_jax.generators.vqvae.generator import DEFAULT_GUIDANCE


@pytest.fixture(scope="module")
def model(tiny_run):
  return vqvae_jax.load(tiny_run[0])


@pytest.fixture(scope="module")
def split(model):
  return load_data(model.config)["train"]


def test_encode_takes_pixels_and_floats_alike(model, split):
  ids = model.encode(split.images[:5])
  assert ids.shape == (5, 2, 2)
  assert ids.dtype == np.int32
  assert ids.min() >= 0 and ids.max() < 16
  np.testing.assert_array_equal(ids, model.encode(split.images[:5] / 255))


def test_decoded_ids_are_the_reconstruction(model, split):
  images = split.images[:20] / 255
  tokenizer = model.generator.tokenizer
  out = tokenizer.apply(model.weights["tokenizer"], jnp.asarray(images))
  expected = np.clip(np.asarray(out.outputs) + 0.5, 0, 1)
  others = model.decode(model.encode(images))
  np.testing.assert_allclose(others, expected, atol=1e-5)
  assert others.std() > 0.01


def test_sample_depends_on_seed_and_place_only(model):
  labels = np.array([0, 1, 2, 0, 1])
  images = model.sample(labels, seed=3)
  assert images.shape == (5, 8, 8, 1)
  np.testing.assert_array_equal(images[:2], model.sample(labels[:2], seed=3))
  assert not np.array_equal(images, model.sample(labels, seed=4))


def test_guidance_is_on_by_default_where_labels_were_dropped(model):
  labels = np.array([0, 1, 2, 0, 1])
  images = model.sample(labels)
  guided = model.sample(labels, guidance=DEFAULT_GUIDANCE)
  np.testing.assert_array_equal(images, guided)
  assert not np.array_equal(images, model.sample(labels, guidance=0.0))


@pytest.mark.parametrize("why", ["always labelled", "one class"])
def test_guidance_needs_dropped_labels(model, why):
  spec, config = model.spec, model.config
  if why == "one class":
    spec = dataclasses.replace(spec, class_names=())
  else:
    prior = dataclasses.replace(config.prior, label_dropout=0.0)
    config = dataclasses.replace(config, prior=prior)
  sampling = build(config, spec).sampling
  for asked in ({}, {"guidance": 0.0}):
    assert sampling(asked)["guidance"] == 0.0
  with pytest.raises(ConfigError, match="guidance 1.0 needs labelled images"):
    sampling({"guidance": 1.0})


def test_log_prob_is_of_the_ids_and_normalised_over_codes(model, split):
  labels = split.labels[:6]
  nats = model.log_prob(split.images[:6], labels)
  assert nats.shape == (6,)
  assert (nats < 0).all()
  # A uniform guess costs log 16 for each of the 4 ids; training beats it.
  assert nats.mean() > -4 * np.log(16)


@pytest.mark.parametrize(
  ("call", "message"),
  [
    (lambda m: m.encode(np.zeros((1, 9, 8, 1))), r"\[n, 8, 8, 1\]"),
    (lambda m: m.encode(np.full((1, 8, 8, 1), 7.0)), "neither uint8 nor"),
    (lambda m: m.decode(np.zeros((1, 4), int)), r"\[n, 2, 2\]"),
    (lambda m: m.decode(np.full((1, 2, 2), 16)), r"not all in \[0, 16\)"),
    (lambda m: m.sample(np.array([3])), r"not all in \[0, 3\)"),
    (lambda m: m.sample(np.array([0.5])), "not integers"),
    (lambda m: m.sample(np.array([0]), temperature=np.nan), "temperature nan"),
    (lambda m: m.sample(np.array([0]), guidance=-1.0), "guidance -1.0 is not"),
    (
      lambda m: m.log_prob(np.zeros((2, 8, 8, 1)), np.array([0])),
      "2 images but 1 labels",
    ),
  ],
)
def test_wrong_arrays_are_named(model, call, message):
  with pytest.raises(ConfigError, match=message):
    call(model)


def test_names_are_labels_and_nothing_gives_nothing(model, split):
  """`[]` and arrays of no rows give empty results of the right shape."""
  drawn = model.sample(["2", "0"], seed=3)
  np.testing.assert_array_equal(drawn, model.sample([2, 0], seed=np.int64(3)))
  labels = split.labels[:6]
  np.testing.assert_array_equal(
    model.log_prob(split.images[:6], [str(label) for label in labels]),
    model.log_prob(split.images[:6], labels),
  )
  for images in ([], np.zeros((0, 8, 8, 1))):
    ids = model.encode(images)
    assert (ids.shape, ids.dtype) == ((0, 2, 2), np.int32)
    nats = model.log_prob(images, [])
    assert (nats.shape, nats.dtype) == ((0,), np.float32)
  for empty in (model.decode(ids), model.decode([]), model.sample([])):
    assert (empty.shape, empty.dtype) == ((0, 8, 8, 1), np.float32)


def test_every_method_refuses_wrong_arguments_with_a_value_error(model):
  image, label = np.zeros((1, 8, 8, 1)), [0]
  wrong = {
    "seed": (-1, 2**31, 1.5, None, "0", True),
    "temperature": (-1, np.nan, np.inf, "1", None, True),
    "top_k": (0, 17, 1.5, "3", True),
    "top_p": (0, 1.5, -1, np.nan, None, "1"),
    "guidance": (-1, np.nan, np.inf, "1", False),
    "decode_steps": (3, 0, "3"),
  }
  calls = [
    lambda name=name, value=value: model.sample(label, **{name: value})
    for name, values in wrong.items()
    for value in values
  ]
  calls += [
    lambda: model.encode(image[0]),
    lambda: model.encode(image * np.nan),
    lambda: model.decode(np.full((1, 2, 2), 1.7)),
    lambda: model.decode(np.ones((1, 2, 2), bool)),
    lambda: model.sample(["cow"]),
    lambda: model.sample("0"),
    lambda: model.log_prob(image, ["cow"]),
    lambda: model.log_prob(image[..., 0], label),
  ]
  for call in calls:
    with pytest.raises(ValueError) as caught:
      call()
    assert isinstance(caught.value, ConfigError)
    assert "\n" not in str(caught.value)


def test_a_model_says_what_it_is_and_can_be_pickled(
  model, tiny_run, monkeypatch
):
  said = repr(model)
  for part in (
    f"<Trained of {model.spec.name}: images 8x8x1, 3 classes (0, 1, 2), ",
    "2x2 ids of 16 codes (ema), transformer prior, ",
    f"step {model.steps['tokenizer']}, from {tiny_run[0]}>",
  ):
    assert part in said
  # By its folder, wherever it was loaded from.
  monkeypatch.chdir(tiny_run[0].parent)
  monkeypatch.setenv("HOME", str(tiny_run[0].parent))
  carried = pickle.dumps(vqvae_jax.load(f"~/{tiny_run[0].name}"))
  assert len(carried) < 1000
  monkeypatch.chdir("/")
  other = pickle.loads(carried)
  assert repr(other) == said
  assert other.digests["tokenizer"] == model.digests["tokenizer"]
  changed = vqvae_jax.load(tiny_run[0])
  changed.steps["tokenizer"] += 1
  with pytest.raises(RunError, match="was pickled at step .*; load it again"):
    pickle.loads(pickle.dumps(changed))
  # The prior may be trained further, too, and alone.
  digest = model.digests["prior"]
  assert pickle.loads(pickle.dumps(model)).digests["prior"] == digest
  changed = vqvae_jax.load(tiny_run[0])
  assert changed.digests["prior"] == digest
  step = changed.steps["prior"]
  changed.steps["prior"] += 1
  with pytest.raises(RunError, match=f"prior weights of step {step}, but"):
    pickle.loads(pickle.dumps(changed))


def test_no_run_folder(tmp_path):
  with pytest.raises(RunError, match="is not a run folder"):
    vqvae_jax.load(tmp_path)
