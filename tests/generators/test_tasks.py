"""What the two stages measure, warn of and learn from."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from bars import (
  CODES,
  PRIOR,
  SPEC,
  TOKENIZER,
  draw_batch,
  prior_task,
  tokenizer_task,
)

pytestmark = pytest.mark.usefixtures("drawn_weights")


def test_first_codes_are_latents_and_depend_on_the_key():
  # Without k-means, which moves them.
  task = tokenizer_task(dataclasses.replace(TOKENIZER, kmeans=0))
  batch = jax.tree.map(jnp.asarray, draw_batch(0))

  @jax.jit
  def first(key):
    variables = task.init(key, batch)
    latents = task.model.apply(
      variables, batch["image"] / 255, method="latents"
    )
    return latents, variables["codebook"]["quantizer"]["vectors"]

  latents, codes = first(jax.random.key(0))
  latents, codes = np.asarray(latents).reshape(-1, 4), np.asarray(codes)
  distances = np.abs(latents[:, None] - codes).max(axis=-1)
  np.testing.assert_allclose(distances.min(axis=0), 0, atol=1e-6)
  assert len(set(distances.argmin(axis=0))) == CODES
  _, others = first(jax.random.key(1))
  assert np.abs(np.asarray(others) - codes).max() > 1e-3


def test_tokenizer_measures_the_split_and_not_its_padding():
  task = tokenizer_task()
  evaluate = jax.jit(task.evaluate)
  whole = draw_batch(0, size=12)
  variables = task.init(
    jax.random.key(0), jax.tree.map(jnp.asarray, draw_batch(1))
  )
  rows = np.minimum(np.arange(16), 11).reshape(2, 8)
  sums = None
  for places, mask in zip(rows, [np.ones(8), np.arange(8) < 4], strict=True):
    batch = {name: x[places] for name, x in whole.items()}
    part = evaluate(variables, (), batch | {"mask": mask.astype(np.float32)})
    sums = part if sums is None else jax.tree.map(jnp.add, sums, part)
  measured = task.summarize(sums)
  images = whole["image"] / np.float32(255)

  @jax.jit
  def encode_and_decode(variables, images):
    ids = task.model.apply(variables, images, method="encode")
    return ids, task.model.apply(variables, ids, method="decode")

  ids, pixels = encode_and_decode(variables, images)
  mse = ((np.asarray(pixels) - images) ** 2).mean(axis=(1, 2, 3))
  np.testing.assert_allclose(measured["mse"], mse.mean(), rtol=1e-4)
  np.testing.assert_allclose(
    measured["mse_over_variance"], mse.mean() / 0.05, rtol=1e-4
  )
  np.testing.assert_allclose(
    measured["psnr"], (-10 * np.log10(mse)).mean(), rtol=1e-4
  )
  assert measured["loss"] == measured["reconstruction"]
  counts = np.bincount(np.asarray(ids).ravel(), minlength=CODES)
  np.testing.assert_array_equal(sums["codes"], counts[None])
  np.testing.assert_allclose(measured["usage"], (counts > 0).mean(), rtol=1e-6)
  p = counts[counts > 0] / counts.sum()
  np.testing.assert_allclose(
    measured["perplexity"], np.exp(-(p * np.log(p)).sum()), rtol=1e-4
  )
  # A code is in use from its first id on.
  rare = task.summarize(
    sums | {"codes": jnp.zeros((1, CODES)).at[0, 3].set(1.0)}
  )
  np.testing.assert_allclose(rare["usage"], 1 / CODES, rtol=1e-6)
  np.testing.assert_allclose(rare["perplexity"], 1, rtol=1e-6)


@pytest.mark.parametrize(
  ("options", "flag"),
  [
    ({"quantizer": "ema"}, "--tokenizer.codebook-size"),
    ({"quantizer": "ema", "revive_below": 0.0}, "--tokenizer.revive-below"),
    ({"quantizer": "fsq"}, "--tokenizer.levels"),
    ({"quantizer": "lfq"}, "--tokenizer.entropy"),
    ({"quantizer": "gumbel"}, "--tokenizer.divergence"),
  ],
)
def test_unused_codes_are_warned_of(options, flag):
  task = tokenizer_task(dataclasses.replace(TOKENIZER, **options))
  assert task.warning({"codes": np.array([[9, 0, 1, 0]])}) is None
  warning = task.warning({"codes": np.array([[9, 0, 1, 0, 0]])})
  assert "40% of the codes are in use" in warning
  assert flag in warning
  # A short run may not have come to its codes yet.
  assert "first try more --tokenizer.steps" in warning
  longer = tokenizer_task(dataclasses.replace(TOKENIZER, **options, steps=1400))
  assert "steps" not in longer.warning({"codes": np.array([[9, 0, 1, 0, 0]])})
  # Three ids cannot use half of ten codes.
  few = np.array([[1, 1, 1, 0, 0, 0, 0, 0, 0, 0]])
  assert task.warning({"codes": few}) is None


def test_prior_learns_the_ids_of_the_tokenizer():
  task = prior_task()
  batch = jax.tree.map(jnp.asarray, draw_batch(0, size=8))
  params = task.init(jax.random.key(0), batch)["params"]

  @jax.jit
  def run(params, frozen, batch):
    inputs = task.prepare(frozen, batch, jax.random.key(0))
    ids = task.tokenizer.apply(frozen, batch["image"] / 255, method="encode")
    logits = task.model.apply({"params": params}, inputs["ids"], batch["label"])
    mask = jnp.arange(8) < 5
    sums = task.evaluate({"params": params}, frozen, batch | {"mask": mask})
    losses = jax.vmap(lambda key: task.loss(params, {}, inputs, key)[0])(
      jax.random.split(jax.random.key(0))
    )
    return inputs, ids, logits, task.summarize(sums), losses

  inputs, ids, logits, measured, losses = run(params, task.frozen, batch)
  # In raster order.
  np.testing.assert_array_equal(inputs["ids"], np.asarray(ids).reshape(8, 16))
  np.testing.assert_array_equal(inputs["label"], batch["label"])
  log_p = np.asarray(jax.nn.log_softmax(logits))
  chosen = np.take_along_axis(
    log_p, np.asarray(inputs["ids"])[..., None], axis=-1
  )
  nats = -chosen[..., 0].sum(axis=1)
  np.testing.assert_allclose(
    measured["nats_per_image"], nats[:5].mean(), rtol=1e-5
  )
  np.testing.assert_allclose(
    measured["loss"], measured["nats_per_image"] / 16, rtol=1e-6
  )
  # Per id in training, and with dropout.
  np.testing.assert_allclose(losses, np.full(2, nats.mean() / 16), rtol=0.1)
  assert abs(float(losses[0] - losses[1])) > 1e-5


@pytest.mark.parametrize("classes", [3, 1])
def test_labels_are_hidden_where_there_are_some(classes):
  names = SPEC.class_names if classes > 1 else ()
  task = prior_task(
    spec=dataclasses.replace(SPEC, class_names=names),
    config=dataclasses.replace(PRIOR, label_dropout=0.25),
  )
  batch = jax.tree.map(jnp.asarray, draw_batch(0))
  batch["label"] = batch["label"] % classes

  @jax.jit
  def labels(frozen, batch):
    prepare = functools.partial(task.prepare, frozen, batch)
    return jax.vmap(prepare)(jax.random.split(jax.random.key(0), 100))["label"]

  got = np.asarray(labels(task.frozen, batch))
  hidden = got != np.asarray(batch["label"])
  assert (got[hidden] == classes).all()
  expected = 0.25 if classes > 1 else 0
  # Six standard deviations of a share of 1,600 draws.
  assert abs(hidden.mean() - expected) <= 0.065
