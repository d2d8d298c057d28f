"""A whole tiny study: its files, resuming it, when it reads test images."""

import csv
import dataclasses
import io
import json
import pathlib

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from study_cases import GENERATORS, call, settings

from vqvae_jax.config import BaselineConfig, StudyConfig
from vqvae_jax.errors import ConfigError, RunError
from vqvae_jax.study import generators, run
from vqvae_jax.study import seed as one_seed
from vqvae_jax.study.arms import Arm, Images, arms, parts
from vqvae_jax.study.judges import JUDGES


def table(out):
  with (pathlib.Path(out) / "results.csv").open() as file:
    return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def whole(dataset, tmp_path_factory):
  out = tmp_path_factory.mktemp("studies") / "whole"
  return out, call(settings(dataset, out))


def test_every_arm_is_judged_on_validation_and_on_test_images(whole):
  rows = table(whole[0])
  names = ["real", "classical", "repeated"]
  for generator in GENERATORS:
    names += [generator, f"real+{generator}", f"classical+{generator}"]
  for split in ("validation", "test"):
    found = [row["arm"] for row in rows if row["split"] == split]
    assert sorted(found) == sorted(names)
  columns = "arm generator multiplier judge seed split accuracy"
  assert " ".join(rows[0]) == f"{columns} balanced_accuracy seconds"
  by_name = {row["arm"]: row for row in rows}
  assert float(by_name["vqvae"]["multiplier"]) == pytest.approx(60 / 45)
  assert float(by_name["real"]["multiplier"]) == 0
  # A generated arm costs its generator, too.
  assert float(by_name["vqvae"]["seconds"]) > float(by_name["real"]["seconds"])


def test_report_stands_by_itself(whole):
  out = whole[0]
  assert (out / "report.md").exists()
  page = (out / "report.html").read_text()
  assert "data:image/png;base64," in page
  for generator in GENERATORS:
    assert f"classical+{generator}" in page
  sheets = {path.stem for path in (out / "pictures").glob("sheet_*.png")}
  assert {"sheet_real", "sheet_classical", "sheet_vae"} <= sheets


def test_gates_are_taken_of_all_images(whole):
  found = json.loads((whole[0] / "seed-0/gates/vqvae-60.json").read_text())
  assert found["count"] == 60
  assert 0 <= found["label_agreement"] <= 1
  assert 0 <= found["training_ids"] <= 1
  assert found["dropped"] is None
  others = json.loads((whole[0] / "seed-0/gates/vae-60.json").read_text())
  assert others["duplicate_ids"] is others["training_ids"] is None


def test_finished_study_trains_and_reads_nothing_more(
  whole, dataset, monkeypatch
):
  def no(*args, **kwargs):
    raise AssertionError("called again")

  before = table(whole[0])
  monkeypatch.setattr(one_seed, "train_judge", no)
  monkeypatch.setattr(run, "_read_test", no)
  monkeypatch.setattr(run.inspect, "cross_fit", no)
  call(settings(dataset, whole[0]))
  assert table(whole[0]) == before


def test_interrupted_study_ends_like_one_that_never_stopped(
  whole, dataset, tmp_path, monkeypatch
):
  out = tmp_path / "study"
  true_train, calls = one_seed.train_judge, []

  def train(*args, **kwargs):
    calls.append(1)
    if len(calls) == 9:
      raise KeyboardInterrupt
    return true_train(*args, **kwargs)

  monkeypatch.setattr(one_seed, "train_judge", train)
  with pytest.raises(KeyboardInterrupt):
    call(settings(dataset, out))
  assert not (out / "test.json").exists()
  call(settings(dataset, out))
  # Three strengths, two arms without a generator; of each of two generators one
  # arm of its images alone and two with real ones, at two shares; one twice.
  assert len(calls) == 3 + 2 + 2 * (1 + 2 * 2) + 1

  def scores(folder):
    return [
      {k: v for k, v in row.items() if k != "seconds"} for row in table(folder)
    ]

  assert scores(out) == scores(whole[0])


def test_test_images_wait_for_the_last_command(dataset, tmp_path, monkeypatch):
  seen = []
  true_load = run.load_data

  def load(config, splits=("train", "validation")):
    seen.append(splits)
    return true_load(config, splits)

  monkeypatch.setattr(run, "load_data", load)
  config = settings(dataset, tmp_path / "study", generators=("vae",))
  call(dataclasses.replace(config, test=False))
  assert seen == []
  assert {row["split"] for row in table(config.out)} == {"validation"}
  call(config)
  call(config)
  assert seen == [("train", "validation", "test")]


def test_a_folder_with_patients_two_seeds_and_a_sweep(tmp_path):
  rng = np.random.default_rng(0)
  # Three images of each patient.
  for n in range(90):
    folder = tmp_path / "set" / ("sick" if n % 2 else "well")
    folder.mkdir(parents=True, exist_ok=True)
    pixels = rng.integers(0, 100, (8, 8)) + 100 * (n % 2)
    image = Image.fromarray(pixels.astype(np.uint8))
    image.save(folder / f"{n // 6:03d}_{n}.png")
  config = settings(
    f"folder:{tmp_path / 'set'}",
    tmp_path / "study",
    num_real=0,
    group_regex=r"^[^/]*/(\d+)_",
    seeds=2,
    generators=("dcgan",),
    sweep=(1, 2),
  )
  call(config)
  found = [
    (row["seed"], float(row["multiplier"]))
    for row in table(config.out)
    if row["arm"] == "classical+dcgan" and row["split"] == "test"
  ]
  console = Console(file=io.StringIO())
  for number in (0, 1):
    seed = one_seed.Seed(config, number, tmp_path / "study", console)
    train, validation = (
      set(seed.data[name].groups) for name in ("train", "validation")
    )
    assert train and validation and not train & validation
    real = len(seed.real) + len(seed.held_out)
    multipliers = sorted(m for s, m in found if s == str(number))
    assert multipliers == pytest.approx(sorted([1, 60 / real, 2]))
  assert ", 2 seeds)." in (tmp_path / "study/report.md").read_text()


def test_another_study_in_the_folder_is_refused(whole, dataset):
  with pytest.raises(RunError, match="num_synthetic was 60, now 61"):
    call(settings(dataset, whole[0], num_synthetic=61))


def test_another_method_in_the_folder_is_refused(whole, dataset, monkeypatch):
  monkeypatch.setattr(generators, "GUIDANCE", 0.5)
  with pytest.raises(RunError, match="prior_guidance was 0.0, now 0.5"):
    call(settings(dataset, whole[0]))


def test_images_without_labels_are_refused(tmp_path):
  rng = np.random.default_rng(0)
  images = rng.integers(0, 255, (60, 8, 8, 1)).astype(np.uint8)
  folder = tmp_path / "set"
  folder.mkdir()
  for n, image in enumerate(images):
    Image.fromarray(image[..., 0]).save(folder / f"{n}.png")
  config = settings(f"folder:{folder}", tmp_path / "study", num_real=40)
  with pytest.raises(ConfigError, match="has 1 class"):
    call(config)


def test_foreign_folder_is_refused(dataset, tmp_path):
  (tmp_path / "thesis.txt").write_text("mine")
  with pytest.raises(RunError, match=r"thesis\.txt"):
    call(settings(dataset, tmp_path))


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    (
      {"primary": "ae"},
      "--primary ae is not one of --generators vqvae vae dcgan",
    ),
    ({"real_shares": (1.0,)}, r"--real-shares 1.0 is not in \(0, 1\)"),
    ({"generators": ("vae", "vae")}, "each once"),
    ({"seeds": 0}, "--seeds 0 is below 1"),
    ({"sweep": (0, 2)}, "--sweep 0 is below 1"),
    ({"sweep": (2, 1, 2)}, "--sweep 2 1 2: one or more, each once"),
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
  arguments = config, 0, tmp_path, Console(file=io.StringIO())
  data = one_seed.Seed(*arguments).data
  assert one_seed.Seed(*arguments).data.spec == data.spec
  other = dataclasses.replace(data.spec, digest="another")
  monkeypatch.setattr(
    one_seed, "load_data", lambda _: dataclasses.replace(data, spec=other)
  )
  with pytest.raises(RunError, match="begun with other images"):
    one_seed.Seed(*arguments).data  # noqa: B018


def test_quick_shortens_and_never_lengthens():
  base = StudyConfig(quick=True, num_synthetic=100, seeds=5)
  quick = base.resolved()
  assert (quick.num_synthetic, quick.seeds) == (100, 2)
  assert quick.judges == ("simple",)
  for name in ("tokenizer", "prior", "baseline"):
    assert getattr(quick, name).steps < getattr(base, name).steps
  assert quick.judge_steps < base.judge_steps
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
    arm.name: parts(
      arm, real, made if arm.generator else None, "light", 0.25, 15
    )
    for arm in arms(["vae"], 2.0)
  }
  assert [len(p.labels) for p in found["repeated"]] == [15]
  assert found["vae"][0].images is made.images
  assert [p.share for p in found["real+vae"]] == [0.25, 0.75]
  assert [p.augment for p in found["real+vae"]] == ["none", "none"]
  assert [p.augment for p in found["classical+vae"]] == ["light", "light"]
  assert found["classical"][0].augment == "light"
  assert found["real"][0].augment == "none"
  assert Arm("real+", "vae", 2).name == "real+vae"


def test_tuned_judge_is_the_candidate_that_reads_most(
  dataset, tmp_path, monkeypatch
):
  def trained(self, path, name, judge, sources):
    best = judge.weight_decay == 0.5 and not judge.label_smoothing
    return {"accuracy": 0.9 if best else 0.8}

  monkeypatch.setattr(one_seed.Seed, "_trained", trained)
  config = settings(dataset, tmp_path)
  seed = one_seed.Seed(config, 0, tmp_path, Console(file=io.StringIO()))
  chosen, accuracies = seed.choose_settings("tuned")
  assert (chosen.weight_decay, chosen.label_smoothing) == (0.5, 0.0)
  assert list(accuracies.values()) == [0.8, 0.8, 0.8, 0.9]
  assert seed.choose_settings("simple") == (JUDGES["simple"], {})
