"""The smallest study, for the tests of whole ones and of their parts."""

import dataclasses
import io

import tiny
from rich.console import Console

from vqvae_jax.config import BaselineConfig, StudyConfig
from vqvae_jax.study import run
from vqvae_jax.study.schedule import Schedule

GENERATORS = ("vqvae", "vae")


def settings(dataset, out, **changes) -> StudyConfig:
  like = tiny.config(dataset, out)
  steps = {"steps": 6, "log_every": 1, "eval_every": 3}
  base = StudyConfig(
    dataset=dataset,
    out=str(out),
    num_real=45,
    num_synthetic=60,
    seeds=1,
    generators=GENERATORS,
    classifiers=("simple",),
    classifier_steps=4,
    real_shares=(0.5, 0.75),
    tokenizer=dataclasses.replace(like.tokenizer, **steps),
    prior=dataclasses.replace(like.prior, **steps),
    baseline=BaselineConfig(hidden=8, latent_dim=2, warmup_steps=2, **steps),
  )
  return dataclasses.replace(base, **changes)


def call(config) -> str:
  console = Console(file=io.StringIO(), width=200)
  run.study(config, console)
  return console.file.getvalue()


def schedule() -> Schedule:
  """For a seed that is looked at by itself."""
  return Schedule(Console(file=io.StringIO(), width=200))
