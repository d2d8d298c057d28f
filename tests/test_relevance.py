"""A flag that the other settings make idle is refused."""

import dataclasses
from typing import get_args

import pytest

from vqvae_jax import commands
from vqvae_jax.commands.flags import flags_of
from vqvae_jax.config import (
  Config,
  StudyConfig,
  TokenizerConfig,
  relevance,
)
from vqvae_jax.config.tokenizer import Quantizer
from vqvae_jax.errors import ConfigError
from vqvae_jax.generators.vqvae.network import build_quantizer

# Another value than the default of every setting that may be idle.
OTHER = {
  "adam_b1": 0.8,
  "bits": 4,
  "code_dim": 32,
  "code_temperature": 0.5,
  "codebook_ema": 0.9,
  "codebook_norm": "l2",
  "codebook_size": 512,
  "commitment": 0.5,
  "decay_rate": 0.3,
  "decay_steps": 7,
  "depth": 3,
  "divergence": 0.1,
  "entropy": 0.2,
  "final_temperature": 0.5,
  "gradient": "rotation",
  "groups": 4,
  "heads": 2,
  "kernel": 5,
  "kmeans": 3,
  "levels": (5, 5),
  "momentum": 0.5,
  "orthogonality": 0.3,
  "pixel_std": 0.3,
  "plateau_factor": 0.3,
  "plateau_patience": 4,
  "quantizer_dropout": 0.5,
  "revive_below": 0.1,
  "shared_codebook": True,
  "weight_decay": 0.1,
}
MODELS = {"tokenizer": "vqvae", "prior": "vqvae", "baseline": "vae"}


def words(path, value):
  name = "--" + path.replace("_", "-")
  if isinstance(value, tuple):
    return [name, *map(str, value)]
  return [name] if value is True else [f"{name}={value}"]


def cases():
  """Group, setting, the setting that decides, a value of it, is it idle."""
  for group, rules in relevance._IN_GROUP.items():
    kind = next(f.type for f in dataclasses.fields(Config) if f.name == group)
    options = {f.name: get_args(f.type) for f in dataclasses.fields(kind)}
    for name, (decides, values) in rules.items():
      for value in options[decides]:
        yield group, name, decides, value, value not in values


def test_every_flag_that_another_one_makes_idle_is_refused():
  tried = 0
  for group, name, decides, value, idle in cases():
    args = [f"--model={MODELS[group]}", *words(f"{group}.{decides}", value)]
    args += words(f"{group}.{name}", OTHER[name])
    if not idle:
      config = commands.parse(Config, args, "train.py")
      assert getattr(getattr(config, group), name) == OTHER[name]
      continue
    with pytest.raises(ConfigError) as caught:
      commands.parse(Config, args, "train.py")
    flag = f"--{group}.{name}".replace("_", "-")
    message = str(caught.value)
    assert message.startswith(f"{flag} "), message
    assert f"; --{group}.{decides} is {value}" in message
    tried += 1
  assert tried > 100


def test_every_default_may_be_given():
  """By scripts that pass all flags."""
  args = ["--tokenizer.quantizer=fsq", "--prior.kind=pixelcnn", "--model=vqvae"]
  expected = commands.parse(Config, args, "train.py")
  for name, flag in flags_of(Config).items():
    if name in ("--tokenizer.quantizer", "--prior.kind", "--model"):
      continue
    if flag.takes_list and flag.default is not None:
      args += [name, *map(str, flag.default)]
    elif flag.takes_value:
      args.append(f"{name}={flag.default}")
    else:
      args.append(name if flag.default else flag.opposite)
  assert len(args) > 110
  assert commands.parse(Config, args, "train.py") == expected


def test_the_table_of_quantizers_is_what_they_are_built_from():
  for quantizer in get_args(Quantizer):
    base = TokenizerConfig(quantizer=quantizer)
    for name, (decides, quantizers) in relevance._TOKENIZER.items():
      assert decides == "quantizer"
      try:
        other = dataclasses.replace(base, **{name: OTHER[name]})
      except ConfigError:
        assert quantizer not in quantizers
        continue
      changed = build_quantizer(other) != build_quantizer(base)
      assert changed == (quantizer in quantizers), (quantizer, name)


@pytest.mark.parametrize(
  ("kind", "args", "said"),
  [
    (Config, "--baseline.hidden=8", "--baseline.hidden 8 is for --model=ae, "),
    (Config, "--model=vae --tokenizer.hidden=8", "--tokenizer.hidden 8 is for"),
    (Config, "--model=dcgan --prior.layers=2", "--model=vqvae; --model is dc"),
    (
      Config,
      "--model=dcgan --baseline.likelihood=gaussian",
      "--baseline.likelihood gaussian is for --model=ae, vae, beta_vae; ",
    ),
    (Config, "--model=vae --baseline.beta=2", "is for --model=beta_vae, not"),
    (Config, "--data-dir=x", "--data-dir x is for data sets that TFDS prep"),
    (Config, "--data-dir=x --dataset=npz:x", "--dataset is npz:x"),
    (StudyConfig, "--baseline.beta=2", "2.0 is for beta_vae; --generators is"),
    (StudyConfig, "--generators vae --prior.steps=9", "is for vqvae; --gener"),
    (StudyConfig, "--generators vqvae-mix --baseline.steps=9", "--generators"),
  ],
)
def test_settings_of_another_model_are_refused(kind, args, said):
  with pytest.raises(ConfigError) as caught:
    commands.parse(kind, args.split(), "train.py")
  assert said in str(caught.value)


@pytest.mark.parametrize(
  ("kind", "args"),
  [
    (Config, "--model=vae --baseline.steps=9 --batch-size=8"),
    (Config, "--data-dir=x --dataset=mnist"),
    (StudyConfig, "--generators vqvae vae --baseline.steps=9 --prior.steps=9"),
    (StudyConfig, "--generators vqvae-mix --tokenizer.steps=9"),
    (StudyConfig, "--generators beta_vae --baseline.beta=2"),
    (StudyConfig, "--generators vae-walk --baseline.likelihood=gaussian"),
  ],
)
def test_settings_that_matter_are_kept(kind, args):
  commands.parse(kind, args.split(), "train.py")


def test_settings_of_python_code_may_be_idle():
  """A stored configuration holds them, and old runs must be read."""
  Config(model="vae", tokenizer=TokenizerConfig(hidden=8))
  TokenizerConfig(quantizer="fsq", codebook_size=1024)
