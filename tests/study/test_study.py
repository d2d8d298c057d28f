"""A whole tiny study: its files, resuming it, when it reads test images."""

import csv
import dataclasses
import io
import json
import pathlib
import re
import shutil

import jax
import numpy as np
import pytest
from PIL import Image
from study_cases import GENERATORS, call, schedule, settings

from vqvae_jax.config import Config
from vqvae_jax.data import load_data
from vqvae_jax.errors import ConfigError, DataError, RunError
from vqvae_jax.files import pretty_json
from vqvae_jax.study import generators, measure, run, trials
from vqvae_jax.study import seed as one_seed
from vqvae_jax.training import place


def table(out):
  with (pathlib.Path(out) / "results.csv").open() as file:
    return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def whole(dataset, tmp_path_factory):
  out = tmp_path_factory.mktemp("studies") / "whole"
  return out, call(settings(dataset, out))


def test_every_arm_is_scored_on_validation_and_on_test_images(whole):
  rows = table(whole[0])
  names = ["real", "classical", "repeated"]
  for generator in GENERATORS:
    names += [generator, f"real+{generator}", f"classical+{generator}"]
  for split in ("validation", "test"):
    found = [row["arm"] for row in rows if row["split"] == split]
    assert sorted(found) == sorted(names)
  columns = "arm generator multiplier classifier seed split accuracy"
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
  grids = {path.stem for path in (out / "pictures").glob("samples_*.png")}
  assert {"samples_real", "samples_classical", "samples_vae"} <= grids


def test_quality_checks_are_of_all_images(whole):
  found = json.loads((whole[0] / "seed-0/quality/vqvae-60.json").read_text())
  assert found["count"] == 60
  assert 0 <= found["label_agreement"] <= 1
  assert 0 <= found["training_ids"] <= 1
  assert found["dropped"] is None
  others = json.loads((whole[0] / "seed-0/quality/vae-60.json").read_text())
  assert others["duplicate_ids"] is others["training_ids"] is None


def test_finished_study_trains_and_reads_nothing_more(
  whole, dataset, monkeypatch
):
  def no(*args, **kwargs):
    raise AssertionError("called again")

  before = table(whole[0])
  monkeypatch.setattr(trials, "train_classifier", no)
  monkeypatch.setattr(run, "_read_test", no)
  monkeypatch.setattr(measure, "cross_fit", no)
  call(settings(dataset, whole[0]))
  assert table(whole[0]) == before


def test_damaged_files_stop_the_study_in_one_line(whole, dataset):
  """One file of every kind that a later start reads, each damaged."""
  out = pathlib.Path(whole[0])
  edits = {
    "study.json": ("num_real", 44),
    "machine.json": ("devices", "many"),
    "choices.json": ("seed 0", {}),
    "test.json": ("results", []),
    "seed-0/data.json": ("images", 1),
    "seed-0/vae.json": ("seconds", 0.5),
    "seed-0/sets/vae-60.json": ("done", False),
    "seed-0/classifiers/simple/real-x0.json": ("accuracy", 0.99),
    "seed-0/quality/vae-60.json": ("kid", "low"),
  }
  cases = []
  for n, (name, (key, value)) in enumerate(edits.items()):
    path = out / name
    values = json.loads(path.read_text())
    assert key in values
    cases.append((path, pretty_json({**values, key: value}), path.name))
    # `test_records` has more of these.
    broken = (b"", b'{"a": ' * 100_000, b"[1, 2]")
    if n % 3 == 0:
      cases.append((path, broken[n // 3], path.name))
  weights = out / "seed-0/classifiers/simple/vae-x1.33333.npz"
  content = bytearray(weights.read_bytes())
  content[len(content) // 2] ^= 1
  cases.append((weights, bytes(content), weights.name))
  job = out / "seed-0/sets/vae-60"
  (record,) = (job / "records").iterdir()
  values = json.loads(record.read_text())
  values["labels"] = values["labels"][::-1]
  cases.append((record, pretty_json(values), "vae-60"))
  (shard,) = (p for p in job.rglob("*.npz"))
  with np.load(shard) as file:
    arrays = dict(file)
  arrays["images"] = 255 - arrays["images"]
  edited = io.BytesIO()
  np.savez(edited, **arrays)
  cases.append((shard, edited.getvalue(), "vae-60 is not what was written"))
  for path, damage, named in cases:
    before = path.read_bytes()
    path.write_bytes(damage)
    with pytest.raises(RunError, match=re.escape(named)) as error:
      call(settings(dataset, out))
    path.write_bytes(before)
    text = str(error.value)
    assert "\n" not in text and len(text) < 600
    assert "move" in text or "put back" in text
  call(settings(dataset, out))


def test_weights_and_records_that_changed_places_are_found(whole, dataset):
  folder = pathlib.Path(whole[0]) / "seed-0/classifiers/simple"
  one, other = folder / "real-x0", folder / "classical-x0@light"
  for suffix, message in ((".json", "arm changed since"), (".npz", "is not")):
    pair = [path.with_name(path.name + suffix) for path in (one, other)]
    first, second = (path.read_bytes() for path in pair)
    pair[0].write_bytes(second)
    pair[1].write_bytes(first)
    with pytest.raises(RunError, match=message):
      call(settings(dataset, whole[0]))
    pair[0].write_bytes(first)
    pair[1].write_bytes(second)


def test_what_was_moved_away_is_made_again(whole, dataset, tmp_path):
  out = tmp_path / "study"
  shutil.copytree(whole[0], out)
  before = table(out)
  for name in ("real-x0.json", "real-x0.npz"):
    (out / "seed-0/classifiers/simple" / name).unlink()
  for path in ("choices.json", "test.json"):
    (out / path).unlink()
  call(settings(dataset, out))

  def scores(rows):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]

  assert scores(table(out)) == scores(before)


def test_every_line_says_how_far_the_study_is(whole):
  lines = whole[1].splitlines()
  counts = [
    tuple(map(int, found.groups()))
    for line in lines
    if (found := re.match(r"\[(\d+) of (\d+)\] ", line))
  ]
  done = [k for k, _ in counts]
  # As `test_interrupted_study...` counts them, and two classifiers of halves.
  assert {n for _, n in counts} == {3 + 2 + 2 * (1 + 2 * 2) + 2}
  assert done == sorted(done) and done[-1] == counts[-1][1]
  text = whole[1]
  assert "17 trainings of classifiers in all" in text
  for strength in ("light", "medium", "strong"):
    assert f"seed 0: classical ({strength}), simple: " in text
  assert "reading the test images" not in text
  assert "classifiers on test images 9/9" in text
  arm = next(line for line in lines if "seed 0: vae, simple" in line)
  assert re.search(r"\d % of 9 validation images, \d+ s, about \d+ s left", arm)


def test_nothing_is_set_for_the_whole_process(whole):
  assert not (pathlib.Path(whole[0]) / "programs").exists()
  folder = pathlib.Path(jax.config.jax_compilation_cache_dir)
  assert pathlib.Path(whole[0]) not in folder.parents


def test_interrupted_study_ends_like_one_that_never_stopped(
  whole, dataset, tmp_path, monkeypatch
):
  out = tmp_path / "study"
  true_train, calls = trials.train_classifier, []

  def train(*args, **kwargs):
    calls.append(1)
    if len(calls) == 9:
      raise KeyboardInterrupt
    return true_train(*args, **kwargs)

  monkeypatch.setattr(trials, "train_classifier", train)
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
  decoded, used = [], []
  true_check, true_load = run.checks.check_test_images, run.load

  def check(config, seed):
    decoded.append(seed.number)
    assert true_check(config, seed) is None

  def load(config, number, splits):
    used.append(splits)
    return true_load(config, number, splits)

  monkeypatch.setattr(run.checks, "check_test_images", check)
  monkeypatch.setattr(run, "load", load)
  config = settings(dataset, tmp_path / "study", generators=("vae",))
  text = call(dataclasses.replace(config, test=False))
  # Decoded beforehand, lest they stop the study at its end, but not used.
  assert (decoded, used) == ([0], [])
  assert "changed accuracy on validation images" in text
  assert {row["split"] for row in table(config.out)} == {"validation"}
  call(config)
  text = call(config)
  assert (decoded, used) == ([0, 0], [("train", "validation", "test")])
  # The answer, then where to read on.
  assert text.splitlines()[-2].startswith(
    "No answer. Adding generated images (`classical+vae` against `classical`) "
    "changed accuracy on test images by "
  )
  assert text.splitlines()[-1] == f"report: {tmp_path}/study/report.html"


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
  for number in (0, 1):
    seed = one_seed.Seed(config, number, tmp_path / "study", schedule())
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


def write_images(folder, count, classes=("well", "sick")):
  """PNG files, one folder for each class."""
  rng = np.random.default_rng(0)
  for n in range(count):
    label = n % len(classes)
    path = folder / classes[label] / f"{n:03d}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = rng.integers(0, 100, (8, 8)) + 100 * label
    Image.fromarray(pixels.astype(np.uint8)).save(path)
  return f"folder:{folder}"


def test_a_refused_study_leaves_nothing_behind(dataset, tmp_path):
  one_class = write_images(tmp_path / "one", 60, ("well",))
  broken = write_images(tmp_path / "broken", 90)
  test = load_data(
    Config(dataset=broken, workdir=""), ("train", "validation", "test")
  )["test"]
  place = int(test._indices[0])
  paths = sorted((tmp_path / "broken").rglob("*.png"))
  paths[place].write_bytes(paths[place].read_bytes()[:60])
  refused = [
    (ConfigError, "has 1 class", {"dataset": one_class, "num_real": 40}),
    (DataError, "--num-real=0 takes all", {"num_real": 500}),
    (ConfigError, "5 validation images", {"num_real": 25}),
    (ConfigError, "5 generated images", {"num_synthetic": 5}),
    (DataError, paths[place].name, {"dataset": broken, "num_real": 0}),
    (
      DataError,
      "folder:.nowhere does not exist",
      {"dataset": "folder:/nowhere"},
    ),
  ]
  out = tmp_path / "study"
  for kind, message, changes in refused:
    config = settings(changes.pop("dataset", dataset), out, **changes)
    with pytest.raises(kind, match=message):
      call(config)
    assert not out.exists()
  # Nor in a folder that is there, or is not the study's.
  out.mkdir()
  with pytest.raises(DataError):
    call(settings(dataset, out, num_real=500))
  assert not list(out.iterdir())
  (out / "thesis.txt").write_text("mine")
  with pytest.raises(RunError, match=r"thesis\.txt"):
    call(settings(dataset, out))
  assert [p.name for p in out.iterdir()] == ["thesis.txt"]
  with pytest.raises(RunError, match="thesis.txt is not a folder"):
    call(settings(dataset, out / "thesis.txt"))


def test_two_studies_at_once(whole, dataset):
  with (
    place.lock(whole[0]),
    pytest.raises(RunError, match="another --out"),
  ):
    call(settings(dataset, whole[0]))
