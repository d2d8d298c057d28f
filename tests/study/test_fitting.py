"""Classifiers are trained on parts in the shares asked for."""

import dataclasses
import os
import signal
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import xlogy

from vqvae_jax.errors import ConfigError, RunError
from vqvae_jax.study import fitting, weights
from vqvae_jax.study.fitting import (
  CLASSIFIERS,
  SIMPLE,
  train_classifier,
)
from vqvae_jax.study.parts import Part, batch_counts


def bars(n, seed=0):
  """Noisy pictures: a bright bar across (0), upright (1), or none (2)."""
  rng = np.random.default_rng(seed)
  labels = np.arange(n) % 3
  images = rng.integers(100, size=(n, 8, 8, 1)).astype(np.uint8)
  for image, label, place in zip(
    images, labels, rng.integers(1, 7, size=n), strict=True
  ):
    if label < 2:
      (image if label == 0 else image.swapaxes(0, 1))[place] = 255
  return images, labels


def train(spec, parts, num_classes, seed, steps, **options):
  spec = dataclasses.replace(spec, steps=steps)
  return train_classifier(spec, parts, num_classes, seed, **options)


def distance(params, others):
  return max(
    float(np.abs(a - b).max())
    for a, b in zip(
      jax.tree.leaves(params), jax.tree.leaves(others), strict=True
    )
  )


@pytest.fixture(scope="module")
def trained():
  """Each classifier after a short training, and its losses."""
  result = {}
  for name, spec in CLASSIFIERS.items():
    losses = []
    params = train(
      spec,
      [Part(*bars(300))],
      3,
      seed=0,
      steps=150,
      on_progress=lambda *args, losses=losses: losses.append(args),
    )
    result[name] = params, losses
  return result


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_learns_what_can_be_told_apart(trained, name):
  params, losses = trained[name]
  assert [step for step, _ in losses] == [50, 100, 150]
  # Smoothed targets leave a loss that no classifier can go below.
  smoothing = CLASSIFIERS[name].label_smoothing
  target = np.eye(3)[0] * (1 - smoothing) + smoothing / 3
  above = [loss + xlogy(target, target).sum() for _, loss in losses]
  assert 0 < above[-1] < 0.3 * above[0]
  images, labels = bars(90, seed=1)
  read = fitting.predict(CLASSIFIERS[name], params, images).argmax(1)
  assert (read == labels).mean() > 0.95


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_logits_are_linear_in_the_features(trained, name):
  params, _ = trained[name]
  images, _ = bars(fitting.READ + 7)
  features = fitting.features(CLASSIFIERS[name], params, images)
  assert features.shape == (len(images), 128)
  assert features.min() >= 0
  logits = fitting.predict(CLASSIFIERS[name], params, images)
  assert logits.dtype == np.float32
  last = jax.device_get(params["logits"])
  np.testing.assert_allclose(
    features @ last["kernel"] + last["bias"], logits, atol=1e-4
  )
  # Rows of the padded rest are those of a batch of their own.
  np.testing.assert_allclose(
    fitting.predict(CLASSIFIERS[name], params, images[-7:]),
    logits[-7:],
    atol=1e-5,
  )


def test_parameters_come_back_from_their_file(trained, tmp_path):
  params, _ = trained["simple"]
  path = tmp_path / "weights.npz"
  weights.save_params(path, params)
  assert [p.name for p in tmp_path.iterdir()] == ["weights.npz"]
  loaded = weights.load_params(path)
  assert jax.tree.structure(loaded) == jax.tree.structure(params)
  assert distance(loaded, params) == 0
  path.write_bytes(path.read_bytes()[:100])
  with pytest.raises(RunError, match="weights.npz holds no parameters"):
    weights.load_params(path)
  with pytest.raises(RunError, match="absent.npz holds no parameters"):
    weights.load_params(tmp_path / "absent.npz")


def test_settings_that_are_tried_share_a_program(monkeypatch):
  calls = []

  def note(program, state, batch, strengths, regularization, key):
    calls.append((program, tuple(regularization.tolist())))
    return state, jnp.zeros(())

  monkeypatch.setattr(fitting, "_train_chunk", note)
  for spec in fitting.CANDIDATES["tuned"]:
    train(spec, [Part(*bars(9))], 3, seed=0, steps=1)
  assert len({program for program, _ in calls}) == 1
  assert {values for _, values in calls} == {
    tuple(np.float32([spec.weight_decay, spec.label_smoothing]).tolist())
    for spec in fitting.CANDIDATES["tuned"]
  }


def test_ctrl_c_is_heard_in_the_middle_of_a_call(monkeypatch):
  busy, over = threading.Event(), threading.Event()
  sent = []

  def compile_for_long(*args):
    busy.set()
    over.wait(120)
    raise ValueError

  def interrupt():
    # On a busy machine the first program alone may take half a minute.
    busy.wait(120)
    sent.append(time.monotonic())
    os.kill(os.getpid(), signal.SIGINT)

  monkeypatch.setattr(fitting, "_train_chunk", compile_for_long)
  threading.Thread(target=interrupt).start()
  try:
    with pytest.raises(KeyboardInterrupt):
      train(SIMPLE, [Part(*bars(9))], 3, seed=0, steps=1)
    assert time.monotonic() - sent[0] < 20
    assert not over.is_set()
  finally:
    over.set()


@pytest.mark.parametrize("side", [8, 28, 29, 64, 256, 1024])
def test_a_call_is_short_enough_to_hear_an_interruption(side):
  chunk = fitting._chunk(64, (side, side, 3))
  assert 1 <= chunk <= 50
  assert chunk == 1 or chunk * 64 * side**2 <= 50 * 64 * 28**2


def test_training_depends_on_the_seed_alone():
  images, labels = bars(60)
  parts = [
    Part(images[:30], labels[:30], 0.5, "strong"),
    Part(images[30:], labels[30:], 0.5),
  ]
  first, again, other = (
    train(SIMPLE, parts, 3, seed, steps=3) for seed in (0, 0, 1)
  )
  assert distance(first, again) == 0
  assert distance(first, other) > 0.01
  swapped = train(SIMPLE, parts[::-1], 3, 0, steps=3)
  assert distance(first, swapped) > 1e-6
  plain = [dataclasses.replace(part, augment="none") for part in parts]
  first = train(SIMPLE, plain, 3, 0, steps=3)
  assert distance(first, swapped) > 1e-6
  for change in ({"weight_decay": 0.5}, {"label_smoothing": 0.1}):
    spec = dataclasses.replace(SIMPLE, **change)
    assert distance(first, train(spec, plain, 3, 0, steps=3)) > 1e-6


@pytest.fixture
def batches(monkeypatch):
  """The arguments of each call of the compiled program, which is not run."""
  calls = []

  def note(program, state, batch, strengths, regularization, key):
    calls.append((program.augmented, *batch, strengths, regularization, key))
    return state, jnp.zeros(())

  monkeypatch.setattr(fitting, "_train_chunk", note)
  return calls


def numbered(n, first):
  """Images whose pixels say which they are."""
  numbers = np.arange(first, first + n, dtype=np.uint8)
  images = np.broadcast_to(numbers[:, None, None, None], (n, 8, 8, 1))
  return images, np.full(n, first // 100)


def test_every_batch_has_the_shares_and_strengths_of_its_parts(batches):
  parts = [
    Part(*numbered(40, 0), 0.25, "strong"),
    Part(*numbered(90, 100), 0.75),
  ]
  train(SIMPLE, parts, 2, seed=0, steps=120)
  assert [len(labels) for _, _, labels, *_ in batches] == [50, 50, 20]
  for augmented, images, labels, strengths, *_ in batches:
    assert augmented
    assert images.shape[1:] == (64, 8, 8, 1)
    np.testing.assert_array_equal(labels, [[0] * 16 + [1] * 48] * len(labels))
    np.testing.assert_array_equal(labels, images[..., 0, 0, 0] // 100)
    np.testing.assert_allclose(
      strengths[:16], [fitting.STRENGTHS["strong"]] * 16, rtol=1e-6
    )
    assert not strengths[16:].any()
  # Keys of dropout and augmentation are of the chunk.
  keys = {jax.random.key_data(key).tobytes() for *_, key in batches}
  assert len(keys) == 3


def test_no_image_comes_again_before_all_others_did(batches):
  parts = [Part(*numbered(40, 0), 0.25), Part(*numbered(90, 100), 0.75)]
  train(SIMPLE, parts, 2, seed=0, steps=120)
  assert not any(augmented for augmented, *_ in batches)
  images = np.concatenate([images for _, images, *_ in batches])
  epochs = []
  for columns, size in ((slice(16), 40), (slice(16, 64), 90)):
    stream = images[:, columns, 0, 0, 0].reshape(-1)
    whole = stream[: len(stream) // size * size].reshape(-1, size)
    assert (np.sort(whole, axis=1) == np.unique(stream)).all()
    assert len(np.unique(stream)) == size
    assert len({epoch.tobytes() for epoch in whole}) == len(whole)
    epochs.append(whole[0])
  # Nor are parts of one size in one order.
  batches.clear()
  same = [Part(*numbered(40, 0)), Part(*numbered(40, 100))]
  train(SIMPLE, same, 2, seed=0, steps=5)
  rows = batches[0][1][..., 0, 0, 0] % 100
  assert (rows[:, :32] != rows[:, 32:]).mean() > 0.9


@pytest.mark.parametrize(
  ("shares", "rows"),
  [
    ([1.0], [64]),
    ([0.5, 0.5], [32, 32]),
    ([1.0, 1.0, 1.0], [22, 21, 21]),
    ([1000.0, 10_000.0], [6, 58]),
    ([0.1, 0.2, 0.7], [6, 13, 45]),
  ],
)
def test_shares_become_rows_of_the_whole_batch(shares, rows):
  parts = [Part(*bars(3), share) for share in shares]
  assert batch_counts(parts, 64) == rows


@pytest.mark.parametrize(
  ("parts", "message"),
  [
    (
      [Part(*bars(3), 1.0), Part(*bars(3), 1000.0)],
      "no image in a batch of 64",
    ),
    ([Part(*bars(3), 0.0)], "not all above 0"),
    ([Part(*bars(3), np.nan)], "not all above 0"),
  ],
)
def test_shares_that_do_not_fit_are_an_error(parts, message):
  with pytest.raises(ConfigError, match=message):
    train(SIMPLE, parts, 3, seed=0, steps=1)


def test_a_loss_that_is_not_finite_is_an_error():
  spec = dataclasses.replace(SIMPLE, learning_rate=1e30)
  with pytest.raises(RunError, match="loss of classifier simple is (nan|inf)"):
    train(spec, [Part(*bars(9))], 3, seed=0, steps=3)
