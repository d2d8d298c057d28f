"""Settings of a study, and one seed of it without any training."""

import dataclasses

import numpy as np
import pytest
from study_cases import schedule, settings

from vqvae_jax.config import BaselineConfig, StudyConfig
from vqvae_jax.errors import ConfigError, DataError, RunError
from vqvae_jax.study import images, trials
from vqvae_jax.study import seed as one_seed
from vqvae_jax.study.arms import GeneratorSpec, arms
from vqvae_jax.study.images import Images


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    (
      {"primary": "ae"},
      "--primary ae is not one of --generators vqvae vae dcgan",
    ),
    ({"real_shares": (1.0,)}, "--real-shares 1.0 must be above 0 and below"),
    ({"generators": ("vae", "vae")}, "names a value twice"),
    ({"seeds": 0}, "--seeds 0 must be at least 1"),
    ({"sweep": (0, 2)}, "--sweep 0 must be at least 1"),
    ({"sweep": (2, 1, 2)}, "--sweep 2 1 2 names a value twice"),
    # Of a generator that is not the first.
    ({"baseline": BaselineConfig(patience=3)}, "--baseline.patience 3"),
  ],
)
def test_bad_settings(changes, message):
  with pytest.raises(ConfigError, match=message):
    StudyConfig(**changes)


def test_beta_is_for_the_beta_vae_alone():
  config = StudyConfig(
    generators=("vae", "beta_vae"), baseline=BaselineConfig(beta=8.0)
  )
  assert config.run_config(0, "", "beta_vae").baseline.beta == 8
  assert config.run_config(0, "", "vae").baseline.beta is None


def test_other_images_are_refused(dataset, tmp_path, monkeypatch):
  config = settings(dataset, tmp_path)
  arguments = config, 0, tmp_path, schedule()
  data = one_seed.Seed(*arguments).data
  assert not list(tmp_path.iterdir())
  one_seed.Seed(*arguments).begin()
  assert one_seed.Seed(*arguments).data.spec == data.spec
  other = dataclasses.replace(data.spec, digest="another")
  monkeypatch.setattr(
    images, "load_data", lambda *_: dataclasses.replace(data, spec=other)
  )
  with pytest.raises(RunError, match="begun with other images"):
    one_seed.Seed(*arguments).data  # noqa: B018


def test_quick_shortens_and_never_lengthens():
  base = StudyConfig(quick=True, num_synthetic=100, seeds=5)
  quick = base.resolved()
  assert (quick.num_synthetic, quick.seeds) == (100, 2)
  assert quick.classifiers == ("simple",)
  for name in ("tokenizer", "prior", "baseline"):
    assert getattr(quick, name).steps < getattr(base, name).steps
  assert quick.classifier_steps < base.classifier_steps
  slow = dataclasses.replace(base, quick=False)
  # The first generator is the primary one.
  assert slow.resolved() == dataclasses.replace(slow, primary="vqvae")


def test_parts_of_the_arms():
  rng = np.random.default_rng(0)

  def images(count):
    pixels = rng.integers(0, 255, (count, 4, 4, 1)).astype(np.uint8)
    return Images(pixels, np.arange(count) % 3)

  real, made = images(6), images(9)
  found = {
    arm.name: dataclasses.replace(arm, real_share=0.25).parts(
      real, made if arm.generator else None, repeated=15
    )
    for arm in arms([GeneratorSpec("vae")], 2.0, "light")
  }
  assert [len(p.labels) for p in found["repeated"]] == [15]
  assert found["vae"][0].images is made.images
  assert [p.share for p in found["real+vae"]] == [0.25, 0.75]
  assert [p.augment for p in found["real+vae"]] == ["none", "none"]
  assert [p.augment for p in found["classical+vae"]] == ["light", "light"]
  assert found["classical"][0].augment == "light"
  assert found["real"][0].augment == "none"


def test_arms_have_names_and_files_of_their_own():
  specs = [GeneratorSpec.parse(name) for name in ("vqvae", "vqvae-mix")]
  assert specs == [GeneratorSpec("vqvae"), GeneratorSpec("vqvae", "mix")]
  assert [spec.name for spec in specs] == ["vqvae", "vqvae-mix"]
  found = arms(specs, 2.5, "light")
  assert " ".join(arm.name for arm in found) == (
    "real classical repeated vqvae real+vqvae classical+vqvae vqvae-mix "
    "real+vqvae-mix classical+vqvae-mix"
  )
  found += arms(specs, 1.0, "strong")
  found += [dataclasses.replace(arm, real_share=0.5) for arm in found]
  # Real images are the same at any multiplier, and have no share alone.
  assert len({arm.slug for arm in found}) == 1 + 2 + 2 + 2 * 2 * (1 + 2 * 2)


def test_the_tuned_classifier_is_the_most_accurate_candidate(
  dataset, tmp_path, monkeypatch
):
  calls = []

  def trained(self, path, text, spec, *rest):
    calls.append(spec)
    best = spec.weight_decay == 0.5 and not spec.label_smoothing
    return {"accuracy": 0.9 if best else 0.8}

  monkeypatch.setattr(trials.Trials, "_trained", trained)
  config = settings(dataset, tmp_path)
  seed = one_seed.Seed(config, 0, tmp_path, schedule())
  found = trials.Trials(seed)
  chosen, accuracies = found.settings("tuned")
  assert (chosen.weight_decay, chosen.label_smoothing) == (0.5, 0.0)
  assert chosen.steps == config.classifier_steps
  assert list(accuracies.values()) == [0.8, 0.8, 0.8, 0.9]
  assert not found.settings("simple").among
  assert found.settings("tuned") == (chosen, accuracies)
  assert len(calls) == 4


@pytest.mark.parametrize("count", [91, 1000, 10**6])
def test_too_few_images_are_told_by_the_flag_of_the_study(
  dataset, tmp_path, count
):
  seed = one_seed.Seed(
    settings(dataset, tmp_path, num_real=count), 0, tmp_path, schedule()
  )
  with pytest.raises(
    DataError,
    match=rf"^--num-real {count} is more than the 72 images that are "
    "available for training and validation; --num-real=0 takes all of them$",
  ):
    seed.data  # noqa: B018
  few = settings(dataset, tmp_path, num_real=3)
  with pytest.raises(DataError, match="^--num-real 3 leaves .* 6 or more$"):
    one_seed.Seed(few, 0, tmp_path, schedule()).data  # noqa: B018


def test_a_seed_reads_its_images_once_until_it_forgets_them(
  dataset, tmp_path, monkeypatch
):
  reads = []
  true_load = images.load_data
  monkeypatch.setattr(
    images, "load_data", lambda *args: reads.append(1) or true_load(*args)
  )
  seed = one_seed.Seed(settings(dataset, tmp_path), 0, tmp_path, schedule())
  assert seed.real is seed.real
  assert seed.real.images is seed.data["train"].images
  digest = seed.real.digest
  seed.forget()
  assert not {"data", "real", "held_out"} & seed.__dict__.keys()
  assert (seed.num_real, len(reads)) == (45, 1)
  assert seed.real.digest == digest
  assert len(reads) == 2


def test_digest_of_images_is_of_pixels_labels_and_shape():
  images = np.arange(64, dtype=np.uint8).reshape(4, 4, 4, 1)
  labels = np.array([0, 1, 0, 1])
  others = [
    Images(images[::-1], labels),
    Images(images, labels[::-1]),
    Images(images.reshape(4, 2, 8, 1), labels),
    Images(images ^ (np.arange(64) == 40).reshape(images.shape), labels),
  ]
  same = Images(images.copy(), labels.astype(np.int32))
  digests = {x.digest for x in (Images(images, labels), same, *others)}
  assert len(digests) == 5
