"""What flags change in a job: formats, classes, images, modes."""

import dataclasses
import io
import json
import shutil

import numpy as np
import pytest
import tensorflow_datasets as tfds
import tiny
from job_cases import checksums, files
from PIL import Image

import vqvae_jax
from vqvae_jax.config import Config
from vqvae_jax.data import load_data
from vqvae_jax.errors import ConfigError, DataError, RunError


def test_npz_and_tfds_hold_what_png_holds(whole, settings, tmp_path):
  for kind in ("npz", "tfds"):
    out = tmp_path / kind
    tiny.sample(dataclasses.replace(settings, out=str(out), format=kind))
    assert checksums(out) == checksums(settings.out)
  pngs = [
    np.asarray(Image.open(io.BytesIO(whole[f"{n % 3}/{n:08d}.png"])))[..., None]
    for n in range(40)
  ]
  images, labels = [], []
  for n in range(3):
    path = tmp_path / "npz" / f"{n:05d}-of-00003.npz"
    with np.load(path, allow_pickle=False) as arrays:
      assert arrays["images"].dtype == np.uint8
      assert arrays["labels"].dtype == np.int32
      images.append(arrays["images"])
      labels.append(arrays["labels"])
  np.testing.assert_array_equal(np.concatenate(images), pngs)
  np.testing.assert_array_equal(np.concatenate(labels), np.arange(40) % 3)
  builder = tfds.builder_from_directory(tmp_path / "tfds")
  assert builder.info.features["label"].names == ["0", "1", "2"]
  source = builder.as_data_source()["train"]
  assert len(source) == 40
  for n in (0, 17, 39):
    np.testing.assert_array_equal(source[n]["image"], pngs[n])
    assert source[n]["label"] == n % 3
  # What our own training reads.
  data = load_data(Config(dataset=f"tfds-dir:{tmp_path / 'tfds'}"))
  assert data.spec.class_names == ("0", "1", "2")
  assert sum(data.spec.class_counts) + data.spec.num_validation < 40


def test_a_folder_that_is_no_tfds_set(tmp_path):
  with pytest.raises(DataError, match="no dataset_info.json"):
    load_data(Config(dataset=f"tfds-dir:{tmp_path}"))


def test_seed_and_temperature_change_the_images(whole, settings, tmp_path):
  for name, change in (
    ("seed", {"seed": 1}),
    ("temperature", {"temperature": 0.2}),
    ("top_k", {"top_k": 2}),
  ):
    out = tmp_path / name
    tiny.sample(
      dataclasses.replace(settings, out=str(out), num_images=16, **change)
    )
    changed = files(out)
    differ = [changed[n] != whole[n] for n in changed]
    assert np.mean(differ) > 0.5, name


def test_only_the_classes_asked_for(settings, tmp_path):
  tiny.sample(
    dataclasses.replace(settings, out=str(tmp_path), labels="2", num_images=4)
  )
  assert list(files(tmp_path)) == [f"2/{n:08d}.png" for n in range(4)]


def test_reconstructions_are_images_of_their_own(settings, dataset, tmp_path):
  screen = tiny.sample(
    dataclasses.replace(settings, out=str(tmp_path), mode="reconstruct")
  )
  assert "14 images" in screen
  model = vqvae_jax.load(settings.workdir)
  split = load_data(model.config)["validation"]
  assert len(files(tmp_path)) == len(split) == 14
  for n in (0, 13):
    path = tmp_path / "images" / str(split.labels[n]) / f"{n:08d}.png"
    pixels = np.asarray(Image.open(path))
    expected = model.decode(model.encode(split.images[n : n + 1]))[0, ..., 0]
    np.testing.assert_allclose(pixels / 255, expected, atol=0.003)


def test_reconstructing_other_images_is_refused(settings, tmp_path):
  run = tmp_path / "run"
  shutil.copytree(settings.workdir, run)
  info = json.loads((run / "config.json").read_text())
  info["config"]["dataset"] = tiny.write_npz(tmp_path / "other.npz", count=60)
  (run / "config.json").write_text(json.dumps(info))
  with pytest.raises(RunError, match="was trained on other images"):
    tiny.sample(
      dataclasses.replace(
        settings,
        workdir=str(run),
        out=str(tmp_path / "out"),
        mode="reconstruct",
      )
    )


def test_nothing_to_sample_from(settings, tmp_path):
  with pytest.raises(RunError, match="is not a run folder"):
    tiny.sample(dataclasses.replace(settings, workdir=str(tmp_path)))
  run = tmp_path / "run"
  shutil.copytree(settings.workdir, run)
  shutil.rmtree(run / "prior")
  with pytest.raises(RunError, match="prior holds no checkpoint"):
    tiny.sample(
      dataclasses.replace(settings, workdir=str(run), out=str(tmp_path / "out"))
    )
  assert not (tmp_path / "out").exists()


def test_too_large_top_k(settings, tmp_path):
  with pytest.raises(
    ConfigError, match="top_k 17 is not between 1 and the 16 codes"
  ):
    tiny.sample(dataclasses.replace(settings, out=str(tmp_path), top_k=17))
