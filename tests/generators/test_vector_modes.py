"""Autoencoders and DCGAN in the batch job: what images depend on."""

import dataclasses
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from job_cases import files
from PIL import Image

import vqvae_jax
from vqvae_jax.config import BaselineConfig, SampleConfig
from vqvae_jax.data import load_data
from vqvae_jax.errors import ConfigError
from vqvae_jax.generators import load, starts
from vqvae_jax.generators.autoencoder import walk as walks
from vqvae_jax.generators.autoencoder.network import class_gaussians
from vqvae_jax.sharding import make_mesh


@pytest.fixture(scope="module")
def runs(dataset, tmp_path_factory):
  """Trains each model once, when it is asked for."""
  found = {}

  def run(model):
    if model not in found:
      folder = tmp_path_factory.mktemp("runs") / model
      settings = BaselineConfig(
        latent_dim=3,
        hidden=8,
        steps=60,
        learning_rate=1e-2,
        warmup_steps=2,
        eval_every=30,
      )
      tiny.run(tiny.config(dataset, folder, model=model, baseline=settings))
      found[model] = folder
    return found[model]

  return run


def settings(run, out, **changes):
  base = SampleConfig(
    workdir=str(run), out=str(out), num_images=24, batch_size=1, shard_size=10
  )
  return dataclasses.replace(base, **changes)


def images_of(out):
  """In the order of their numbers, as floats."""
  paths = sorted(
    (pathlib.Path(out) / "images").rglob("*.png"), key=lambda p: p.name
  )
  return np.stack([np.asarray(Image.open(p)) for p in paths])[..., None] / 255


@pytest.mark.parametrize("model", ["ae", "vae", "dcgan"])
def test_workers_make_the_set_of_one(model, runs, tmp_path):
  one = settings(runs(model), tmp_path / "one")
  tiny.sample(one)
  made = files(one.out)
  assert list(made) == sorted(f"{n % 3}/{n:08d}.png" for n in range(24))
  # In other shards, the last one first, and fewer of them.
  two = dataclasses.replace(one, out=str(tmp_path / "two"), shard_size=7)
  for worker in ("1/2", "0/2"):
    tiny.sample(dataclasses.replace(two, worker=worker))
  assert files(two.out) == made
  fewer = dataclasses.replace(one, out=str(tmp_path / "few"), num_images=9)
  tiny.sample(fewer)
  assert files(fewer.out) == {name: made[name] for name in files(fewer.out)}
  # And it is what the object draws.
  loaded = vqvae_jax.load(runs(model))
  drawn = loaded.sample(np.arange(24) % 3)
  np.testing.assert_allclose(images_of(one.out), drawn, atol=0.0041)
  other = loaded.sample(np.arange(24) % 3, seed=1)
  assert (other != drawn).any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize("model", ["vae", "ae"])
def test_samples_show_their_class(model, runs):
  loaded = vqvae_jax.load(runs(model))
  labels = np.arange(60) % 3
  images = loaded.sample(labels)
  # Bars stand in the rows 2 c to 2 c + 2.
  rows = images.mean(axis=(2, 3))
  bands = np.stack([rows[:, 2 * c : 2 * c + 3].sum(1) for c in range(3)], 1)
  assert (bands.argmax(axis=1) == labels).mean() > 0.8


def test_temperature_is_the_spread_of_the_latents(runs):
  vae = vqvae_jax.load(runs("vae"))
  labels = np.zeros(8, int)
  cold = vae.sample(labels, temperature=0.0)
  expected = vae.decode(np.zeros((8, 3)), labels)
  np.testing.assert_allclose(cold, expected, atol=0.0021)
  ae = vqvae_jax.load(runs("ae"))
  train = load_data(ae.config)["train"]
  latents = ae.encode(train.images, train.labels)
  means, factors = class_gaussians(latents, train.labels, 3)
  cold = ae.sample(np.arange(3), temperature=0.0)
  np.testing.assert_allclose(cold, ae.decode(means, np.arange(3)), atol=0.003)
  # At 1, the latents have the class's mean and covariance.
  fitted = ae._fitted
  np.testing.assert_allclose(fitted[0], means, atol=1e-4)
  np.testing.assert_allclose(fitted[1], factors, atol=1e-3)


def test_fewer_devices_fit_the_same_gaussians(runs):
  one = vqvae_jax.load(runs("ae"))
  other = load(runs("ae"), make_mesh(jax.devices()[:1]))
  for model in (one, other):
    model.sampler()
  jax.tree.map(np.testing.assert_array_equal, one._fitted, other._fitted)


@pytest.mark.parametrize("model", ["ae", "vae"])
def test_reconstructions_are_of_validation_images(model, runs, tmp_path):
  tiny.sample(settings(runs(model), tmp_path, mode="reconstruct"))
  loaded = vqvae_jax.load(runs(model))
  split = load_data(loaded.config)["validation"]
  got = images_of(tmp_path)
  assert got.shape == (len(split), 8, 8, 1)
  others = loaded.reconstruct(split.images, split.labels)
  np.testing.assert_allclose(got, others, atol=0.003)
  # Which they are of is on record.
  lines = (tmp_path / "sources.jsonl").read_text().splitlines()
  assert [json.loads(line)["sources"] for line in lines] == [
    [{"index": n}] for n in range(len(split))
  ]


def test_walks_start_at_training_images_of_the_class(runs, tmp_path):
  short = settings(
    runs("vae"), tmp_path / "a", mode="walk", walk_steps=1, step_size=1e-6
  )
  tiny.sample(short)
  loaded = vqvae_jax.load(runs("vae"))
  split = load_data(loaded.config)["train"]
  others = loaded.reconstruct(split.images, split.labels)
  for n, image in enumerate(images_of(short.out)):
    of_class = others[split.labels == n % 3]
    assert np.abs(of_class - image).max(axis=(1, 2, 3)).min() < 0.004
  long = dataclasses.replace(short, out=str(tmp_path / "b"), step_size=0.5)
  tiny.sample(long)
  away = np.sqrt(
    ((images_of(long.out) - images_of(short.out)) ** 2).sum(axis=(1, 2, 3))
  )
  # About the step's size along each of three latents, at most.
  assert 0.05 < away.mean() < 2


def test_walks_ask_for_images_of_their_classes_only(
  runs, tmp_path, monkeypatch
):
  true_run_images = starts.run_images

  def without_first_class(*args):
    split = true_run_images(*args)
    split.labels = np.maximum(split.labels, 1)
    return split

  monkeypatch.setattr(starts, "run_images", without_first_class)
  change = {"mode": "walk", "walk_steps": 1, "num_images": 8}
  walk = settings(runs("vae"), tmp_path / "a", labels="1,2", **change)
  tiny.sample(walk)
  assert len(files(walk.out)) == 8
  everything = settings(runs("vae"), tmp_path / "b", **change)
  with pytest.raises(ConfigError, match="--mode walk needs 1 training images"):
    tiny.sample(everything)


def test_steps_have_the_covariance_of_the_inverse_metric():
  """On a linear decoder, whose Jacobian is the same everywhere."""
  rng = np.random.default_rng(0)
  weights = jnp.asarray(rng.normal(size=(5, 7, 3)) * [3.0, 1.0, 0.0])

  def decode(latents):
    return weights @ latents + 2

  start = jnp.asarray(rng.normal(size=3), jnp.float32)
  np.testing.assert_allclose(
    walks.jacobian(decode, start), weights.reshape(35, 3).T, atol=1e-5
  )
  size = 0.2
  # Linear in the noise: the images of the unit vectors say all.
  steps = jnp.stack(
    [walks.pullback_step(decode, start, e, size) for e in jnp.eye(3)], axis=1
  )
  flat = np.asarray(weights).reshape(35, 3)
  expected = size**2 * np.linalg.inv(flat.T @ flat + size**2 * np.eye(3))
  np.testing.assert_allclose(steps @ steps.T, expected, rtol=1e-3, atol=1e-6)
  # What the image does not depend on moves as the prior does.
  np.testing.assert_allclose((steps @ steps.T)[2, 2], 1.0, rtol=1e-3)
  # Covariances of independent steps add up.
  ends = jax.jit(jax.vmap(lambda key: walks.walk(decode, start, key, 4, size)))(
    jax.random.split(jax.random.key(0), 20_000)
  )
  spread = np.cov(np.asarray(ends).T)
  scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
  np.testing.assert_allclose(spread / scale, 4 * expected / scale, atol=0.2)


def test_the_jacobian_goes_through_the_convolutions(runs):
  ae = vqvae_jax.load(runs("ae"))
  label = jnp.array([1])

  def decode(latents):
    weights = ae.weights["baseline"]
    return ae.generator.decode(weights, latents[None], label)[0]

  start = jnp.array([0.3, -0.2, 0.5])
  got = jax.jit(lambda x: walks.jacobian(decode, x))(start)
  step = 1e-2
  for i, row in enumerate(got):
    moved = step * jnp.eye(3)[i]
    slope = (decode(start + moved) - decode(start - moved)) / (2 * step)
    np.testing.assert_allclose(row, slope.ravel(), atol=0.01)
  assert np.abs(got).max() > 0.05


@pytest.mark.parametrize(
  "model, changes, message",
  [
    (
      "vae",
      {"mode": "mix"},
      "--mode mix is not a mode of a vae; it has prior, reconstruct and walk",
    ),
    (
      "ae",
      {"mode": "perturb"},
      "--mode perturb is not a mode of an ae; it has prior and reconstruct$",
    ),
    (
      "dcgan",
      {"mode": "inpaint"},
      "--mode inpaint is not a mode of a dcgan; it has prior$",
    ),
    ("ae", {"mode": "walk"}, "--mode walk is not a mode of an ae"),
    ("dcgan", {"mode": "walk"}, "--mode walk is not"),
    (
      "dcgan",
      {"mode": "reconstruct"},
      "--mode reconstruct is not a mode of a dcgan",
    ),
    (
      "vae",
      {"guidance": 0.5},
      "--guidance 0.5 is not a setting of a vae; it has temperature$",
    ),
    ("vae", {"top_k": 3}, "--top-k 3 is not"),
    ("vae", {"top_p": 0.9}, "--top-p 0.9 is not"),
    ("vae", {"decode_steps": 3}, "--decode-steps 3 is not"),
  ],
)
def test_what_does_not_apply_is_named(model, changes, message, runs, tmp_path):
  with pytest.raises(ConfigError, match=message):
    tiny.sample(settings(runs(model), tmp_path / "out", **changes))
  assert not (tmp_path / "out").exists()


def test_a_vqvae_has_no_walk(tiny_run, tmp_path):
  with pytest.raises(
    ConfigError,
    match="--mode walk is not a mode of a vqvae; it has prior, perturb, mix",
  ):
    tiny.sample(settings(tiny_run[0], tmp_path / "out", mode="walk"))


@pytest.mark.parametrize(
  "call, message",
  [
    (lambda m: m.decode(np.zeros((2, 4)), [0, 0]), r"are not \[n, 3\]"),
    (lambda m: m.encode(np.zeros((2, 9, 8, 1)), [0, 0]), r"\[n, 8, 8, 1\]"),
    (lambda m: m.encode(np.zeros((2, 8, 8, 1)), [0]), "2 images but 1 labels"),
    (lambda m: m.sample(np.array([3])), r"not all in \[0, 3\)"),
    (lambda m: m.sample(np.array([0]), temperature=-1.0), "temperature -1.0"),
  ],
)
def test_wrong_arrays_are_named(call, message, runs):
  with pytest.raises(ConfigError, match=message) as caught:
    call(vqvae_jax.load(runs("vae")))
  assert isinstance(caught.value, ValueError)


def test_names_are_labels_and_nothing_gives_nothing(runs):
  model = vqvae_jax.load(runs("vae"))
  assert repr(model) == (
    f"<Trained of {model.spec.name}: images 8x8x1, 3 classes (0, 1, 2), "
    f"a vae with 3 latents, step {model.steps['baseline']}, from {runs('vae')}>"
  )
  names, positions = ["2", "0"], [2, 0]
  np.testing.assert_array_equal(model.sample(names), model.sample(positions))
  latents = np.eye(2, 3)
  np.testing.assert_array_equal(
    model.decode(latents.tolist(), names), model.decode(latents, positions)
  )
  assert model.encode([], []).shape == (0, 3)
  for empty in (
    model.sample([]),
    model.decode([], []),
    model.reconstruct([], []),
  ):
    assert (empty.shape, empty.dtype) == ((0, 8, 8, 1), np.float32)
  for value in (np.nan, np.inf, "1", None, True):
    with pytest.raises(ValueError, match="temperature"):
      model.sample(names, temperature=value)
  for value in (-1, 2**31, 1.5, None):
    with pytest.raises(ValueError, match="seed"):
      model.sample(names, seed=value)
