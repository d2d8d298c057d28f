"""What `--help` says, and what flags become."""

import dataclasses
import inspect
import re

import pytest
import tyro

from vqvae_jax.config import (
  BaselineConfig,
  Config,
  PriorConfig,
  SampleConfig,
  StudyConfig,
  TokenizerConfig,
)
from vqvae_jax.errors import ConfigError

STAGES = {
  "tokenizer": TokenizerConfig,
  "prior": PriorConfig,
  "baseline": BaselineConfig,
}


def comments(kind):
  """The comment right above each field, wherever the field is declared."""
  found = {}
  for base in reversed(kind.__mro__[:-1]):
    lines = [line.strip() for line in inspect.getsource(base).splitlines()]
    for name in base.__annotations__:
      place = next(
        i for i, line in enumerate(lines) if line.startswith(f"{name}: ")
      )
      start = place
      while lines[start - 1].startswith("#"):
        start -= 1
      found[name] = " ".join(line[1:].strip() for line in lines[start:place])
  return {f.name: found[f.name] for f in dataclasses.fields(kind)}


def bare(text):
  return re.sub(r"[\s│]", "", text)


@pytest.mark.parametrize("kind", [Config, SampleConfig, StudyConfig])
def test_every_field_is_explained_by_help(kind, capsys, monkeypatch):
  monkeypatch.setenv("COLUMNS", "80")
  with pytest.raises(SystemExit) as stop:
    tyro.cli(kind, args=["--help"])
  assert stop.value.code == 0
  shown = bare(capsys.readouterr().out)
  nested = STAGES.keys() & comments(kind).keys()
  for group in [kind, *(STAGES[name] for name in nested)]:
    for name, comment in comments(group).items():
      assert len(comment) > 5, f"{group.__name__}.{name} has no comment"
      assert bare(comment) in shown, f"{group.__name__}.{name}"
      if name not in nested:
        flag = f"--{group.PREFIX}{name}".replace("_", "-")
        assert flag in shown


@pytest.mark.parametrize(
  "args, config",
  [
    ([], Config()),
    (
      ["--dataset=cifar10", "--tokenizer.codebook-size=64"],
      Config(dataset="cifar10", tokenizer=TokenizerConfig(codebook_size=64)),
    ),
    (
      ["--prior.batch-size", "32", "--channels=3", "--stage=prior"],
      Config(stage="prior", channels=3, prior=PriorConfig(batch_size=32)),
    ),
  ],
)
def test_flags(args, config):
  assert tyro.cli(Config, args=args) == config


def test_bad_flag_is_refused_when_parsed(capsys):
  with pytest.raises((ConfigError, SystemExit)) as caught:
    tyro.cli(Config, args=["--tokenizer.learning-rate=nan"])
  said = f"{caught.value} {capsys.readouterr().err}"
  assert "--tokenizer.learning-rate nan is not a positive" in said
