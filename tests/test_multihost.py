"""Two processes with two devices each do what one with four does."""

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys

import jax
import multihost_process
import numpy as np
import pytest
import tiny

from vqvae_jax.config import Config, SampleConfig
from vqvae_jax.errors import ConfigError
from vqvae_jax.generators import build
from vqvae_jax.generators.weights import load_stage
from vqvae_jax.sharding import make_mesh
from vqvae_jax.training import workdir

HERE = pathlib.Path(__file__).parent


def start(*arguments):
  environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
  environment |= {
    "PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE)]),
    "JAX_PLATFORMS": "cpu",
    "JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir,
  }
  return subprocess.Popen(
    [
      sys.executable,
      str(HERE / "multihost_process.py"),
      *map(str, arguments),
    ],
    env=environment,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def finish(process):
  shown, errors = process.communicate(timeout=300)
  assert process.returncode == 0, shown + errors
  return shown


@contextlib.contextmanager
def devices(count):
  with pytest.MonkeyPatch.context() as patch:
    mesh = make_mesh(jax.devices()[:count])
    # The package has a function of the name of this module.
    run = sys.modules["vqvae_jax.runs.train"]
    patch.setattr(run, "make_mesh", lambda: mesh)
    yield


@pytest.fixture(scope="module")
def runs(dataset, tmp_path_factory):
  """Folders of one process with four devices and of two with two, and what
  the two showed."""
  root = tmp_path_factory.mktemp("multihost")
  with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    address = f"127.0.0.1:{free.getsockname()[1]}"
  two = [start(dataset, root / "two", address, 2, n) for n in range(2)]
  with devices(4):
    tiny.run(multihost_process.config(dataset, root / "one"))
  return root / "one", root / "two", [finish(process) for process in two]


def leaves(folder):
  info = workdir.read(folder / "run")
  mesh = make_mesh(jax.devices()[:1])
  found = [
    load_stage(folder / "run", stage, info.spec, mesh)[0]
    for stage in build(info.config, info.spec).stages
  ]
  return jax.tree.leaves(jax.device_get(found))


def test_parameters_are_those_of_one_process(runs):
  one, two, _ = runs
  for a, b in zip(leaves(one), leaves(two), strict=True):
    # Six steps in float32, sums in another order.
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_each_process_reads_its_share_and_the_first_one_speaks(runs):
  _, folder, (first, second) = runs
  # 14 are the validation images that are pictured, 16 would be whole batches.
  assert "rows of a batch: [8, 14]" in first
  assert "rows of a batch: [8, 14]" in second
  assert "done in" in first and "done in" not in second
  lines = (folder / "run" / "metrics.jsonl").read_text().splitlines()
  steps = [json.loads(line)["step"] for line in lines]
  assert steps == [*range(1, 7), *range(1, 7)]


def test_images_do_not_depend_on_the_processes(runs):
  _, folder, _ = runs
  # With the weights of two processes, by one process with eight devices.
  tiny.sample(multihost_process.sampling(folder, "again"))
  sums = [
    [s["sha256"] for s in json.loads(path.read_text())["shards"]]
    for path in (folder / out / "manifest.json" for out in ("out", "again"))
  ]
  assert len(sums[0]) == 5
  assert sums[0] == sums[1]


@pytest.mark.parametrize("count", [1, 8])
def test_checkpoints_restore_on_other_devices(runs, count, dataset, tmp_path):
  shutil.copytree(runs[1] / "run", tmp_path / "run")
  config = multihost_process.config(dataset, tmp_path, stage="prior")
  more = dataclasses.replace(config.prior, steps=8)
  with devices(count):
    screen = tiny.run(dataclasses.replace(config, prior=more))
  assert "prior: resumed at step 6 of 8" in screen


@pytest.mark.parametrize(
  ("flags", "message"),
  [
    ({"coordinator": "a:1"}, "--coordinator a:1 is for --multihost"),
    (
      {"multihost": True, "num_processes": 2},
      "come together; only --num-processes was given",
    ),
    (
      {
        "multihost": True,
        "coordinator": "a:1",
        "num_processes": 2,
        "process_index": 2,
      },
      "--process-index 2 is not below --num-processes 2",
    ),
  ],
)
def test_flags_of_a_process_fit_together(flags, message):
  for kind in (Config, SampleConfig):
    required = {"workdir": "run"} if kind is SampleConfig else {}
    with pytest.raises(ConfigError, match=message):
      kind(**required, **flags)
