"""`train.py` and `sample.py` as commands: a mistake costs one line."""

import re
import subprocess
import sys

import numpy as np
import pytest
import tiny
from PIL import Image

from vqvae_jax import cli


def call(name, monkeypatch, capsys, *flags) -> tuple[int, str]:
  """Returns the exit status and what stands on the standard error."""
  monkeypatch.setattr(sys, "argv", [f"{name}.py", *flags])
  return cli.main(name), capsys.readouterr().err


def save(path, **arrays):
  np.savez(path, **arrays)
  return f"--dataset=npz:{path}"


def images(count=20, size=8, dtype=np.uint8):
  pixels = np.random.default_rng(0).integers(0, 255, (count, size, size, 1))
  return pixels.astype(dtype)


def bad_inputs(folder):
  """Name: flags that cannot work, and what the one line must say."""
  labels = np.arange(20) % 2
  (folder / "set" / "cat").mkdir(parents=True)
  (folder / "set" / "dog").mkdir()
  for n in range(4):
    pixels = np.zeros((8 + (n == 3), 8), np.uint8)
    Image.fromarray(pixels).save(folder / "set" / "cat" / f"{n}.png")
  mixed = folder / "mixed"
  for name in ("cat", "dog"):
    (mixed / name).mkdir(parents=True)
    for n in range(4):
      pixels = np.zeros((8 + 4 * (n == 3), 8), np.uint8)
      Image.fromarray(pixels).save(mixed / name / f"{n}.png")
  good = save(folder / "good.npz", images=images(), labels=labels)
  return {
    "no folder": (["--dataset=folder:nowhere"], ["nowhere"]),
    "empty class": ([f"--dataset=folder:{folder}/set"], ["dog", "has no PNG"]),
    "mixed sizes": ([f"--dataset=folder:{mixed}"], ["--image-size"]),
    "rank": (
      [save(folder / "a.npz", images=np.zeros(20, np.uint8))],
      ["[20]"],
    ),
    "dtype": (
      [save(folder / "b.npz", images=images(dtype=np.float32))],
      ["float32", "uint8"],
    ),
    "multi-label": (
      [save(folder / "c.npz", images=images(), labels=np.zeros((20, 3), int))],
      ["[20, 3]"],
    ),
    "negative label": (
      [save(folder / "d.npz", images=images(), labels=labels - 1)],
      ["-1"],
    ),
    "too many": ([good, "--num-train-images=99"], ["99"]),
    "no such set": (["--dataset=mnits"], ["mnits", "mnist"]),
    "mesh": ([good, "--batch-size=12"], ["12", "8 devices"]),
    "stride": ([good, "--tokenizer.stride=16"], ["16", "8x8"]),
    "nan": ([good, "--prior.learning-rate=nan"], ["--prior.learning-rate nan"]),
    "negative rate": (
      [good, "--tokenizer.learning-rate=-1"],
      ["--tokenizer.learning-rate -1"],
    ),
    "group": ([good, "--group-regex=(.*)"], ["--group-regex"]),
    "channels": ([good, "--batch-size=0"], ["--batch-size 0"]),
  }


def test_bad_input_is_one_line_before_training(tmp_path, monkeypatch, capsys):
  for name, (flags, said) in bad_inputs(tmp_path).items():
    run = tmp_path / f"run {name}"
    status, error = call(
      "train", monkeypatch, capsys, *flags, f"--workdir={run}"
    )
    assert status == 2, name
    assert error.count("\n") == 1, (name, error)
    assert error.startswith("error: "), (name, error)
    for part in said:
      assert part in error, (name, error)
    # Nothing was begun.
    assert not run.exists(), name


@pytest.mark.parametrize(
  ("flags", "said"),
  [
    (["--workdir=nowhere"], "nowhere does not exist"),
    (["--workdir=nowhere", "--top-p=0"], "--top-p 0.0 must be above 0 and at"),
    (["--workdir=nowhere", "--temperature=nan"], "--temperature nan"),
  ],
)
def test_sample_says_what_is_wrong(flags, said, monkeypatch, capsys):
  status, error = call("sample", monkeypatch, capsys, *flags)
  assert status == 2
  assert error.startswith("error: ")
  assert said in error


@pytest.mark.parametrize("name", ["train", "sample", "study"])
def test_console_commands(name):
  """Each is a function of `cli` that ends the process, as a script does."""
  code = f"import sys, vqvae_jax.cli as cli; sys.argv[0] = '{{}}'; cli.{name}()"

  def call(argv0, *args):
    return subprocess.run(
      [sys.executable, "-c", code.format(argv0), *args],
      capture_output=True,
      text=True,
      check=False,
    )

  asked = call(f"/bin/vqvae-{name}", "--help")
  assert asked.returncode == 0 and not asked.stderr
  assert asked.stdout.startswith(f"usage: vqvae-{name} [--FLAG=VALUE ...]")
  assert not re.search("python (train|sample|-m)", asked.stdout)
  wrong = call("-c", "--zzz=1")
  assert wrong.returncode == 2
  prog = {"study": "python -m vqvae_jax.study"}.get(name, f"{name}.py")
  assert wrong.stderr.startswith(f"error: --zzz is not a flag of {prog}; ")
  assert wrong.stderr.count("\n") == 1


def test_unlabelled_images_from_end_to_end(tmp_path, monkeypatch, capsys):
  """Two commands on a flat folder: train, then sample."""
  folder = tmp_path / "flat"
  folder.mkdir()
  rng = np.random.default_rng(0)
  for n in range(40):
    pixels = rng.integers(0, 255, (8, 8), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / f"{n}.png")
  base = tiny.config(f"folder:{folder}", tmp_path / "run")
  flags = [
    f"--dataset={base.dataset}",
    f"--workdir={base.workdir}",
    "--batch-size=16",
    "--tokenizer.codebook-size=16",
    "--tokenizer.hidden=8",
    "--tokenizer.quantizer=vq",
    "--prior.width=8",
    "--prior.heads=2",
    "--prior.layers=1",
    "--tokenizer.steps=3",
    "--prior.steps=3",
  ]
  status, error = call("train", monkeypatch, capsys, *flags)
  assert status == 0, error
  out = tmp_path / "out"
  status, error = call(
    "sample",
    monkeypatch,
    capsys,
    f"--workdir={base.workdir}",
    f"--out={out}",
    "--num-images=9",
  )
  assert status == 0, error
  written = sorted(p.name for p in (out / "images" / "unlabelled").iterdir())
  assert written == [f"{n:08d}.png" for n in range(9)]
