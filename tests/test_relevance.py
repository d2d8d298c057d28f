"""A flag that would change nothing with the other settings is refused.

For every setting and every combination of the settings that decide about it,
another value changes what the code builds from the settings, or it is refused.
"""

import dataclasses
import functools
import itertools
import pathlib
import re
from typing import Literal, get_args, get_origin

import jax
import jax.numpy as jnp
import pytest

import vqvae_jax
from vqvae_jax import commands
from vqvae_jax.commands.flags import flags_of
from vqvae_jax.config import (
  BaselineConfig,
  Config,
  PriorConfig,
  SampleConfig,
  StageConfig,
  StudyConfig,
  TokenizerConfig,
)
from vqvae_jax.config.fields import groups_of, rule_of, settings_of
from vqvae_jax.config.generators import REGISTERED
from vqvae_jax.data import DataSpec
from vqvae_jax.errors import ConfigError
from vqvae_jax.generators.vqvae.network import build_vqvae
from vqvae_jax.generators.vqvae.prior import build_prior
from vqvae_jax.training import optimizers

PACKAGE = pathlib.Path(vqvae_jax.__file__).parent
SPEC = DataSpec(
  name="x",
  image_shape=(32, 32, 1),
  class_names=("a", "b"),
  class_counts=(5, 5),
  num_train=10,
  num_validation=2,
  variance=0.1,
  augment="none",
  digest="d",
)
MODELS = {"tokenizer": "vqvae", "prior": "vqvae", "baseline": "vae"}
# Read by the loop and by the tasks, whatever the other settings are.
LOOP = {
  *(
    "steps",
    "batch_size",
    "accumulate",
    "weights_ema",
    "patience",
    "label_dropout",
  ),
  *("log_every", "eval_every", "checkpoint_every"),
}


def other(config, name):
  """Returns the settings with another value of a field that is allowed."""
  one = settings_of(type(config))[name]
  before = getattr(config, name)
  if get_origin(one.kind) is Literal:
    values = [v for v in get_args(one.kind) if v not in (before, "plateau")]
  elif one.kind is bool:
    values = [not before]
  elif one.is_list:
    values = [before[1:]]
  elif one.kind is int:
    values = [2 * (before or 4), 5, 3]
  else:
    values = [0.7 * (before or 0.5)]
  for value in values:
    try:
      return dataclasses.replace(config, **{name: value})
    except ConfigError:
      continue
  raise AssertionError(f"no other value of {name}")


def words(path, value):
  """Returns a setting as it is typed."""
  name = "--" + path.replace("_", "-")
  if isinstance(value, tuple):
    return [name, *map(str, value)]
  return [name] if value is True else [f"{name}={value}"]


def deciders(kind):
  """Returns the values to try of every setting of a group that decides."""
  found = {}
  for name in settings_of(kind):
    for decider in rule_of(kind, name).only:
      if decider in settings_of(kind):
        options = get_args(settings_of(kind)[decider].kind)
        found[decider] = options or (getattr(kind, decider), 0)
  return found


@functools.cache
def update(config: StageConfig) -> str:
  """Returns the program of an optimizer step, its numbers included."""
  config = config.with_defaults()
  params = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
  made = optimizers.optimizer(config)
  state = made.init(params)
  text = str(jax.make_jaxpr(made.update)(params, state, params))
  if config.schedule == "plateau":
    after = optimizers.plateau(config)
    text += str(
      jax.make_jaxpr(lambda *a: after.update(*a, value=1.0))(
        params, after.init(params), params
      )
    )
  return text


def of_stage(config):
  """Returns the part of a stage's settings that all stages have."""
  names = {"steps", *settings_of(StageConfig)} - LOOP
  return StageConfig(**{name: getattr(config, name) for name in names})


def built(group, config):
  """Returns all that is built from the settings of a stage."""
  parts = [update(of_stage(config.with_defaults(model="vae")))]
  parts += [getattr(config, name, None) for name in sorted(LOOP)]
  if group == "tokenizer":
    model = build_vqvae(config, 1, config.stride or 4)
    # The width of blocks that do not exist.
    parts.append(
      model if config.residual_layers else model.clone(residual_hidden=1)
    )
  elif group == "prior":
    parts.append(build_prior(Config(prior=config), SPEC))
  return parts


def combinations(group, shared=(True, False)):
  """Yields settings for all values of those that decide about others.

  The optimizer is built from the settings that all stages share, and the model
  from the others, so the two kinds need not be combined.
  """
  kind = groups_of(Config)[group]
  options = deciders(kind)
  for of_all in shared:
    names = [name for name in options if hasattr(StageConfig, name) == of_all]
    for values in itertools.product(*(options[name] for name in names)):
      chosen = dict(zip(names, values, strict=True))
      yield kind(**chosen), chosen


@pytest.mark.parametrize("group", ["tokenizer", "prior"])
def test_a_flag_changes_something_or_is_refused(group):
  refused = 0
  # The optimizer is the same for all stages.
  shared = (True, False) if group == "tokenizer" else (False,)
  for base, chosen in combinations(group, shared):
    args = [
      word for n, v in chosen.items() for word in words(f"{group}.{n}", v)
    ]
    before = built(group, base)
    for name in settings_of(type(base)):
      if name in chosen:
        continue
      changed = other(base, name)
      given = [*args, *words(f"{group}.{name}", getattr(changed, name))]
      if built(group, changed) != before:
        config = commands.parse(Config, given, "train.py")
        assert getattr(config, group) == changed
        continue
      with pytest.raises(
        ConfigError, match="would change nothing with"
      ) as error:
        commands.parse(Config, given, "train.py")
      flag = f"--{group}.{name}".replace("_", "-")
      assert str(error.value).startswith(f"{flag} ")
      refused += 1
  assert refused > {"tokenizer": 200, "prior": 10}[group]


def test_the_loop_reads_the_rest():
  rooms = [PACKAGE / name for name in ("training", "generators", "runs")]
  paths = itertools.chain(*(room.rglob("*.py") for room in rooms))
  code = "\n".join(path.read_text() for path in paths)
  for name in LOOP:
    assert re.search(rf"\.{name}\b", code), name


def test_all_stages_have_the_rules_of_their_optimizer():
  for kind in groups_of(Config).values():
    for name in settings_of(StageConfig):
      assert rule_of(kind, name).only == rule_of(StageConfig, name).only


# The models and likelihoods with which a setting of a baseline matters.
OF_BASELINE = {
  "beta": [("beta_vae", "bernoulli"), ("beta_vae", "gaussian")],
  "likelihood": [(m, "bernoulli") for m in ("ae", "vae", "beta_vae")],
  "pixel_std": [(m, "gaussian") for m in ("ae", "vae", "beta_vae")],
}


@pytest.mark.parametrize("model", ["ae", "vae", "beta_vae", "dcgan"])
def test_a_flag_of_a_baseline_is_refused_where_it_is_idle(model):
  for likelihood in ("bernoulli", "gaussian")[: 1 + (model != "dcgan")]:
    base = BaselineConfig(likelihood=likelihood)
    given = [f"--model={model}", f"--baseline.likelihood={likelihood}"]
    for name in settings_of(BaselineConfig):
      if name in settings_of(StageConfig):
        continue
      value = getattr(other(base, name), name)
      args = [*given[: 1 + (name != "likelihood")]]
      args += words(f"baseline.{name}", value)
      matters = OF_BASELINE.get(name, [(model, likelihood)])
      if (model, likelihood) in matters or value == "bernoulli":
        config = commands.parse(Config, args, "train.py")
        assert getattr(config.baseline, name) == value
      else:
        with pytest.raises(ConfigError, match="would change nothing with"):
          commands.parse(Config, args, "train.py")


@pytest.mark.parametrize("group", MODELS)
def test_flags_of_stages_that_a_model_lacks_are_refused(group):
  kind = groups_of(Config)[group]
  for model, entry in REGISTERED.items():
    if group in entry.stages:
      continue
    for name in settings_of(kind):
      value = getattr(other(kind(), name), name)
      args = [f"--model={model}", *words(f"{group}.{name}", value)]
      with pytest.raises(ConfigError, match=f"with --model={model}; it needs"):
        commands.parse(Config, args, "train.py")


# The modes of sample.py that read a setting; all modes read the others.
READ = {
  "labels": "prior perturb mix inpaint walk",
  "seed": "prior perturb mix inpaint walk",
  "dataset": "perturb mix inpaint walk reconstruct",
  "temperature": "prior perturb inpaint",
  "top_k": "prior inpaint",
  "top_p": "prior inpaint",
  "guidance": "prior inpaint",
  "decode_steps": "prior inpaint",
  "share": "inpaint",
  "walk_steps": "walk",
  "step_size": "walk",
}
GIVEN = {
  "from_step": "200",
  "out": "x",
  "dataset": "npz:x",
  "labels": "as-data",
  "worker": "1/2",
}


@pytest.mark.parametrize("name", settings_of(SampleConfig))
def test_a_flag_of_a_job_is_refused_where_it_is_idle(name):
  if name in ("mode", "verify", "workdir"):
    return
  base = SampleConfig(workdir="r")
  if name in ("coordinator", "num_processes", "process_index"):
    with pytest.raises(ConfigError, match="is for --multihost"):
      commands.parse(
        SampleConfig, ["--workdir=r", *words(name, 1)], "sample.py"
      )
    return
  if name == "repair":
    with pytest.raises(ConfigError, match="--repair is for --resume"):
      commands.parse(SampleConfig, ["--workdir=r", "--repair"], "sample.py")
    return
  value = GIVEN.get(name) or getattr(other(base, name), name)
  modes = get_args(settings_of(SampleConfig)["mode"].kind)
  for mode in modes:
    args = ["--workdir=r", f"--mode={mode}", *words(name, value)]
    if mode in READ.get(name, " ".join(modes)).split():
      config = commands.parse(SampleConfig, args, "sample.py")
      assert getattr(config, name) == value
    else:
      with pytest.raises(ConfigError, match=f"nothing with --mode={mode}; it"):
        commands.parse(SampleConfig, args, "sample.py")
  if name != "out":
    # Checking reads the folder of the job alone.
    with pytest.raises(ConfigError, match="nothing with --verify"):
      commands.parse(SampleConfig, ["--verify", *words(name, value)], "s.py")


def test_the_likeliest_id_is_not_chosen_among_several():
  for flag in ("--top-k=5", "--top-p=0.5"):
    args = ["--workdir=r", "--temperature=0", flag]
    with pytest.raises(ConfigError, match="it needs --temperature above 0"):
      commands.parse(SampleConfig, args, "sample.py")


@pytest.mark.parametrize(
  ("kind", "args", "said"),
  [
    (
      Config,
      "--data-dir=x",
      "--data-dir x would change nothing with --dataset",
    ),
    (Config, "--data-dir=x --dataset=npz:x", "--dataset=npz:x; it needs"),
    (Config, "--group-regex=x", "it needs --dataset naming folder:DIR"),
    (
      Config,
      "--dataset=mnist --labels-csv=x",
      "with --dataset=mnist; it needs",
    ),
    (Config, "--model=vae --stage=prior", "--stage prior is for --model=vqvae"),
    (StudyConfig, "--baseline.beta=2", "it needs --generators=beta_vae"),
    (StudyConfig, "--generators vae --prior.steps=9", "--generators=vqvae"),
    (StudyConfig, "--generators vqvae-mix --baseline.steps=9", "--generators"),
    (StudyConfig, "--quick --seeds=5", "--seeds 5 would change nothing with"),
    (StudyConfig, "--quick --classifiers tuned simple", "which takes tuned"),
    (StudyConfig, "--quick --prior.steps=999", "--quick, which takes 300"),
  ],
)
def test_flags_that_other_flags_make_idle_are_refused(kind, args, said):
  with pytest.raises(ConfigError) as caught:
    commands.parse(kind, args.split(), "train.py")
  assert said in str(caught.value)


@pytest.mark.parametrize(
  ("kind", "args"),
  [
    (Config, "--model=vae --baseline.steps=9 --batch-size=8"),
    (Config, "--data-dir=x --dataset=mnist"),
    (Config, "--dataset=folder:x --group-regex=x --labels-csv=x"),
    (StudyConfig, "--generators vqvae vae --baseline.steps=9 --prior.steps=9"),
    (StudyConfig, "--generators vqvae-mix --tokenizer.steps=9"),
    (StudyConfig, "--generators beta_vae --baseline.beta=2"),
    (StudyConfig, "--generators vae-walk --baseline.likelihood=gaussian"),
    (StudyConfig, "--quick --seeds=1 --classifiers tuned --primary=dcgan"),
  ],
)
def test_settings_that_matter_are_kept(kind, args):
  commands.parse(kind, args.split(), "train.py")


def test_every_default_may_be_given():
  """By scripts that pass all flags."""
  args = ["--tokenizer.quantizer=fsq", "--prior.kind=pixelcnn", "--model=vqvae"]
  expected = commands.parse(Config, args, "train.py")
  for name, flag in flags_of(Config).items():
    default = flag.setting.default
    if name in ("--tokenizer.quantizer", "--prior.kind", "--model"):
      continue
    if flag.setting.is_list and default is not None:
      args += [name, *map(str, default)]
    elif flag.takes_value:
      args.append(f"{name}={default}")
    else:
      args.append(name if default else flag.opposite)
  assert len(args) > 110
  assert commands.parse(Config, args, "train.py") == expected


def test_settings_of_python_code_may_be_idle():
  """A stored configuration holds them, and old runs must be read."""
  Config(model="vae", tokenizer=TokenizerConfig(hidden=8))
  TokenizerConfig(quantizer="fsq", codebook_size=1024, orthogonality=0.5)
  PriorConfig(kernel=5)
  SampleConfig(workdir="r", mode="mix", top_k=5)
