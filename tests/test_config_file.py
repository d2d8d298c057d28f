"""Settings from a file: `--config=FILE`."""

import dataclasses
import json
import sys

import pytest

from vqvae_jax import cli, commands
from vqvae_jax.config import Config, PriorConfig, StudyConfig, TokenizerConfig
from vqvae_jax.data import DataSpec
from vqvae_jax.errors import ConfigError
from vqvae_jax.study import method, records
from vqvae_jax.training import workdir

SPEC = DataSpec("x", (8, 8, 1), ("a",), (4,), 4, 1, 0.1, "none", "d")


def parse(kind, *args):
  return commands.parse(kind, list(args), "train.py")


def refusal(path, *args, kind=Config) -> str:
  with pytest.raises(ConfigError) as caught:
    parse(kind, f"--config={path}", *args)
  message = str(caught.value)
  assert cli.one_line(message) == message
  return message


@pytest.mark.parametrize("name", ["settings.yaml", "settings.yml"])
def test_yaml_gives_settings_and_flags_override_them(name, tmp_path):
  path = tmp_path / name
  path.write_text(
    "dataset: folder:my photos  # a comment\n"
    "image-size: 64\n"
    "num_train_images: null\n"
    "tokenizer:\n"
    "  quantizer: fsq\n"
    "  levels: [8, 5]\n"
    "  learning_rate: 3e-4\n"
    "prior.steps: 7\n"
  )
  expected = Config(
    dataset="folder:my photos",
    image_size=64,
    tokenizer=TokenizerConfig(
      quantizer="fsq", levels=(8, 5), learning_rate=3e-4
    ),
    prior=PriorConfig(steps=7),
  )
  assert parse(Config, f"--config={path}") == expected
  assert parse(
    Config, "--prior.steps=9", "--config", str(path), "--image-size=32"
  ) == dataclasses.replace(expected, image_size=32, prior=PriorConfig(steps=9))


def test_the_config_of_a_run_starts_another_run(tmp_path):
  config = Config(
    dataset="mnist",
    workdir=str(tmp_path),
    from_step="5",
    multihost=True,
    seed=3,
    tokenizer=TokenizerConfig(codebook_size=64),
  )
  workdir.write(tmp_path, workdir.RunInfo(config, SPEC))
  # What belongs to one command does not come with the settings.
  assert parse(Config, f"--config={tmp_path}/config.json") == Config(
    dataset="mnist", seed=3, tokenizer=TokenizerConfig(codebook_size=64)
  )
  # It holds all settings, so that a flag may make some of them idle.
  path = f"--config={tmp_path}/config.json"
  config = parse(Config, path, "--tokenizer.quantizer=fsq")
  assert config.tokenizer.codebook_size == 64
  with pytest.raises(ConfigError, match="--tokenizer.depth 2 would change"):
    parse(Config, path, "--tokenizer.depth=2")


def test_the_record_of_a_study_starts_another_study(tmp_path):
  config = StudyConfig(seeds=5, generators=("vae",), quick=True).resolved()
  records.write(tmp_path / records.STUDY, method.settings(config))
  found = parse(StudyConfig, f"--config={tmp_path}/study.json", "--out=b")
  assert found == dataclasses.replace(config, out="b")


@pytest.mark.parametrize(
  ("content", "said"),
  [
    ("stride: 4", "stride is not a setting; did you mean tokenizer.stride?"),
    ("tokeniser: {}", "tokeniser is not a setting"),
    (
      "prior: {layres: 2}",
      "prior.layres is not a setting; did you mean prior.",
    ),
    ("prior: 3", "prior is not a group of settings"),
    ("[1, 2]", "the file does not hold names with values"),
    ("", "the file does not hold names with values"),
    ("a: [", "the file cannot be read: while parsing"),
    ("a: !!python/object:os.system {}", "could not determine a constructor"),
    ("resume: runs/x", "resume must be given as the flag --resume"),
    ("batch_size: 0", "--batch-size 0 must be at least 1"),
    ("batch_size: many", "--batch-size 'many' is not a whole number"),
    (
      "prior: {learning_rate: fast}",
      "--prior.learning-rate 'fast' is not a",
    ),
    ("dataset: 5", "--dataset 5 is not text"),
    ("plan: 1", "--plan 1 is not true or false"),
    ("tokenizer: {levels: 8}", "--tokenizer.levels 8 is not a list"),
    (
      "prior: {kernel: 5}",
      "--prior.kernel 5 would change nothing with --prior.",
    ),
  ],
)
def test_what_is_wrong_in_a_file_is_said_in_one_line(content, said, tmp_path):
  path = tmp_path / "settings.yaml"
  path.write_text(content)
  assert said in refusal(path)


def test_files_that_cannot_be_read(tmp_path):
  assert refusal("nowhere.yaml") == (
    "--config nowhere.yaml: the file does not exist"
  )
  assert "must end in .yaml, .yml or .json" in refusal("settings.toml")
  (tmp_path / "a.yaml").mkdir()
  assert "the file cannot be read: Is a directory" in refusal(
    tmp_path / "a.yaml"
  )
  for content in (b"{", b"\xff\xfe", b'{"a": ' * 99_999):
    (tmp_path / "a.json").write_bytes(content)
    assert "the file cannot be read: " in refusal(tmp_path / "a.json")
  (tmp_path / "b.json").write_text(json.dumps({"seed": 4}))
  assert parse(Config, f"--config={tmp_path}/b.json").seed == 4


def test_a_file_and_a_run_to_resume_are_refused_together(
  tmp_path, monkeypatch, capsys
):
  workdir.write(tmp_path, workdir.RunInfo(Config(), SPEC))
  run = f"--resume={tmp_path}"
  monkeypatch.setattr(sys, "argv", ["train.py", run, "--config=a.yaml"])
  assert cli.main("train") == 2
  assert capsys.readouterr().err == (
    "error: --config a.yaml and --resume both give all settings; give one of "
    "them\n"
  )
