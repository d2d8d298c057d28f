"""Priors and modes of the batch job that no other test draws from."""

import dataclasses
import json
import pathlib

import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from PIL import Image

import vqvae_jax
from vqvae_jax.config import SampleConfig
from vqvae_jax.data import load_data
from vqvae_jax.errors import ConfigError
from vqvae_jax.generators import starts
from vqvae_jax.generators.starts import StartImages, augmented


def settings(run, out, **changes):
  base = SampleConfig(
    workdir=str(run), out=str(out), num_images=24, batch_size=1
  )
  return dataclasses.replace(base, **changes)


def images_of(out, labels):
  return np.stack(
    [
      np.asarray(Image.open(out / "images" / str(label) / f"{n:08d}.png"))
      for n, label in enumerate(labels)
    ]
  )[..., None]


@pytest.mark.parametrize("kind", ["pixelcnn", "maskgit"])
def test_the_other_priors_train_and_sample(kind, dataset, tmp_path):
  config = tiny.config(dataset, tmp_path / "run")
  prior = dataclasses.replace(config.prior, kind=kind)
  tiny.run(dataclasses.replace(config, prior=prior))
  lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
  losses = [
    entry["validation_loss"]
    for entry in map(json.loads, lines)
    if entry["stage"] == "prior" and "validation_loss" in entry
  ]
  assert losses[-1] < losses[0]
  model = vqvae_jax.load(tmp_path / "run")
  images = load_data(model.config)["validation"].images[:3]
  if kind == "maskgit":
    with pytest.raises(ConfigError, match="maskgit prior has no exact likel"):
      model.log_prob(images, np.zeros(3, int))
    with pytest.raises(
      ConfigError, match="decode_steps 5 is not a whole number from 1 to 4"
    ):
      model.sampler(decode_steps=5)
    few, many = (
      np.asarray(model.sampler(decode_steps=n)(0, 0, np.arange(8) % 3))
      for n in (1, 4)
    )
    assert (few != many).any()
  else:
    assert (model.log_prob(images, np.zeros(3, int)) < 0).all()
    with pytest.raises(ConfigError, match="decode_steps 2 is for maskgit"):
      model.sampler(decode_steps=2)
  tiny.sample(settings(tmp_path / "run", tmp_path / "out"))
  assert (tmp_path / "out" / "manifest.json").exists()


def start_images(run, config, count):
  """The training images that each new image is made of, augmented."""
  model = vqvae_jax.load(run)
  split = load_data(model.config)["train"]
  labels = np.arange(24) % 3
  chosen = StartImages(split, model.spec, config.mode, count)
  rows = [
    chosen.choose(config.seed, n, label)
    for n, label in enumerate(labels.tolist())
  ]
  images = split.images[np.stack(rows, axis=1)]
  moved = [
    np.asarray(
      augmented(
        config.seed, jnp.arange(24), jnp.asarray(some), model.spec.augment
      )
    )
    for some in images
  ]
  return model, images, moved, labels


def test_perturbed_images_are_reconstructions_when_cold(tiny_run, tmp_path):
  run = tiny_run[0]
  cold = settings(run, tmp_path / "cold", mode="perturb", temperature=0.0)
  tiny.sample(cold)
  model, originals, (moved,), labels = start_images(run, cold, 1)
  assert np.abs(moved - originals[0] / 255).mean() > 0.01
  expected = model.decode(model.encode(moved))
  got = images_of(tmp_path / "cold", labels)
  np.testing.assert_allclose(got / 255, expected, atol=0.003)
  # One image, one source: few are taken twice, as of 19 there are.
  assert len(np.unique(originals[0], axis=0)) > 12
  hot = dataclasses.replace(cold, out=str(tmp_path / "hot"), temperature=1.0)
  tiny.sample(hot)
  changed = images_of(tmp_path / "hot", labels) != got
  assert changed.any(axis=(1, 2, 3)).mean() > 0.5


def test_mixed_images_lie_between_two_of_a_class(tiny_run, tmp_path):
  run = tiny_run[0]
  config = settings(run, tmp_path, mode="mix")
  tiny.sample(config)
  model, (first, second), moved, labels = start_images(run, config, 2)
  assert (first != second).any(axis=(1, 2, 3)).all()
  # Of so few in a class all are candidates, and the nearest is the partner.
  train = load_data(model.config)["train"]
  for one, other, label in zip(first, second, labels, strict=True):
    apart = (train.images[train.labels == label] - one.astype(float)) ** 2
    distances = np.sort(apart.sum(axis=(1, 2, 3)))
    assert len(distances) <= 21
    assert ((other - one.astype(float)) ** 2).sum() == distances[1]
  tokenizer = model.generator.tokenizer
  variables = model.weights["tokenizer"]
  latents = [
    np.asarray(tokenizer.apply(variables, jnp.asarray(x), method="latents"))
    for x in moved
  ]
  ids = model.encode(images_of(tmp_path, labels))
  assert ids.shape == (24, 2, 2)
  # Every image is one that some share between a quarter and three gives.
  got = images_of(tmp_path, labels) / 255
  found = np.zeros(24, bool)
  for share in np.linspace(0.25, 0.75, 201, dtype=np.float32):
    mixed = share * latents[0] + (1 - share) * latents[1]
    made = model.decode(
      np.asarray(
        tokenizer.apply(variables, jnp.asarray(mixed), method="quantize")
      )
    )
    found |= np.abs(made - got).max(axis=(1, 2, 3)) < 0.003
  assert found.mean() > 0.95


def test_inpainted_images_keep_the_rest(tiny_run, tmp_path):
  run = tiny_run[0]
  config = settings(run, tmp_path / "some", mode="inpaint", share=0.25)
  tiny.sample(config)
  model, _, (moved,), labels = start_images(run, config, 1)
  kept = model.encode(moved)
  made = images_of(tmp_path / "some", labels) / 255
  # One of the four ids of an image is drawn anew: decoding the others with
  # each code in its place gives the image for one of them.
  size = model.generator.prior.num_codes
  found = np.zeros((24, 4), bool)
  for place in range(4):
    for code in range(size):
      ids = kept.copy().reshape(24, 4)
      ids[:, place] = code
      other = model.decode(ids.reshape(kept.shape))
      found[:, place] |= np.abs(other - made).max(axis=(1, 2, 3)) < 0.003
  assert found.any(axis=1).all()
  # At random places.
  assert (found.mean(axis=0) > 0.05).all()
  everything = dataclasses.replace(
    config, out=str(tmp_path / "all"), share=1.0, num_images=8
  )
  tiny.sample(everything)
  drawn = model.sampler()(0, 0, np.arange(8) % 3)
  np.testing.assert_array_equal(
    images_of(tmp_path / "all", labels[:8]), np.asarray(drawn)
  )


def test_modes_need_enough_images(tiny_run, tmp_path, monkeypatch):
  config = settings(tiny_run[0], tmp_path, mode="mix")
  model = vqvae_jax.load(tiny_run[0])
  split = load_data(model.config)["train"]
  first = np.flatnonzero(split.labels == 1)[0]
  monkeypatch.setattr(
    split, "labels", np.where(np.arange(len(split)) == first, 1, 0)
  )
  monkeypatch.setattr(starts, "run_images", lambda *_: split)
  with pytest.raises(ConfigError, match="needs 2 training images .* 1 has"):
    tiny.sample(config)
  assert not pathlib.Path(config.out, "job.json").exists()
