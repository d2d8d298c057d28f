"""The batch job as a user sees it: files, their bytes, resuming, refusing."""

import contextlib
import dataclasses
import errno
import io
import json
import pathlib
import shutil

import numpy as np
import pytest
import tiny
from job_cases import checksums, files, manifest
from PIL import Image

import vqvae_jax
from vqvae_jax.errors import RunError
from vqvae_jax.generators import Trained
from vqvae_jax.jobs import folder, job, shards


def test_every_image_once_and_where_it_belongs(whole, settings):
  assert list(whole) == sorted(f"{n % 3}/{n:08d}.png" for n in range(40))
  found = manifest(settings.out)
  assert [(s["first"], s["count"]) for s in found["shards"]] == [
    (0, 15),
    (15, 15),
    (30, 10),
  ]
  assert [c["folder"] for c in found["classes"]] == ["0", "1", "2"]
  assert [c["count"] for c in found["classes"]] == [14, 13, 13]
  model = vqvae_jax.load(settings.workdir)
  assert found["weights"] == {
    "tokenizer": model.digests["tokenizer"],
    "prior": model.digests["prior"],
  }
  pixels = np.asarray(Image.open(io.BytesIO(whole["0/00000000.png"])))
  assert pixels.shape == (8, 8)
  assert pixels.dtype == np.uint8


def test_images_are_the_models_own(whole, settings):
  # Blocks of 16, and the last one padded by the last label.
  labels = np.minimum(np.arange(48), 39) % 3
  model = vqvae_jax.load(settings.workdir)
  draw = model.sampler()
  blocks = [draw(0, n, labels[n : n + 16]) for n in (0, 16, 32)]
  images = np.concatenate(blocks)[:40, ..., 0]
  for n, image in enumerate(images):
    pixels = Image.open(io.BytesIO(whole[f"{n % 3}/{n:08d}.png"]))
    np.testing.assert_array_equal(np.asarray(pixels), image)


def test_bytes_do_not_depend_on_how_many_are_asked_for(
  whole, settings, tmp_path
):
  change = {"num_images": 11, "shard_size": 3, "out": str(tmp_path)}
  tiny.sample(dataclasses.replace(settings, **change))
  fewer = files(tmp_path)
  assert len(fewer) == 11
  assert fewer == {name: whole[name] for name in fewer}


def test_four_workers_in_any_order_make_the_set_of_one(
  whole, settings, tmp_path
):
  four = dataclasses.replace(settings, out=str(tmp_path), shard_size=6)
  for n in (2, 0, 3):
    screen = tiny.sample(dataclasses.replace(four, worker=f"{n}/4"))
    assert "of other workers" in screen
    assert not (tmp_path / "manifest.json").exists()
  with pytest.raises(RunError, match="shards of worker 2/4 already"):
    tiny.sample(dataclasses.replace(four, worker="2/4"))
  tiny.sample(dataclasses.replace(four, worker="1/4"))
  assert files(tmp_path) == whole
  assert len(manifest(tmp_path)["shards"]) == 7
  # One process may finish what several began, in other shares.
  for number in (1, 4):
    (tmp_path / "records" / f"{number:05d}.json").unlink()
  (tmp_path / "images" / "0" / "00000006.png").unlink()
  tiny.sample(dataclasses.replace(four, resume=True))
  assert files(tmp_path) == whole


def test_each_block_is_made_once(whole, settings, tmp_path, monkeypatch):
  made, true_plan = [], Trained.plan

  def noted(model, config):
    plan = true_plan(model, config)

    def make_block(numbers, labels):
      made.append(int(numbers[0]))
      return plan.make_block(numbers, labels)

    return dataclasses.replace(plan, make_block=make_block)

  monkeypatch.setattr(Trained, "plan", noted)
  # Blocks of 16 reach over the borders of shards of 6.
  config = dataclasses.replace(settings, out=str(tmp_path), shard_size=6)
  tiny.sample(config)
  assert made == [0, 16, 32]
  assert files(tmp_path) == whole


@pytest.mark.parametrize("kind", ["png", "npz", "tfds"])
def test_a_job_that_dies_is_finished_by_resuming(
  kind, settings, tmp_path, monkeypatch
):
  config = dataclasses.replace(
    settings, out=str(tmp_path / kind), format=kind, resume=True, shard_size=16
  )
  real, calls = Trained.plan, []

  def dying(model, config):
    plan = real(model, config)

    def make_block(numbers, labels):
      calls.append(numbers[0])
      # In the first shard, then in the second, then never.
      if len(calls) in (2, 5):
        raise SystemExit(1)
      return plan.make_block(numbers, labels)

    return dataclasses.replace(plan, make_block=make_block)

  monkeypatch.setattr(Trained, "plan", dying)
  for _ in range(2):
    with pytest.raises(SystemExit):
      tiny.sample(config)
    assert not (tmp_path / kind / "manifest.json").exists()
  done = tmp_path / kind / "records" / "00000.json"
  before = done.stat().st_mtime_ns
  tiny.sample(config)
  # The whole shard was not made again: its blocks start at 0.
  assert done.stat().st_mtime_ns == before
  assert calls[5:] == [16, 32]
  left = [p.name for p in (tmp_path / kind).rglob("*") if ".partial" in p.name]
  assert left == []
  whole = dataclasses.replace(config, out=str(tmp_path / "w"), resume=False)
  tiny.sample(whole)
  assert checksums(tmp_path / "w") == checksums(tmp_path / kind)


def copy(settings, tmp_path, **changes):
  out = tmp_path / "job"
  shutil.copytree(settings.out, out)
  return dataclasses.replace(settings, out=str(out), **changes)


def test_another_job_is_not_resumed(whole, settings, tmp_path):
  other = copy(settings, tmp_path, resume=True)
  out = pathlib.Path(other.out)
  for change, message in (
    ({"seed": 1}, "seed was 0, now 1"),
    ({"mode": "reconstruct"}, "mode was prior, now reconstruct"),
    ({"num_images": 41}, "num_images was 40, now 41"),
    ({"format": "npz"}, "format was png, now npz"),
    ({"batch_size": 4}, "batch_size was 2, now 4"),
    ({"labels": "2"}, "labels_as was balanced, now 2"),
    ({"worker": "0/2", "resume": False, "seed": 1}, "seed was 0, now 1"),
  ):
    with pytest.raises(RunError, match=message):
      tiny.sample(dataclasses.replace(other, **change))
  with pytest.raises(RunError, match="holds this job already; .* --resume"):
    tiny.sample(dataclasses.replace(other, resume=False))
  info = json.loads((out / "job.json").read_text())
  (out / "job.json").write_text("{")
  with pytest.raises(RunError, match="job.json cannot be read"):
    tiny.sample(other)
  info["weights"]["prior"] = "0"
  (out / "job.json").write_text(json.dumps(info))
  with pytest.raises(RunError, match="another checkpoint.* --from-step"):
    tiny.sample(other)
  (out / "job.json").unlink()
  with pytest.raises(RunError, match="no job that could be resumed"):
    tiny.sample(other)
  assert files(out) == whole


def test_a_full_disk_loses_nothing(whole, settings, tmp_path, monkeypatch):
  from vqvae_jax.jobs.formats import png as formats

  config = dataclasses.replace(settings, out=str(tmp_path / "out"))
  real, left = formats.replace, [25]

  def full(path, content):
    left[0] -= 1
    if left[0] < 0:
      raise OSError(errno.ENOSPC, "No space left on device", str(path))
    real(path, content)

  monkeypatch.setattr(formats, "replace", full)
  with pytest.raises(
    RunError, match="No space left .*1 of 3 shards are whole and"
  ):
    tiny.sample(config)
  monkeypatch.setattr(formats, "replace", real)
  tiny.sample(dataclasses.replace(config, resume=True))
  assert files(config.out) == whole


def test_a_full_disk_under_a_tfds_set(settings, tmp_path, monkeypatch):
  from array_record.python import array_record_module

  class Full(array_record_module.ArrayRecordWriter):
    def __init__(self, path, options):
      super().__init__("/dev/full", options)

  config = dataclasses.replace(settings, out=str(tmp_path), format="tfds")
  with monkeypatch.context() as patch:
    patch.setattr(array_record_module, "ArrayRecordWriter", Full)
    with pytest.raises(RunError, match="No space left .*no image is whole"):
      tiny.sample(config)
  assert not list(tmp_path.glob("records/*.json"))


def test_a_folder_that_cannot_be_written(settings, tmp_path):
  (tmp_path / "file").write_text("mine")
  config = dataclasses.replace(settings, out=str(tmp_path / "file" / "out"))
  with pytest.raises(RunError, match="Not a directory"):
    tiny.sample(config)
  assert (tmp_path / "file").read_text() == "mine"


def test_a_shard_of_a_process_that_dies_is_taken_over(settings, tmp_path):
  config = dataclasses.replace(settings, out=str(tmp_path), resume=True)
  (tmp_path / "records").mkdir()
  shard = shards.plan(40, 15)[1]
  with (
    folder.JobFolder(tmp_path).lock(shard),
    pytest.raises(RunError, match="is not empty, and no job"),
  ):
    tiny.sample(config)
  shutil.rmtree(tmp_path / "records")
  opened = folder.JobFolder.open

  def locked(self, *args, **options):
    opened(self, *args, **options)
    stack.enter_context(folder.JobFolder(tmp_path).lock(shard))

  with contextlib.ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
    patch.setattr(folder.JobFolder, "open", locked)
    patch.setattr("vqvae_jax.files.LOCK_WAIT", 0.1)
    wait = job._wait

    def dies(console, number):
      wait(console, number)
      stack.close()

    patch.setattr(job, "_wait", dies)
    screen = tiny.sample(config)
  assert "waiting for another process (shard 1)" in screen
  assert "40 images in" in screen
  assert len(files(tmp_path)) == 40
  left = [p.name for p in tmp_path.rglob("*") if p.suffix in (".lock",)]
  assert left == []
