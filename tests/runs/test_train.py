"""Whole runs: what lands in the run folder, resuming, refusing, stopping."""

import dataclasses
import math
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
import tiny
from tiny import read_metrics, state_digest

from vqvae_jax.config import Config
from vqvae_jax.config.generators import stages_of
from vqvae_jax.errors import RunError
from vqvae_jax.training import checkpoints, place, workdir

ROOT = pathlib.Path(__file__).parents[2]


def test_run_folder(tiny_run):
  folder, screen = tiny_run
  assert checkpoints.latest_step(folder / "tokenizer") == 12
  assert checkpoints.latest_step(folder / "prior") == 12
  assert {p.name for p in (folder / "pictures").iterdir()} == {
    "reconstructions.png",
    "codebook_usage.png",
    "samples.png",
  }
  for stage in stages_of("vqvae"):
    for run in ("train", "validation"):
      assert list((folder / stage / run).glob("events.*"))
  assert (
    "bars.npz: 58 training and 14 validation images of 8x8x1; 18 kept for "
    "testing, not opened"
  ) in screen
  # Quiet about everything else: no warning, no traceback.
  assert "warning" not in screen.lower()


def test_metrics_have_each_step_once(tiny_run):
  folder, _ = tiny_run
  lines = read_metrics(folder)
  for stage in stages_of("vqvae"):
    steps = [line["step"] for line in lines if line["stage"] == stage]
    assert steps == list(range(1, 13))
  evaluated = [
    line["step"]
    for line in lines
    if line["stage"] == "tokenizer" and "validation_usage" in line
  ]
  assert evaluated == [4, 8, 12]
  first = lines[0]
  assert {"loss", "reconstruction", "commitment", "perplexity"} <= set(first)
  assert all(math.isfinite(line["gradient_norm"]) for line in lines)


def test_learns(tiny_run):
  folder, _ = tiny_run
  lines = [x for x in read_metrics(folder) if "validation_loss" in x]
  for stage in stages_of("vqvae"):
    losses = [x["validation_loss"] for x in lines if x["stage"] == stage]
    assert losses[-1] < losses[0]


def test_a_finished_run_does_nothing_more(tiny_run):
  folder, _ = tiny_run
  before = state_digest(folder, "prior"), read_metrics(folder)
  screen = tiny.run(workdir.read(folder).config)
  assert "tokenizer: step 12 of 12 is done already" in screen
  assert "prior: step 12 of 12 is done already" in screen
  assert (state_digest(folder, "prior"), read_metrics(folder)) == before


def start_process(config: Config) -> subprocess.Popen:
  """`train.py` with the flags of a configuration, on one device."""
  flags = []
  for name, value in dataclasses.asdict(config).items():
    fields = value if isinstance(value, dict) else {"": value}
    for inner, setting in fields.items():
      flag = f"{name}.{inner}".strip(".").replace("_", "-")
      if isinstance(setting, tuple):
        flags += [f"--{flag}", *map(str, setting)]
      elif isinstance(setting, bool):
        flags += [f"--{flag}"] * setting
      elif setting is not None:
        flags.append(f"--{flag}={setting}")
  return subprocess.Popen(
    [sys.executable, str(ROOT / "train.py"), *flags],
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
    env=os.environ
    | {
      "JAX_PLATFORMS": "cpu",
      "JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir,
      "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    },
  )


def wait_for_lines(process: subprocess.Popen, folder, count: int):
  """Until metrics.jsonl has so many lines, or the process ends."""
  path = pathlib.Path(folder) / "metrics.jsonl"
  while process.poll() is None:
    if path.exists() and path.read_text().count("\n") >= count:
      return
    time.sleep(0.002)


def test_killed_and_resumed_is_the_same_bit_for_bit(dataset, tmp_path):
  straight = tiny.config(dataset, tmp_path / "straight")
  process = start_process(straight)
  output, _ = process.communicate()
  assert process.returncode == 0, output
  killed = tiny.config(dataset, tmp_path / "killed")
  kills = 0
  # Within each stage, and about the time of a checkpoint and of the change.
  for lines in (4, 11, 18):
    process = start_process(killed)
    wait_for_lines(process, killed.workdir, lines)
    time.sleep(random.Random(lines).uniform(0, 0.05))
    process.kill()
    process.communicate()
    kills += process.returncode == -signal.SIGKILL
  process = start_process(killed)
  output, _ = process.communicate()
  assert process.returncode == 0, output
  assert kills == 3
  assert "resumed at step" in output or "done already" in output
  for stage in stages_of("vqvae"):
    expected = state_digest(straight.workdir, stage)
    assert state_digest(killed.workdir, stage) == expected
  timeless = [
    [{k: v for k, v in line.items() if k != "images_per_second"} for line in f]
    for f in map(read_metrics, (straight.workdir, killed.workdir))
  ]
  assert timeless[0] == timeless[1]


def test_sigterm_saves_and_says_where_to_go_on(dataset, tmp_path):
  config = tiny.config(dataset, tmp_path / "run")
  config = dataclasses.replace(
    config,
    tokenizer=dataclasses.replace(
      config.tokenizer, steps=100_000, checkpoint_every=100_000
    ),
  )
  process = start_process(config)
  wait_for_lines(process, config.workdir, 3)
  process.terminate()
  output, _ = process.communicate()
  assert process.returncode == 128 + signal.SIGTERM, output
  step = checkpoints.latest_step(tmp_path / "run" / "tokenizer")
  assert step >= 3
  assert f"SIGTERM: tokenizer saved at step {step}; the same command" in output
  steps = [line["step"] for line in read_metrics(config.workdir)]
  assert steps == list(range(1, step + 1))


def test_a_second_run_in_one_folder_is_refused(dataset, tmp_path):
  config = tiny.config(dataset, tmp_path)
  with (
    place.lock(tmp_path),
    pytest.raises(RunError, match="another run is at work in"),
  ):
    tiny.run(config)
  # The lock is free again, and nothing was left by the run that was refused.
  with place.lock(tmp_path):
    assert [p.name for p in tmp_path.iterdir()] == [".lock"]


def test_more_steps_of_a_finished_stage(dataset, tmp_path):
  config = tiny.config(dataset, tmp_path, stage="tokenizer")
  tiny.run(config)
  more = dataclasses.replace(config.tokenizer, steps=14)
  screen = tiny.run(dataclasses.replace(config, tokenizer=more))
  assert "tokenizer: resumed at step 12 of 14" in screen
  assert [x["step"] for x in read_metrics(tmp_path)] == list(range(1, 15))


def test_another_model_or_data_is_refused(tiny_run, dataset, tmp_path):
  folder, _ = tiny_run
  config = workdir.read(folder).config
  before = (folder / "config.json").read_text()
  changed = dataclasses.replace(
    config,
    seed=1,
    prior=dataclasses.replace(config.prior, width=16),
  )
  with pytest.raises(RunError) as error:
    tiny.run(changed)
  assert "seed was 0, now 1" in str(error.value)
  assert "prior.width was 8, now 16" in str(error.value)
  # The file at the same place now holds other images.
  other = tiny.write_npz(tmp_path / "bars.npz", count=120)
  moved = dataclasses.replace(config, dataset=other)
  with pytest.raises(RunError, match="holds other images|on other images"):
    tiny.run(moved)
  assert (folder / "config.json").read_text() == before


def test_a_longer_tokenizer_would_orphan_the_prior(tiny_run):
  folder, _ = tiny_run
  config = workdir.read(folder).config
  longer = dataclasses.replace(config.tokenizer, steps=20)
  with pytest.raises(RunError, match="trained on the tokenizer of step 12"):
    tiny.run(dataclasses.replace(config, tokenizer=longer))


def test_a_folder_of_something_else_is_refused(dataset, tmp_path):
  (tmp_path / "thesis.tex").write_text("years of work")
  with pytest.raises(RunError, match="'thesis.tex' but no config.json"):
    tiny.run(tiny.config(dataset, tmp_path))


def test_a_prior_needs_a_tokenizer(dataset, tmp_path):
  with pytest.raises(RunError, match="has no tokenizer yet"):
    tiny.run(tiny.config(dataset, tmp_path, stage="prior"))


def test_nan_stops_the_run_and_keeps_the_last_good_checkpoint(
  dataset, tmp_path
):
  config = tiny.config(dataset, tmp_path, stage="tokenizer")
  tiny.run(config)
  good = state_digest(tmp_path, "tokenizer")
  # What a diverged optimizer does, at a known step: weights become NaN.
  original = checkpoints.Checkpoints.restore

  def restore(self, like, iterator, step):
    state = original(self, like, iterator, step)
    bad = jax.tree.map(lambda x: x * np.nan, state.params)
    return state.replace(params=bad)

  more = dataclasses.replace(config.tokenizer, steps=30)
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(checkpoints.Checkpoints, "restore", restore)
    with pytest.raises(
      RunError, match="not finite at step 13; step 12 is kept"
    ):
      tiny.run(dataclasses.replace(config, tokenizer=more))
  assert state_digest(tmp_path, "tokenizer") == good


def test_early_stop_keeps_the_best(dataset, tmp_path):
  config = tiny.config(dataset, tmp_path, stage="tokenizer")
  # A learning rate that spoils everything after a few steps.
  stage = dataclasses.replace(
    config.tokenizer,
    steps=200,
    patience=2,
    eval_every=2,
    learning_rate=0.5,
    warmup_steps=4,
    schedule="constant",
    clip_norm=0,
  )
  screen = tiny.run(dataclasses.replace(config, tokenizer=stage))
  lines = [x for x in read_metrics(tmp_path) if "validation_loss" in x]
  losses = [x["validation_loss"] for x in lines]
  best = int(np.argmin(losses))
  # The third evaluation after the best one is never made.
  assert len(losses) == best + 3 < 100
  assert f"has not improved since step {lines[best]['step']}" in screen
  # The prior is trained on it; then the same command finds nothing to do.
  both = dataclasses.replace(config, tokenizer=stage, stage="all")
  tiny.run(both)
  assert "step 12 of 12 is done already" in tiny.run(both)
  patient = dataclasses.replace(stage, patience=0)
  with pytest.raises(RunError, match="prior was trained on the tokenizer of"):
    tiny.run(dataclasses.replace(both, tokenizer=patient))
