"""Folders on a file system that is not the local disk, as gs:// is.

A bucket in memory, behind fsspec as Google's and Amazon's are, and like these
without folders of their own and without appending.
"""

import dataclasses
import io
import json

import fsspec
import numpy as np
import pytest
import tiny
from etils import epath
from etils.epath import gpath
from fsspec.implementations.memory import MemoryFileSystem
from rich.console import Console

from vqvae_jax.config import SampleConfig
from vqvae_jax.errors import RunError
from vqvae_jax.training import continuing, place, reporting, workdir


class Bucket(MemoryFileSystem):
  """Keeps files by their whole name."""

  protocol = "s3"
  store = {}
  pseudo_dirs = [""]

  @classmethod
  def _strip_protocol(cls, path):
    return super()._strip_protocol(str(path).removeprefix("s3://"))

  def _open(self, path, mode="rb", **options):
    if "a" in mode:
      raise NotImplementedError("an object store cannot append")
    return super()._open(path, mode, **options)


@pytest.fixture
def bucket(monkeypatch):
  monkeypatch.setattr(Bucket, "store", {})
  monkeypatch.setattr(Bucket, "pseudo_dirs", [""])
  fsspec.register_implementation("s3", Bucket, clobber=True)
  # It has file systems of its own, which epath prefers.
  monkeypatch.setattr(gpath, "_is_tf_installed", lambda: False)
  epath.backend.fsspec_backend._get_filesystem.cache_clear()
  Bucket().mkdir("/bucket")
  yield "s3://bucket"
  epath.backend.fsspec_backend._get_filesystem.cache_clear()


@pytest.mark.parametrize("kind", ["png", "npz"])
def test_job_is_written_resumed_and_checked(kind, bucket, tiny_run, tmp_path):
  config = SampleConfig(
    workdir=str(tiny_run[0]),
    out=f"{bucket}/set",
    num_images=40,
    batch_size=2,
    shard_size=15,
    format=kind,
  )
  tiny.sample(config)
  local = dataclasses.replace(config, out=str(tmp_path / "set"))
  tiny.sample(local)

  def checksums(out):
    manifest = json.loads((epath.Path(out) / "manifest.json").read_text())
    return [shard["sha256"] for shard in manifest["shards"]]

  assert checksums(config.out) == checksums(local.out)
  # Nothing unfinished stays behind.
  assert not [name for name in Bucket.store if "partial" in name]
  (epath.Path(config.out) / "records/00001.json").unlink()
  (epath.Path(config.out) / "manifest.json").unlink()
  tiny.sample(dataclasses.replace(config, resume=True))
  assert checksums(config.out) == checksums(local.out)
  name = next(
    n for n in Bucket.store if n.endswith((".png", "00001-of-00003.npz"))
  )
  content = bytearray(Bucket.store[name].getvalue())
  content[len(content) // 2] ^= 255
  Bucket().pipe_file(name, bytes(content))
  with pytest.raises(RunError, match="broken|checksum"):
    tiny.sample(SampleConfig(out=config.out, verify=True))


def test_another_job_is_refused(bucket, tiny_run):
  config = SampleConfig(
    workdir=str(tiny_run[0]),
    out=f"{bucket}/set",
    num_images=4,
    batch_size=1,
  )
  tiny.sample(config)
  with pytest.raises(RunError, match="seed was 0, now 1"):
    tiny.sample(dataclasses.replace(config, seed=1))


def test_run_folder_keeps_settings_and_metrics(bucket, tiny_run, monkeypatch):
  # It would look for Amazon.
  monkeypatch.setattr(reporting.tensorboardX, "SummaryWriter", NoBoard)
  folder = f"{bucket}/run"
  epath.Path(folder).mkdir(parents=True, exist_ok=True)
  info = workdir.read(tiny_run[0])
  with place.lock(folder):
    continuing.check_same_run(folder, info)
    workdir.write(folder, info)
  assert workdir.read(folder) == info
  report(folder, 0, 6)
  report(folder, 4, 8)
  lines = (epath.Path(folder) / "metrics.jsonl").read_text().splitlines()
  assert [json.loads(line)["step"] for line in lines] == list(range(1, 9))
  assert (epath.Path(folder) / "pictures/some.png").exists()


class NoBoard:
  def __init__(self, *args, **kwargs):
    pass

  def __getattr__(self, name):
    return lambda *args, **kwargs: None


def report(folder, start, stop):
  with reporting.Reporter(
    folder,
    "prior",
    start=start,
    steps=8,
    batch_size=2,
    console=Console(file=io.StringIO()),
  ) as reporter:
    for step in range(start + 1, stop + 1):
      metrics = {"loss": 1.0}
      if step % 3 == 0:
        metrics["validation_loss"] = 2.0
      reporter.step(step, metrics, write=True)
    reporter.pictures(step, {"some": np.zeros((4, 4, 1), np.uint8)})
