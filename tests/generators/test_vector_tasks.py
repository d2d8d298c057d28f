"""The stage of autoencoders and DCGAN: what it measures, and whole runs."""

import dataclasses
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from bars import SPEC, draw_batch
from tiny import read_metrics, state_digest

from vqvae_jax.config import BaselineConfig, Config, from_dict
from vqvae_jax.errors import ConfigError, Interrupted, RunError
from vqvae_jax.generators import build
from vqvae_jax.sharding import make_mesh, replicated, to_global
from vqvae_jax.training import (
  checkpoints,
  continuing,
  loop,
  optimizers,
  workdir,
)
from vqvae_jax.training.state import init_state, make_train_step

BASELINE = BaselineConfig(
  latent_dim=3, hidden=6, steps=30, warmup_steps=3, learning_rate=3e-3
)


def task_of(model, spec=SPEC, **changes):
  baseline = dataclasses.replace(BASELINE, **changes)
  generator = build(Config(model=model, baseline=baseline), spec)
  return generator.stages[0].make_task(())


def start(task):
  batch = jax.tree.map(jnp.asarray, draw_batch(0))
  return jax.jit(task.init)(jax.random.key(0), batch), batch


@pytest.mark.parametrize("model, beta", [("vae", 1), ("beta_vae", 2.5)])
def test_the_loss_is_the_bound_over_the_numbers_of_an_image(model, beta):
  changes = {"beta": beta} if model == "beta_vae" else {}
  task = task_of(model, **changes)
  variables, batch = start(task)
  inputs = task.prepare((), batch, jax.random.key(0))
  loss, (metrics, _) = jax.jit(task.loss)(
    variables["params"], {}, inputs, jax.random.key(1)
  )
  np.testing.assert_allclose(
    loss,
    (metrics["reconstruction_nats"] + beta * metrics["kl_nats"]) / 64,
    rtol=1e-5,
  )
  np.testing.assert_allclose(
    metrics["elbo_nats"],
    -metrics["reconstruction_nats"] - metrics["kl_nats"],
    rtol=1e-5,
  )
  assert metrics["kl_nats"] > 0
  # Another draw of the latents, another loss; validation draws the same.
  other, _ = jax.jit(task.loss)(
    variables["params"], {}, inputs, jax.random.key(2)
  )
  assert abs(other - loss) > 1e-6


@pytest.mark.parametrize("model", ["vae", "dcgan"])
def test_padding_is_not_measured(model):
  task = task_of(model)
  variables, batch = start(task)
  mask = (jnp.arange(16) < 5).astype(jnp.float32)
  measure = jax.jit(lambda batch: task.evaluate(variables, (), batch))
  # What stands in the padded rows is without effect.
  sums = measure(batch | {"mask": mask})
  changed = batch["image"].at[5:].set(255 - batch["image"][5:])
  others = measure(batch | {"mask": mask, "image": changed})
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4), sums, others
  )
  assert sums["count"] == 5
  measured = task.summarize(sums)
  assert all(math.isfinite(float(value)) for value in measured.values())
  if model == "ae":
    np.testing.assert_allclose(
      measured["loss"], measured["reconstruction_nats"] / 64, rtol=1e-6
    )
  whole = task.summarize(measure(batch | {"mask": jnp.ones(16)}))
  assert abs(whole["loss"] - measured["loss"]) > 1e-6


def step_of(model, devices, accumulate=1, **changes):
  """The state and metrics after two steps."""
  task = task_of(model, optimizer="sgd", accumulate=accumulate, **changes)
  config = dataclasses.replace(
    BASELINE, optimizer="sgd", accumulate=accumulate, **changes
  ).resolve(model)
  mesh = make_mesh(jax.devices()[:devices])
  key = jax.device_put(jax.random.key(7), replicated(mesh))
  init = jax.jit(
    lambda batch, key: init_state(task, config, batch, key),
    out_shardings=replicated(mesh),
  )
  state = init(to_global(draw_batch(0), mesh), key)
  before = jax.device_get(state)
  step = jax.jit(make_train_step(task, config), donate_argnums=1)
  for seed in range(2):
    state, metrics = step((), state, to_global(draw_batch(seed), mesh), key)
  return before, jax.device_get(state), metrics


@pytest.mark.parametrize("model", ["vae", "dcgan"])
def test_eight_devices_step_as_one_does(model):
  before, one, _ = step_of(model, 1)
  _, eight, _ = step_of(model, 8)
  for name in ("params", "collections"):
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-5),
      getattr(one, name),
      getattr(eight, name),
    )
  moved = jax.tree.map(
    lambda a, b: np.abs(a - b).max() > 0, before.params, one.params
  )
  # A bias before a batch normalisation is without effect.
  assert np.mean(jax.tree.leaves(moved)) > 0.8
  if model == "dcgan":
    jax.tree.map(
      lambda a, b: np.testing.assert_array_less(0, np.abs(a - b).max()),
      before.collections,
      one.collections,
    )


def test_statistics_of_micro_batches_are_averaged():
  """Each moves them from the same place; their mean is the step's."""
  before, _, _ = step_of("dcgan", 1)
  task = task_of("dcgan")
  config = dataclasses.replace(BASELINE, accumulate=2).resolve("dcgan")
  key, batch = jax.random.key(7), jax.tree.map(jnp.asarray, draw_batch(0))
  before = before.replace(
    opt_state=optimizers.optimizer(config).init(before.params)
  )
  after, _ = jax.jit(make_train_step(task, config))((), before, batch, key)
  prepare_key, loss_key, _ = jax.random.split(jax.random.fold_in(key, 0), 3)
  inputs = task.prepare((), batch, prepare_key)
  loss = jax.jit(task.loss)
  parts = [
    loss(
      before.params,
      before.collections,
      jax.tree.map(lambda x, i=i: x[i::2], inputs),
      key,
    )[1][1]
    for i, key in enumerate(jax.random.split(loss_key))
  ]
  jax.tree.map(
    lambda got, a, b: np.testing.assert_allclose(
      got, (a[0] + b[0]) / 2, rtol=1e-4, atol=1e-6
    ),
    after.collections["batch_stats"],
    *parts,
  )


def config(dataset, folder, model, **changes):
  settings = {
    "latent_dim": 2,
    "hidden": 8,
    "steps": 12,
    "learning_rate": 3e-3,
    "warmup_steps": 2,
    "log_every": 1,
    "eval_every": 4,
    "checkpoint_every": 5,
  } | changes
  return tiny.config(
    dataset, folder, model=model, baseline=BaselineConfig(**settings)
  )


@pytest.mark.parametrize("model", ["vae", "dcgan"])
def test_stopped_and_resumed_is_the_same_bit_for_bit(
  model, dataset, tmp_path, monkeypatch
):
  straight = config(dataset, tmp_path / "straight", model)
  screen = tiny.run(straight)
  assert f"{model}, 2 latents per image" in screen
  assert "warning" not in screen.lower()
  folder = tmp_path / "straight"
  assert checkpoints.latest_step(folder / "baseline") == 12
  assert not (folder / "tokenizer").exists()
  names = {"samples.png"}
  if model != "dcgan":
    names.add("reconstructions.png")
  assert {p.name for p in (folder / "pictures").iterdir()} == names
  lines = read_metrics(folder)
  assert [line["step"] for line in lines] == list(range(1, 13))
  assert {line["stage"] for line in lines} == {"baseline"}
  if model != "dcgan":
    losses = [x["validation_loss"] for x in lines if "validation_loss" in x]
    assert losses[-1] < losses[0]
  # A finished run does nothing more.
  assert f"{model}: step 12 of 12 is done already" in tiny.run(straight)
  # A signal at step 7.
  killed = config(dataset, tmp_path / "killed", model)
  with monkeypatch.context() as patch:
    patch.setattr(
      loop.Interruption,
      "check",
      lambda self, step: setattr(self, "signum", 15 if step == 7 else None),
    )
    with pytest.raises(Interrupted, match="baseline saved at step 7"):
      tiny.run(killed)
  assert f"{model}: resumed at step 7 of 12" in tiny.run(killed)
  expected = state_digest(straight.workdir, "baseline")
  assert state_digest(killed.workdir, "baseline") == expected


def test_a_dcgan_keeps_its_latest_weights(dataset, tmp_path):
  run = config(dataset, tmp_path, "dcgan", steps=6)
  tiny.run(run)
  directory = tmp_path / "baseline" / "6"
  loaded = checkpoints.ocp.load(directory, checkpointable_name="model")
  rest = checkpoints.ocp.load(directory, checkpointable_name="training")
  assert int(loaded["step"]) == 6
  jax.tree.map(
    np.testing.assert_array_equal, loaded["variables"]["params"], rest["params"]
  )
  assert np.isinf(rest["best_loss"])


def test_settings_may_change_before_the_first_checkpoint_only(
  dataset, tmp_path
):
  first = config(dataset, tmp_path, "vae")
  info = workdir.RunInfo(first, SPEC)
  continuing.check_same_run(tmp_path, info)
  workdir.write(tmp_path, info)
  other = dataclasses.replace(
    first, baseline=dataclasses.replace(first.baseline, hidden=4)
  )
  continuing.check_same_run(tmp_path, workdir.RunInfo(other, SPEC))
  tiny.run(first)
  with pytest.raises(RunError, match="baseline.hidden was 8, now 4"):
    tiny.run(other)
  with pytest.raises(RunError, match="model was vae, now vqvae"):
    tiny.run(dataclasses.replace(first, model="vqvae"))
  # The settings of stages that this generator lacks may change.
  prior = dataclasses.replace(first.prior, width=16)
  assert "done already" in tiny.run(dataclasses.replace(first, prior=prior))


def test_a_run_from_before_there_were_other_generators(tiny_run):
  folder, _ = tiny_run
  values = json.loads((folder / "config.json").read_text())
  del values["config"]["model"], values["config"]["baseline"]
  del values["config"]["tokenizer"]["adam_b1"]
  assert from_dict(values["config"]) == workdir.read(folder).config


def test_images_that_cannot_be_halved_twice(tmp_path):
  odd = tiny.write_npz(tmp_path / "odd.npz", size=10)
  with pytest.raises(ConfigError, match="10x10; .* --image-size=8"):
    tiny.run(config(odd, tmp_path / "run", "ae"))
  assert not (tmp_path / "run").exists()
