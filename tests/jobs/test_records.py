"""Records of shards: what is checked, and what is merged, and when."""

import dataclasses
import json
import pathlib
import shutil

import pytest
import tiny

from vqvae_jax.config import SampleConfig
from vqvae_jax.errors import RunError


@pytest.fixture
def job(settings, tmp_path) -> SampleConfig:
  """A whole job that a test may damage."""
  if not pathlib.Path(settings.out).exists():
    tiny.sample(settings)
  shutil.copytree(settings.out, tmp_path / "job")
  return dataclasses.replace(settings, out=str(tmp_path / "job"))


def verify(config):
  return tiny.sample(SampleConfig(out=config.out, verify=True))


@pytest.mark.parametrize("kind", ["png", "npz", "tfds"])
def test_verify_finds_what_is_broken(kind, settings, tmp_path):
  config = dataclasses.replace(settings, out=str(tmp_path), format=kind)
  tiny.sample(config)
  assert "40 images" in verify(config)
  path = {
    "png": tmp_path / "images" / "1" / "00000016.png",
    "npz": tmp_path / "00001-of-00003.npz",
    "tfds": tmp_path / "generated-train.array_record-00001-of-00003",
  }[kind]
  good = path.read_bytes()
  again = dataclasses.replace(config, resume=True)
  # Where the pixels are, in a file that ends with an index.
  place = {"png": -40, "npz": -700, "tfds": 400}[kind] % len(good)
  changed = good[:place] + b"x" * 20 + good[place + 20 :]
  for bad in (good[: len(good) // 2], changed, b""):
    path.write_bytes(bad)
    for check in (verify, lambda config: tiny.sample(again)):
      with pytest.raises(RunError, match="shard 1 .*--resume --repair"):
        check(config)
    assert path.read_bytes() == bad
  path.unlink()
  noun = "image" if kind == "png" else "file"
  with pytest.raises(
    RunError, match=f"1 {noun} of shard 1 is missing .*{path.name}.*--repair"
  ):
    verify(config)
  # What the messages advise.
  record = tmp_path / "records" / "00001.json"
  assert "making it again" in tiny.sample(
    dataclasses.replace(again, repair=True)
  )
  assert path.read_bytes() == good
  record.unlink()
  with pytest.raises(RunError, match="1 of 3 shards is missing.*--resume"):
    verify(config)
  tiny.sample(again)
  verify(config)
  # Whole images of another place are found, too.
  swapped = json.loads(record.read_text())
  swapped["sha256"] = "0" * 64
  record.write_text(json.dumps(swapped))
  with pytest.raises(RunError, match="its checksum differs"):
    verify(config)


def change(path, **values):
  content = json.loads(path.read_text()) | values
  path.write_text(json.dumps(content))


def test_verify_only_reads(job):
  out = pathlib.Path(job.out)
  manifest = out / "manifest.json"
  before = {p: p.stat().st_mtime_ns for p in out.rglob("*")}
  assert "40 images in" in verify(job)
  assert {p: p.stat().st_mtime_ns for p in out.rglob("*")} == before
  again = dataclasses.replace(job, resume=True)
  content = manifest.read_bytes()
  change(manifest, num_images=41)
  with pytest.raises(RunError, match="manifest.json is not what the records"):
    verify(job)
  with pytest.raises(RunError, match="manifest.json is not what the records"):
    tiny.sample(again)
  manifest.unlink()
  with pytest.raises(RunError, match="manifest.json is missing; .*--resume"):
    verify(job)
  assert not manifest.exists()
  tiny.sample(again)
  assert manifest.read_bytes() == content
  with pytest.raises(RunError, match="job.json is not there"):
    verify(dataclasses.replace(job, out=str(out / "images")))


@pytest.mark.parametrize(
  "values, message",
  [
    ({"label_counts": {"0": 999}}, "counts its labels wrongly"),
    ({"number": 2}, "is of another shard"),
    ({"labels": [0]}, "has 1 labels of 15"),
    ({"labels": "many"}, "cannot be read: it is broken"),
    ({"job": "0" * 64}, "is of another job"),
  ],
)
def test_a_record_that_does_not_fit_is_named(job, values, message):
  out = pathlib.Path(job.out)
  change(out / "records/00001.json", **values)
  with pytest.raises(RunError, match=f"{message}"):
    verify(job)
  # Nor is it merged.
  (out / "manifest.json").unlink()
  with pytest.raises(RunError, match=message):
    tiny.sample(dataclasses.replace(job, resume=True))
  assert not (out / "manifest.json").exists()


def test_a_shard_of_another_job_is_found(job, tmp_path):
  other = dataclasses.replace(job, out=str(tmp_path / "other"), seed=1)
  tiny.sample(other)
  shutil.copytree(
    tmp_path / "other/images", f"{job.out}/images", dirs_exist_ok=True
  )
  for number in ("00000", "00001", "00002"):
    shutil.copy(f"{other.out}/records/{number}.json", f"{job.out}/records")
  with pytest.raises(RunError, match="record of shard 0 is of another job"):
    verify(job)


def test_an_image_too_many_is_found(job):
  images = pathlib.Path(job.out) / "images"
  shutil.copy(images / "1" / "00000016.png", images / "2")
  with pytest.raises(RunError, match="2/00000016.png is not part of this set"):
    verify(job)


@pytest.mark.parametrize(
  "values",
  [
    {"format": "zip"},
    {"shard_size": 0},
    {"num_images": "40"},
    {"image_shape": [8, 8]},
    {"class_names": [1]},
  ],
)
def test_a_broken_job_file_is_refused(job, values):
  change(pathlib.Path(job.out) / "job.json", **values)
  with pytest.raises(RunError, match="job.json cannot be read: it is broken"):
    verify(job)
  path = pathlib.Path(job.out) / "job.json"
  path.write_text(json.dumps({"mode": "prior", "format": "png"}))
  with pytest.raises(RunError, match="num_images is not in it"):
    verify(job)
