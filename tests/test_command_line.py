"""Command lines: every wrong one is refused in one line, which says what is
meant; every right one becomes the settings that it asks for.
"""

import dataclasses
import random
import sys
from typing import Literal, get_args, get_origin

import pytest

from vqvae_jax import cli, commands
from vqvae_jax.commands import table
from vqvae_jax.commands.flags import flags_of
from vqvae_jax.commands.suggest import nearest
from vqvae_jax.config import (
  BaselineConfig,
  Config,
  PriorConfig,
  SampleConfig,
  StudyConfig,
  TokenizerConfig,
)
from vqvae_jax.errors import ConfigError

PROGS = {
  "train.py": Config,
  "sample.py": SampleConfig,
  "python -m vqvae_jax.study": StudyConfig,
}
FLAGS = {prog: flags_of(kind) for prog, kind in PROGS.items()}
ALL = [(prog, flag) for prog in PROGS for flag in FLAGS[prog].values()]


def refusal(prog, *args) -> str:
  """What is said about a wrong command line."""
  with pytest.raises(ConfigError) as caught:
    commands.parse(PROGS[prog], list(args), prog)
  message = str(caught.value)
  assert cli.one_line(message) == message, message
  return message


def typos(name):
  """A flag with a letter left out, two swapped, one doubled, one wrong."""
  rng = random.Random(name)
  at = rng.randrange(3, len(name) - 1)
  head, a, b, tail = name[:at], name[at], name[at + 1], name[at + 2 :]
  return {
    f"{head}{b}{tail}",
    f"{head}{b}{a}{tail}",
    f"{head}{a}{a}{b}{tail}",
    f"{head}x{b}{tail}",
  }


def test_every_mistyped_flag_is_answered_with_the_right_one():
  tried = 0
  # The study has most flags of train.py: once is enough.
  for prog, flag in {flag.name: (prog, flag) for prog, flag in ALL}.values():
    names = list(FLAGS[prog])
    for typo in typos(flag.name) - set(names):
      found = nearest(typo, names)
      assert flag.name in found, (typo, found)
      # Several only where they are as near, as --top-k and --top-p are.
      assert len(found) <= 3, (typo, found)
      tried += 1
  assert tried > 400


@pytest.mark.parametrize("form", ["{}=1", "{} 1"])
def test_the_nearest_flag_is_named_in_one_line(form):
  for prog in PROGS:
    flag = "--dataset" if "--dataset" in FLAGS[prog] else "--workdir"
    typed = flag.replace("ta", "t").replace("kd", "dk")
    message = refusal(prog, *form.format(typed).split())
    assert message == f"{typed} is not a flag of {prog}; did you mean {flag}?"


@pytest.mark.parametrize(
  ("prog", "args", "said"),
  [
    ("train.py", "--codebook-size=512", "mean --tokenizer.codebook-size?"),
    ("train.py", "--steps=1", "--steps could be --tokenizer.steps or --prior."),
    ("train.py", "--steps=1 --model=vae", "did you mean --baseline.steps?"),
    ("train.py", "--lr=0.1", "could be --tokenizer.learning-rate or --prior.l"),
    ("train.py", "--prior.lr=0.1", "did you mean --prior.learning-rate?"),
    ("train.py", "--epochs=10", "could be --tokenizer.steps or --prior.steps"),
    ("train.py", "--n=5", "did you mean --num-train-images?"),
    ("sample.py", "--n=5", "did you mean --num-images?"),
    ("sample.py", "-n 5", "did you mean --num-images?"),
    ("sample.py", "--out-dir=x", "did you mean --out?"),
    ("train.py", "--out=x", "did you mean --workdir?"),
    ("train.py", "--bs=4", "--bs could be --batch-size, --tokenizer.batch-"),
    ("train.py", "--prior.codebook-size=4", "mean --tokenizer.codebook-size?"),
    ("train.py", "mnist", "did you mean --dataset=mnist?"),
    ("train.py", "dataset=mnist", "did you mean --dataset=mnist?"),
    ("train.py", "—dataset=mnist", "did you mean --dataset?"),
    ("sample.py", "runs/x", "did you mean --workdir=runs/x?"),
    ("train.py", "--dataset=folder:my photos", "--dataset='folder:my photos'"),
    ("sample.py", "--resume true", "--resume takes no value"),
    ("sample.py", "--resume=true", "takes no value; write --resume or --no-re"),
    ("train.py", "--tokenizer=3", "a group of flags"),
    ("train.py", "--zzz=1", "--zzz is not a flag of train.py; train.py --help"),
    ("train.py", "--", "-- is not a flag"),
    ("train.py", "help", "did you mean --help?"),
    ("train.py", "--help=all", "--help takes no value"),
    ("train.py", "--image-size=abc", "--image-size abc is not a whole number"),
    ("train.py", "--seed=1e3", "--seed 1e3 is not a whole number"),
    ("train.py", "--seed=1 --seed=1", "--seed is given twice"),
    ("sample.py", "--resume --no-resume", "--resume is given twice"),
    ("train.py", "--tokenizer.levels 8 x", "--tokenizer.levels x is not a wh"),
    ("train.py", "--image-size --seed=1", "--image-size has no value"),
    ("train.py", "--workdir=", "--workdir has no value"),
    (
      "train.py",
      "--prior.learning-rate -1",
      "--prior.learning-rate -1.0 must be above 0",
    ),
    ("sample.py", "--workdir=x --temperature=-1", "-1.0 must be at least 0"),
    ("sample.py", "", "--workdir is missing"),
  ],
)
def test_what_is_said_of_a_wrong_command_line(prog, args, said):
  assert said in refusal(prog, *args.split(" ") if args else [])


def test_every_flag_refuses_what_is_no_value_of_it():
  for prog, flag in ALL:
    name = flag.name
    if not flag.takes_value:
      assert "takes no value" in refusal(prog, f"{name}=abc")
      continue
    for missing in ([name], [f"{name}="], [name, "--seed=1"]):
      assert f"{name} has no value" in refusal(prog, *missing)
    kind = flag.setting.element
    if get_origin(kind) is Literal:
      message = refusal(prog, f"{name}=abc")
      assert message.startswith(f"{name} abc is not one of "), message
      assert all(str(option) in message for option in get_args(kind))
    elif kind in (int, float):
      noun = "whole number" if kind is int else "number"
      for wrong in ("abc", "1.5x", "--1", "0x10"):
        said = refusal(prog, f"{name}={wrong}")
        assert said == f"{name} {wrong} is not a {noun}"


@pytest.mark.parametrize(
  "text", ["-1000000000000", "1" + 12 * "0", 25 * "9", 5000 * "9"]
)
def test_every_number_refuses_what_is_far_too_large(text):
  """At once, in a short line, whatever Python makes of such numbers."""
  for prog, flag in ALL:
    kind = flag.setting.element
    if kind not in (int, float) or (flag.name == "--top-p" and text[0] == "-"):
      continue
    message = refusal(prog, *workdir(prog), f"{flag.name}={text}")
    assert message.startswith(flag.name + " "), message
    assert len(message) < 200


def workdir(prog):
  return ["--workdir=x"] if prog == "sample.py" else []


def test_right_command_lines():
  for args, config in {
    (): Config(),
    ("--dataset=cifar10", "--tokenizer.codebook_size=64"): Config(
      dataset="cifar10", tokenizer=TokenizerConfig(codebook_size=64)
    ),
    ("--prior.batch-size", "32", "--channels=3", "--image-size=None"): Config(
      channels=3, prior=PriorConfig(batch_size=32)
    ),
    ("--workdir=--x=y z", "--data-dir", "a b", "--dataset=mnist"): Config(
      workdir="--x=y z", data_dir="a b", dataset="mnist"
    ),
    ("--model=vae", "--baseline.learning-rate", "1e-4"): Config(
      model="vae", baseline=BaselineConfig(learning_rate=1e-4)
    ),
  }.items():
    assert commands.parse(Config, list(args), "train.py") == config
  for levels in (["=8", "5"], ["=8,5"], ["", "8", "5"], ["=8 5"]):
    args = [f"--tokenizer.levels{levels[0]}", *levels[1:]]
    args = ["--tokenizer.quantizer=fsq", *args, "--seed=3"]
    config = commands.parse(Config, args, "train.py")
    assert (config.tokenizer.levels, config.seed) == ((8, 5), 3)
  # What a run has already holds where no flag says otherwise.
  before = Config(seed=4, prior=PriorConfig(layers=2, width=64))
  config = commands.parse(Config, ["--prior.layers=3"], "train.py", before)
  assert config == dataclasses.replace(
    before, prior=dataclasses.replace(before.prior, layers=3)
  )


def test_a_message_is_one_line_and_harmless_to_a_terminal(monkeypatch, capsys):
  def action(config):
    raise ConfigError("no class 'a\nb', \x1b[31mred\r, \udce4, 猫")

  monkeypatch.setattr(sys, "argv", ["x/train.py"])
  assert cli.run(table.Command("python train.py", Config), action) == 2
  out, err = capsys.readouterr()
  assert out == ""
  assert err == "error: no class 'a b', \\x1b[31mred , \\udce4, 猫\n"
