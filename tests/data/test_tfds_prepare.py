"""What happens when a TFDS set is not on disk."""

import importlib.util
import os
import pathlib
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from test_tfds import prepare_on_disk

from vqvae_jax.config import Config
from vqvae_jax.data import load_data, tfds_prepare
from vqvae_jax.errors import DataError

ROOT = pathlib.Path(tfds_prepare.__file__).parents[2]


def refused(match, name, data_dir="/nowhere"):
  with pytest.raises(DataError, match=match) as caught:
    load_data(Config(dataset=name, data_dir=str(data_dir)))
  assert "\n" not in str(caught.value)


@pytest.fixture
def no_process(monkeypatch):
  def run(*args, **kwargs):
    raise AssertionError("a process was started")

  monkeypatch.setattr(subprocess, "run", run)


def test_names_that_nobody_knows(no_process, tmp_path):
  refused("unknown data set 'mnits'.* did you mean .*mnist", "mnits")
  refused("unknown data set 'a b'", "a b")
  for name, known in (
    ("CIFAR10", "cifar10"),
    ("CIFAR-10", "cifar10"),
    ("Cifar 100", "cifar100"),
    ("Fashion-MNIST", "fashion_mnist"),
    ("fashionmnist", "fashion_mnist"),
    ("FashionMNSIT", "fashion_mnist"),
    ("MNIST5K", "mnist5k"),
    ("mnist-5k", "mnist5k"),
    ("Folder:X/y", "folder:X/y"),
    ("NPZ:a.npz", "npz:a.npz"),
    ("fodler:x", "folder:x"),
    ("floder:x", "folder:x"),
    ("tfdsdir:x", "tfds-dir:x"),
  ):
    refused(f"did you mean {known}", name)
  refused("for that folder: folder:", str(tmp_path))
  refused("for that file: npz:x.npz", "x.npz")
  (tmp_path / "a.npz").touch()
  refused("did you mean npz:.*/a.npz", str(tmp_path / "a"))
  refused("emnist has no configuration 'foo'; it has: .*letters", "emnist/foo")
  refused("mnist has no configuration 'foo'; it has: none", "mnist/foo")


def test_no_network_is_told_with_what_works_without(
  no_process, monkeypatch, tmp_path
):
  monkeypatch.setattr(tfds_prepare, "online", lambda hosts: False)
  prepare_on_disk(tmp_path)
  (tmp_path / "downloads").mkdir()
  refused(
    "cifar10 is not prepared in .* no network .*: "
    "mnist5k, folder:DIR, npz:FILE, tiny$",
    "cifar10",
    tmp_path,
  )


def test_the_hosts_of_the_set_are_the_ones_that_are_tried(
  no_process, monkeypatch, tmp_path
):
  tried = []
  monkeypatch.setattr(tfds_prepare, "online", lambda hosts: tried.append(hosts))
  refused("no network", "mnist", tmp_path)
  refused("no network", "cifar10", tmp_path)
  assert tried == [{"storage.googleapis.com"}, {"www.cs.toronto.edu"}]


def test_another_process_prepares_and_sees_no_accelerator(
  monkeypatch, tmp_path, capsys
):
  def run(command, env, **kwargs):
    assert command[1:] == [
      "-m",
      "vqvae_jax.data.tfds_prepare",
      "mnist",
      "--data-dir",
      str(tmp_path),
    ]
    assert env["CUDA_VISIBLE_DEVICES"] == ""
    assert env["JAX_PLATFORMS"] == "cpu"
    prepare_on_disk(tmp_path, "array_record", name="mnist")
    return subprocess.CompletedProcess(command, 0, "")

  monkeypatch.setattr(tfds_prepare, "online", lambda hosts: True)
  monkeypatch.setattr(subprocess, "run", run)
  data = load_data(Config(dataset="mnist", data_dir=str(tmp_path)))
  assert data.spec.num_train == 24
  assert "downloading and preparing" in capsys.readouterr().err


def test_a_failed_preparation_says_why(monkeypatch, tmp_path):
  def run(command, **kwargs):
    return subprocess.CompletedProcess(command, 1, "the disk is full\nmore\n")

  monkeypatch.setattr(tfds_prepare, "online", lambda hosts: True)
  monkeypatch.setattr(subprocess, "run", run)
  refused("mnist could not be prepared in .*: the disk is full$", "mnist")


def test_online_connects_to_any_host_or_to_the_proxy(monkeypatch):
  for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
    monkeypatch.delenv(name, raising=False)
  connected = []

  def connect(address, timeout):
    connected.append(address)
    if address[0] == "dead":
      raise OSError("unreachable")
    return socket.socket()

  monkeypatch.setattr(socket, "create_connection", connect)
  assert tfds_prepare.online({"dead", "alive"})
  assert not tfds_prepare.online({"dead"})
  monkeypatch.setenv("https_proxy", "http://proxy:3128")
  connected.clear()
  assert tfds_prepare.online({"dead"})
  assert connected == [("proxy", 3128)]


def test_a_name_server_that_never_answers_does_not_hold_up(monkeypatch):
  for name in ("https_proxy", "HTTPS_PROXY"):
    monkeypatch.delenv(name, raising=False)
  monkeypatch.setattr(tfds_prepare, "_PATIENCE", 0.2)

  def connect(address, timeout):
    time.sleep(5)
    raise OSError

  monkeypatch.setattr(socket, "create_connection", connect)
  start = time.monotonic()
  assert not tfds_prepare.online({"example.org"})
  assert time.monotonic() - start < 2


BUILDER = """
import pathlib, sys
import numpy as np
import tensorflow_datasets as tfds
from vqvae_jax.data import tfds_prepare

class TinyDigits(tfds.core.GeneratorBasedBuilder):
  VERSION = tfds.core.Version("1.0.0")
  pkg_dir_path = pathlib.Path(sys.argv[1])

  def _info(self):
    features = tfds.features.FeaturesDict({
      "image": tfds.features.Image(shape=(8, 8, 1)),
      "label": tfds.features.ClassLabel(names=["even", "odd"]),
    })
    return tfds.core.DatasetInfo(builder=self, features=features)

  def _split_generators(self, manager):
    return {"train": self._generate_examples()}

  def _generate_examples(self):
    for i in range(40):
      image = np.random.default_rng(i).integers(0, 256, (8, 8, 1), np.uint8)
      yield i, {"image": image, "label": i % 2}

root = sys.argv[1]
tfds.builder("tiny_digits", data_dir=root + "/tfrecord").download_and_prepare()
sys.argv = ["prepare", "tiny_digits", "--data-dir", root + "/array_record"]
tfds_prepare.main()
"""


@pytest.mark.skipif(
  importlib.util.find_spec("tensorflow") is None,
  reason="preparing takes tensorflow-cpu, of requirements.txt",
)
def test_what_tfds_itself_prepares_can_be_read(tmp_path):
  subprocess.run(
    [sys.executable, "-c", BUILDER, str(tmp_path)],
    check=True,
    timeout=300,
    env=os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
  )

  def pixels(i):
    return np.random.default_rng(i).integers(0, 256, (8, 8, 1), np.uint8)

  for kind in ("tfrecord", "array_record"):
    files = list((tmp_path / kind).rglob("tiny_digits-train*"))
    assert len(files) == 1
    assert f".{kind}-" in files[0].name
    data = load_data(
      Config(dataset="tiny_digits", data_dir=str(tmp_path / kind)),
      ("train", "validation", "test"),
    )
    assert data.spec.class_names == ("even", "odd")
    assert [len(split) for split in data.splits.values()] == [26, 6, 8]
    labels = {pixels(i).tobytes(): i % 2 for i in range(40)}
    for split in data.splits.values():
      for image, label in zip(split.images, split.labels, strict=True):
        assert labels.pop(image.tobytes()) == label
