"""What is said before and after a training, and what is refused."""

import dataclasses
import json
import logging
import pathlib

import jax
import numpy as np
import pytest
from bars import SPEC, TOKENIZER, draw_batch, tokenizer_task
from tensorboardX.proto import event_pb2

from vqvae_jax import machine
from vqvae_jax.config import BaselineConfig, Config, PriorConfig, generators
from vqvae_jax.data import Data, Split
from vqvae_jax.errors import ConfigError
from vqvae_jax.generators import build
from vqvae_jax.runs import stages
from vqvae_jax.runs.summary import best_metrics
from vqvae_jax.sharding import make_mesh
from vqvae_jax.training import figures, plan
from vqvae_jax.training.programs import Programs

MESH = make_mesh(jax.devices()[:1])
GIGABYTE = 10**9


def sized(**changes):
  """Settings of a tiny run; `tokenizer_` and `prior_` name those of a stage."""

  def of(stage):
    return {
      name.removeprefix(stage): changes.pop(name)
      for name in list(changes)
      if name.startswith(stage)
    }

  return Config(
    tokenizer=dataclasses.replace(TOKENIZER, **of("tokenizer_")),
    prior=PriorConfig(**{"layers": 1, "width": 8, "heads": 2} | of("prior_")),
    **changes,
  )


@pytest.mark.parametrize(
  "changes, flag, need",
  [
    ({"batch_size": 10**6}, "--batch-size 1,000,000", "576 MB"),
    ({"prior_batch_size": 10**6}, "--prior.batch-size 1,000,000", "576 MB"),
    ({"tokenizer_codebook_size": 10**6}, "--tokenizer.codebook-size", "108 MB"),
    ({"tokenizer_code_dim": 10**4}, "--tokenizer.code-dim", "MB"),
    ({"tokenizer_hidden": 10**4}, "--tokenizer.hidden", "GB"),
    ({"prior_width": 10**4}, "--prior.width", "GB"),
    ({"prior_layers": 1000}, "--prior.layers", "MB"),
    (
      {"model": "vae", "baseline": BaselineConfig(latent_dim=60_000)},
      "--baseline.latent-dim",
      "GB",
    ),
    (
      {"model": "dcgan", "baseline": BaselineConfig(hidden=10**4)},
      "--baseline.hidden",
      "GB",
    ),
  ],
)
def test_too_large_is_refused_by_the_bytes(monkeypatch, changes, flag, need):
  monkeypatch.setattr(stages, "memory_bytes", lambda mesh: 5 * 10**6)
  with pytest.raises(ConfigError) as caught:
    stages.check_sizes(sized(**changes), SPEC, MESH)
  message = str(caught.value)
  assert flag in message
  assert need in message
  assert "this machine has 5.0 MB" in message
  assert "\n" not in message


def test_what_fits_is_not_refused(monkeypatch):
  stages.check_sizes(sized(), SPEC, MESH)
  stages.check_sizes(sized(model="vae"), SPEC, MESH)
  # Sizes of deep networks are told from two shallow ones, exactly.
  deep = sized(tokenizer_residual_layers=4)
  told = stages.parameters("tokenizer", deep, SPEC, MESH)
  monkeypatch.setattr(stages, "DEEP", 2)
  assert stages.parameters("tokenizer", deep, SPEC, MESH) == told


def test_image_sizes_are_refused_before_images_are_read(monkeypatch):
  monkeypatch.setattr(stages, "memory_bytes", lambda mesh: 25 * 10**6)
  with pytest.raises(ConfigError, match=r"--image-size 8,000: .* 576 MB"):
    stages.check_image_size(Config(image_size=8000), MESH)
  with pytest.raises(ConfigError, match="try --image-size=52"):
    stages.check_image_size(Config(image_size=50), MESH)
  stages.check_image_size(Config(image_size=50, model="vae"), MESH)
  stages.check_image_size(Config(), MESH)


def test_bytes_in_words():
  for count, words in (
    (0, "0 bytes"),
    (999, "999 bytes"),
    (999.7, "1.0 kB"),
    (1234, "1.2 kB"),
    (25e9, "25 GB"),
    (9.96e9, "10 GB"),
    (256e12, "256 TB"),
    (25.6e15, "25,600 TB"),
  ):
    assert machine.size(count) == words
  assert machine.memory_bytes(MESH) > GIGABYTE // 2
  assert machine.free_bytes(pathlib.Path("no/such/folder")) > 0


class Drawn(Split):
  """A training split of bars."""

  def __init__(self):
    self.labels = draw_batch(0, 30)["label"]

  def __len__(self):
    return 30

  def gather(self, rows):
    return jax.tree.map(lambda x: x[rows % 30], draw_batch(0, 30))


def test_the_training_goes_on_with_the_step_that_was_timed(caplog):
  data = Data(SPEC, {"train": Drawn(), "validation": Drawn()})
  task = tokenizer_task()
  programs = Programs(task, TOKENIZER, 16, MESH, key_seed=0)
  config = dataclasses.replace(TOKENIZER, eval_every=7)
  with jax.log_compiles(), caplog.at_level(logging.WARNING):
    cost, variables = plan.measure(
      "tokenizer", "tokenizer", task, config, programs, data, done=10
    )
    batch = plan._first_batch(programs, data)
    state = programs.first_state(data)
    programs.step((), state, batch, programs.key)
  compiled = [
    r.getMessage()
    for r in caplog.records
    if r.getMessage().startswith("Finished XLA compilation of jit(train_step)")
  ]
  assert len(compiled) == 1
  assert cost.steps == 20
  assert 0 < cost.step_seconds < 60
  # Three evaluations of one batch, each at most as long as a step.
  assert cost.evaluation_seconds == pytest.approx(
    3 * plan.EVALUATION * cost.step_seconds
  )
  state = programs.first_state(data)
  leaves = jax.tree.leaves(state.params)
  assert cost.parameters == sum(leaf.size for leaf in leaves)
  assert cost.memory_bytes > sum(leaf.nbytes for leaf in leaves)
  same = jax.tree.map(
    lambda a, b: bool((a == b).all()),
    variables,
    state.variables,
  )
  assert all(jax.tree.leaves(same))


def cost(name, seconds, steps=100, state_bytes=1000):
  return plan.Cost(
    name=name,
    title=name,
    steps=steps,
    batch_size=64,
    step_seconds=seconds / steps,
    compile_seconds=5.0,
    evaluation_seconds=0.0,
    parameters=1_500_000,
    state_bytes=state_bytes,
    memory_bytes=2 * GIGABYTE,
  )


def test_a_long_plan_says_what_shortens_it(tmp_path):
  costs = [cost("tokenizer", 1200), cost("prior", 10_000)]
  lines = plan.lines(
    costs, MESH, tmp_path, lambda name: f"a larger stride of {name}"
  )
  assert lines[0] == (
    "tokenizer: 1.5 million parameters; 100 steps of 64 images at 5.33 "
    "images/s: about 20 min"
  )
  assert lines[2].startswith("time: about 3 h 6 min if this machine")
  assert lines[3].startswith("memory: 2.0 GB of ")
  assert "disk: 6.0 kB for checkpoints" in lines[3]
  assert lines[4] == (
    "to halve the time: --tokenizer.steps=50 --prior.steps=50; or a larger "
    "stride of prior"
  )
  assert len(plan.lines([cost("prior", 60)], MESH, tmp_path, {}.get)) == 3
  # The second stage counts as left while the first is trained.
  prepared = stages.Prepared({}, costs)
  assert prepared.later("tokenizer") == 10_005
  assert prepared.later("prior") == 0
  with pytest.raises(ConfigError, match=r"need 3,000,000 TB, and .* free"):
    plan.check_disk([cost("prior", 1, state_bytes=10**18)], tmp_path)


def test_a_whole_run_is_planned_and_summed_up(tiny_run):
  folder, screen = tiny_run
  lines = screen.splitlines()
  assert lines[1].startswith("3 classes; augmentation ")
  assert lines[2] == f"run folder: {folder}"
  for stage in generators.stages_of("vqvae"):
    assert any(
      line.startswith(f"{stage}: ") and "12 steps of 16 images" in line
      for line in lines
    )
    assert any(f" {stage} 12/12  " in line for line in lines)
  assert lines[-3].startswith("done in ")
  stage = build(Config(), SPEC).stage("prior")
  best = best_metrics(folder, stage)
  assert f"{best['validation_nats_per_image']:.1f} nats per image" in lines[-3]
  assert "of the variance, PSNR " in lines[-3]
  assert lines[-2] == f"look at {folder}/pictures/samples.png"
  assert lines[-1] == (
    f"next: python sample.py --workdir={folder} --num-images=1000 --out=out"
  )
  entries = (folder / "metrics.jsonl").read_text().splitlines()
  losses = [
    entry["validation_loss"]
    for entry in map(json.loads, entries)
    if entry["stage"] == "prior" and "validation_loss" in entry
  ]
  assert best["validation_loss"] == min(losses)


def tags(folder):
  """Tags of the scalars and texts in the event files of a folder."""
  found = set()
  for path in folder.glob("events.*"):
    content = path.read_bytes()
    while content:
      length = int.from_bytes(content[:8], "little")
      event = event_pb2.Event.FromString(content[12 : 12 + length])
      found |= {value.tag for value in event.summary.value}
      content = content[16 + length :]
  return found


def test_charts_are_grouped_and_shared_by_both_splits(tiny_run):
  folder, _ = tiny_run
  groups = {"loss", "quality", "codebook", "optimizer", "speed", "pictures"}
  seen = {}
  for stage in generators.stages_of("vqvae"):
    train, held_out = (
      tags(folder / stage / run) for run in ("train", "validation")
    )
    seen[stage] = train | held_out
    assert f"loss/{stage}/loss" in train & held_out
    groups_here = {tag.split("/")[0] for tag in train | held_out}
    assert groups_here <= groups | {"configuration"}
    assert any(tag.startswith("configuration") for tag in train)
  assert "codebook/tokenizer/perplexity" in seen["tokenizer"]
  # Losses of two units are never in one chart.
  scalars = [
    {t for t in tags if not t.startswith("configuration")}
    for tags in seen.values()
  ]
  assert not scalars[0] & scalars[1]


def test_figures_have_units():
  words = figures.describe(
    {
      "loss": 0.3,
      "reconstruction": 0.0612,
      "validation_reconstruction": 0.0681,
      "validation_psnr": 21.34,
    }
  )
  assert words == [
    "error 0.061 of the variance (validation 0.068)",
    "PSNR 21.3 dB",
  ]
  laplace = figures.with_units({"reconstruction": 0.5}, "laplace")
  assert figures.describe(laplace) == ["error 0.500 standard deviations"]
  shares = {"loss": 2.4, "real_taken_for_real": 0.8, "fake_taken_for_real": 0.1}
  assert figures.describe(shares) == [
    "taken for real: real images 80%",
    "generated images 10%",
  ]
  held_out = {"loss": 1.0, "validation_nats_per_image": 90.04}
  assert figures.result(held_out) == "90.0 nats per image"
  # A mean squared error of 0.01 is a PSNR of 20 dB.
  assert figures.result({"validation_mse": 0.01}) == "PSNR 20.0 dB"
  assert np.all([figures.chart("vae", n)[0] == "train" for n in shares])
