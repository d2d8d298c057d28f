"""The registry, and a generator that is added to it."""

import json

import numpy as np
import pytest
import tiny

import vqvae_jax
from vqvae_jax.config import BaselineConfig, Config, SampleConfig, generators
from vqvae_jax.errors import ConfigError
from vqvae_jax.generators import GENERATORS, Generator


def test_every_name_has_a_class_with_the_stages_of_the_table():
  assert list(GENERATORS) == ["vqvae", "ae", "vae", "beta_vae", "dcgan"]
  assert len(GENERATORS) == 5
  for name, kind in GENERATORS.items():
    assert issubclass(kind, Generator)
    assert "prior" in kind.modes
    for stage in generators.stages_of(name):
      assert hasattr(Config(), stage)
  assert generators.all_stages() == ("tokenizer", "prior", "baseline")
  with pytest.raises(ConfigError, match="--model gan is not one of vqvae, ae,"):
    Config(model="gan")


def test_a_new_generator_trains_samples_and_loads(
  dataset, tmp_path, monkeypatch
):
  """What docs/add-a-generator.md says, by the commands' own functions."""
  entry = generators.Registered(("baseline",), "toy:Means")
  monkeypatch.setitem(generators.REGISTERED, "toy", entry)
  settings = BaselineConfig(
    steps=30, learning_rate=0.1, warmup_steps=2, eval_every=10
  )
  config = tiny.config(
    dataset, tmp_path / "run", model="toy", baseline=settings
  )
  screen = tiny.run(config)
  assert "means of classes" in screen
  assert "toy 30/30" in screen
  pictures = {path.name for path in (tmp_path / "run/pictures").iterdir()}
  assert pictures == {"samples.png"}
  # A finished run is continued, and does nothing more.
  model = vqvae_jax.train(config)
  assert "means of classes, step " in repr(model)
  labels = np.arange(3)
  cold = model.sample(labels, temperature=0.0)
  np.testing.assert_allclose(
    cold, model.decode(np.zeros((3, 1)), labels), atol=1 / 500
  )
  # Bars are where the class says, so the means were learned.
  bands = [cold[c, 2 * c : 2 * c + 3].mean() for c in range(3)]
  assert min(bands) > cold.mean() + 0.05
  job = SampleConfig(
    workdir=str(tmp_path / "run"),
    out=str(tmp_path / "out"),
    num_images=9,
    batch_size=1,
  )
  tiny.sample(job)
  manifest = json.loads((tmp_path / "out/manifest.json").read_text())
  assert manifest["about"]["model"] == "toy"
  assert manifest["weights"] == {"baseline": model.digests["baseline"]}
  with pytest.raises(ConfigError, match="--mode mix is not a mode of a toy"):
    tiny.sample(
      SampleConfig(workdir=job.workdir, out=str(tmp_path / "b"), mode="mix")
    )
  with pytest.raises(ConfigError, match="a toy has no exact likelihood"):
    model.log_prob(cold, labels)
