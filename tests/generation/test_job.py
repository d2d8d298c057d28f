"""The batch job as a user sees it: files, their bytes, resuming, refusing."""

import dataclasses
import io
import json
import pathlib
import shutil

import numpy as np
import pytest
import tiny
from PIL import Image
from rich.console import Console

import vqvae_jax
from vqvae_jax.config import SampleConfig
from vqvae_jax.errors import ConfigError, RunError
from vqvae_jax.generation import generate
from vqvae_jax.generation.writer import class_folders


def job(config: SampleConfig) -> str:
  console = Console(file=io.StringIO(), width=200)
  generate(config, console)
  return console.file.getvalue()


def files(out) -> dict[str, bytes]:
  """Content of every image of a job by its path."""
  root = pathlib.Path(out) / "images"
  return {
    str(path.relative_to(root)): path.read_bytes()
    for path in sorted(root.rglob("*"))
    if path.is_file()
  }


@pytest.fixture(scope="module")
def settings(tiny_run, tmp_path_factory) -> SampleConfig:
  out = tmp_path_factory.mktemp("jobs") / "whole"
  # Blocks of 2 on each of the 8 devices: 40 images are two and a half.
  return SampleConfig(
    workdir=str(tiny_run[0]), out=str(out), num_images=40, batch_size=2
  )


@pytest.fixture(scope="module")
def whole(settings) -> dict[str, bytes]:
  job(settings)
  return files(settings.out)


def test_every_image_once_and_where_it_belongs(whole, settings):
  assert list(whole) == sorted(f"{n % 3}/{n:08d}.png" for n in range(40))
  manifest = json.loads(
    (pathlib.Path(settings.out) / "manifest.json").read_text()
  )
  assert manifest["complete"] is True
  assert manifest["labels"] == [n % 3 for n in range(40)]
  assert manifest["step"] == {"tokenizer": 12, "prior": 12}
  assert [c["folder"] for c in manifest["classes"]] == ["0", "1", "2"]
  model = vqvae_jax.load(settings.workdir)
  assert manifest["weights"] == {
    "tokenizer": model.tokenizer_digest,
    "prior": model.prior_digest,
  }
  pixels = np.asarray(Image.open(io.BytesIO(whole["0/00000000.png"])))
  assert pixels.shape == (8, 8)
  assert pixels.dtype == np.uint8


def test_bytes_do_not_depend_on_how_many_are_asked_for(
  whole, settings, tmp_path
):
  job(dataclasses.replace(settings, out=str(tmp_path), num_images=11))
  fewer = files(tmp_path)
  assert len(fewer) == 11
  assert fewer == {name: whole[name] for name in fewer}


def test_resume_makes_what_is_missing_and_nothing_else(
  whole, settings, tmp_path
):
  out = tmp_path / "job"
  shutil.copytree(settings.out, out)
  lost = ["0/00000003.png", "1/00000022.png", "0/00000039.png"]
  for name in lost:
    (out / "images" / name).unlink()
  kept = out / "images" / "2" / "00000005.png"
  before = kept.stat().st_mtime_ns
  again = dataclasses.replace(settings, out=str(out))
  with pytest.raises(RunError, match="is not empty"):
    job(again)
  screen = job(dataclasses.replace(again, resume=True))
  assert "37 of 40 images are there already" in screen
  assert files(out) == whole
  assert kept.stat().st_mtime_ns == before


def test_more_images_of_the_same_job(whole, settings, tmp_path):
  out = tmp_path / "job"
  shutil.copytree(settings.out, out)
  more = dataclasses.replace(settings, out=str(out), num_images=50, resume=True)
  job(more)
  found = files(out)
  assert len(found) == 50
  assert {name: found[name] for name in whole} == whole
  with pytest.raises(RunError, match="nothing is deleted"):
    job(dataclasses.replace(more, num_images=40))


def test_another_job_is_not_resumed(whole, settings, tmp_path):
  out = tmp_path / "job"
  shutil.copytree(settings.out, out)
  other = dataclasses.replace(settings, out=str(out), resume=True, seed=1)
  with pytest.raises(RunError, match="seed was 0, now 1"):
    job(other)
  with pytest.raises(RunError, match="mode was prior, now reconstruct"):
    job(dataclasses.replace(other, mode="reconstruct"))
  assert files(out) == whole
  (out / "manifest.json").unlink()
  with pytest.raises(RunError, match="no job that can be resumed"):
    job(dataclasses.replace(other, seed=0))


def test_seed_and_temperature_change_the_images(whole, settings, tmp_path):
  for name, change in (
    ("seed", {"seed": 1}),
    ("temperature", {"temperature": 0.2}),
    ("top_k", {"top_k": 2}),
  ):
    out = tmp_path / name
    job(dataclasses.replace(settings, out=str(out), num_images=16, **change))
    changed = files(out)
    differ = [changed[n] != whole[n] for n in changed]
    assert np.mean(differ) > 0.5, name


def test_only_the_classes_asked_for(settings, tmp_path):
  job(
    dataclasses.replace(settings, out=str(tmp_path), labels="2", num_images=4)
  )
  assert list(files(tmp_path)) == [f"2/{n:08d}.png" for n in range(4)]


def test_reconstructions_stand_beside_originals(settings, dataset, tmp_path):
  screen = job(
    dataclasses.replace(settings, out=str(tmp_path), mode="reconstruct")
  )
  assert "14 images" in screen
  model = vqvae_jax.load(settings.workdir)
  from vqvae_jax.data import load_data

  split = load_data(model.config)["validation"]
  assert len(files(tmp_path)) == len(split) == 14
  for n in (0, 13):
    path = tmp_path / "images" / str(split.labels[n]) / f"{n:08d}.png"
    pixels = np.asarray(Image.open(path))
    np.testing.assert_array_equal(pixels[:, :8], split.images[n, ..., 0])
    expected = model.decode(model.encode(split.images[n : n + 1]))[0, ..., 0]
    np.testing.assert_allclose(pixels[:, 8:] / 255, expected, atol=0.003)


def test_reconstructing_other_images_is_refused(settings, tmp_path):
  run = tmp_path / "run"
  shutil.copytree(settings.workdir, run)
  info = json.loads((run / "config.json").read_text())
  info["config"]["dataset"] = tiny.write_npz(tmp_path / "other.npz", count=60)
  (run / "config.json").write_text(json.dumps(info))
  with pytest.raises(RunError, match="was trained on other images"):
    job(
      dataclasses.replace(
        settings,
        workdir=str(run),
        out=str(tmp_path / "out"),
        mode="reconstruct",
      )
    )


def test_nothing_to_sample_from(settings, tmp_path):
  with pytest.raises(RunError, match="is no run folder"):
    job(dataclasses.replace(settings, workdir=str(tmp_path)))
  run = tmp_path / "run"
  shutil.copytree(settings.workdir, run)
  shutil.rmtree(run / "prior")
  with pytest.raises(RunError, match="prior holds no checkpoint"):
    job(
      dataclasses.replace(settings, workdir=str(run), out=str(tmp_path / "out"))
    )
  assert not (tmp_path / "out").exists()


def test_class_folders_are_safe_and_distinct():
  names = ["a/b", "a_b", "../x", "", "A_B", "con du", "..", "3", "ü"]
  folders = class_folders(names)
  assert len({folder.lower() for folder in folders}) == len(names)
  for folder in folders:
    assert folder not in ("", ".", "..")
    assert set(folder) <= set(
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
    )
    assert not folder.startswith(".")
  assert folders[0] == "a_b"
  assert folders[7] == "3"
  assert class_folders([]) == ["unlabelled"]


def test_too_large_top_k(settings, tmp_path):
  with pytest.raises(ConfigError, match="top_k 17 is not between 1 and the 16"):
    job(dataclasses.replace(settings, out=str(tmp_path), top_k=17))
