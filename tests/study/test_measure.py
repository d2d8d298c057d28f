"""What is refused before training, quality checks, the filter, sample grids."""

import dataclasses
import json

import numpy as np
import pytest
import tiny
from rich.console import Console
from study_cases import call, settings

from vqvae_jax.config import BaselineConfig, TokenizerConfig
from vqvae_jax.data import load_data
from vqvae_jax.errors import ConfigError
from vqvae_jax.generators import load
from vqvae_jax.generators.labels import labels_of
from vqvae_jax.pixels import to_uint8
from vqvae_jax.study import generators, measure
from vqvae_jax.study.arms import GeneratorSpec


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    # Of a generator that is not the first.
    ({"baseline": BaselineConfig(batch_size=12)}, "not divisible by the 8"),
    ({"real_shares": (0.5, 0.999)}, "no image in a batch of 64"),
    ({"tokenizer": TokenizerConfig(stride=16)}, "stride"),
  ],
)
def test_what_would_fail_late_is_refused_first(
  dataset, tmp_path, changes, message
):
  with pytest.raises(ConfigError, match=message):
    call(settings(dataset, tmp_path, **changes))
  assert not list(tmp_path.iterdir())


def test_sides_that_a_later_generator_cannot_take(tmp_path):
  dataset = tiny.write_npz(tmp_path / "bars.npz", size=10)
  config = settings(dataset, tmp_path / "study")
  with pytest.raises(ConfigError, match="10x10.*sides divisible by 4"):
    call(config)
  assert not (tmp_path / "study").exists()


def test_images_too_small_for_the_classifiers(tmp_path):
  dataset = tiny.write_npz(tmp_path / "bars.npz", size=6)
  config = settings(
    dataset, tmp_path / "study", generators=("dcgan",), image_size=2
  )
  with pytest.raises(ConfigError, match="2x2|--image-size"):
    call(config)


def test_reconstructions_of_training_images_are_found(tiny_run):
  folder, _ = tiny_run
  model = load(folder)
  rng = np.random.default_rng(0)
  real, other = rng.integers(0, 256, (2, 40, 8, 8, 1)).astype(np.uint8)
  ids = model.encode(real)
  copies = to_uint8(model.decode(ids))
  # Else the test would tell nothing.
  assert (model.encode(copies) != ids).any(axis=(1, 2)).sum() > 10
  assert measure.repeated_ids(folder, real, copies)["training_ids"] == 1
  assert measure.repeated_ids(folder, real, other)["training_ids"] < 0.5


def test_generated_classes_are_as_often_as_real_ones(
  dataset, tmp_path, monkeypatch
):
  drawn = []
  monkeypatch.setattr(generators, "generate", lambda *args: drawn.append(args))
  monkeypatch.setattr(generators, "read_set", lambda out: None)
  spec = load_data(tiny.config(dataset, tmp_path)).spec
  for counts in ((10, 10, 10), (80, 15, 5)):
    spec = dataclasses.replace(spec, class_counts=counts)
    generators.draw(
      GeneratorSpec("vae"), 100, 0, tmp_path / str(counts), spec, Console()
    )
    config, _ = drawn[-1]
    labels = labels_of(config.labels, np.arange(300), spec)
    made = np.bincount(labels) / 300
    np.testing.assert_allclose(made, np.array(counts) / sum(counts), atol=0.01)
    first = labels_of("balanced", np.arange(300), spec)
    assert np.array_equal(labels, first) == (len(set(counts)) == 1)


def test_filter_counts_what_it_drops(dataset, tmp_path):
  config = settings(
    dataset, tmp_path / "study", generators=("vae",), filter=True
  )
  # After four steps classifiers are rarely right: most images are dropped.
  call(config)
  folder = tmp_path / "study/seed-0/quality"
  found = json.loads((folder / "vae-60.json").read_text())
  assert sum(found["dropped"].values()) == len(found["dropped_images"])
  assert 0 <= found["fewest_left"] <= (60 - len(found["dropped_images"])) / 3


def test_a_filter_that_keeps_nothing_leaves_arms_out(
  dataset, tmp_path, monkeypatch
):
  true_select = measure.quality.select

  def select(*args):
    mask, counts = true_select(*args)
    return np.zeros_like(mask), counts

  monkeypatch.setattr(measure.quality, "select", select)
  config = settings(
    dataset, tmp_path / "study", generators=("vae",), filter=True, sweep=(1,)
  )
  text = call(config)
  assert "classical+vae: left out, no generated image passed" in text
  report = (tmp_path / "study/report.md").read_text()
  assert "`classical+vae` and `classical` have no seed in common" in report
  assert "samples_vae" not in report
