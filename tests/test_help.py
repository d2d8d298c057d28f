"""What help says, in one screen and in full, and what the docs tell to type."""

import dataclasses
import pathlib
import re
import shlex
import sys

import pytest

import sample as sample_script
import train as train_script
from vqvae_jax import __main__ as package_script
from vqvae_jax import __version__, cli, commands
from vqvae_jax.commands import first
from vqvae_jax.commands.flags import comments, flags_of
from vqvae_jax.commands.help import full_help
from vqvae_jax.config import Config, SampleConfig, StudyConfig
from vqvae_jax.study import __main__ as study_script

ROOT = pathlib.Path(train_script.__file__).parent
STUDY = "python -m vqvae_jax.study"
COMMANDS = {
  "python train.py": (Config, train_script, first.TRAIN),
  "python sample.py": (SampleConfig, sample_script, first.SAMPLE),
  STUDY: (StudyConfig, study_script, first.STUDY),
}


def said(script, monkeypatch, capsys, *args) -> str:
  monkeypatch.setattr(sys, "argv", [script.__file__, *args])
  with pytest.raises(SystemExit) as stop:
    script.main()
  assert stop.value.code == 0
  return capsys.readouterr().out


def bare(text):
  return re.sub(r"\s", "", text)


@pytest.mark.parametrize("usage", COMMANDS)
def test_help_fits_a_screen(usage, monkeypatch, capsys):
  kind, script, lines = COMMANDS[usage]
  text = said(script, monkeypatch, capsys, "--seed=1", "--help")
  assert said(script, monkeypatch, capsys, "-h") == text
  shown = text.splitlines()
  assert len(shown) <= 39 and max(map(len, shown)) <= 80
  assert shown[0] == f"usage: {usage} [--FLAG=VALUE ...]"
  assert shown[-1] == f"  {usage} --help-all"
  assert "None" not in text
  flags = flags_of(kind)
  for name, explained in lines:
    if not explained:
      continue
    assert bare(explained) in bare(text), name
    # Each with its default, as it would be typed.
    flag = flags[name]
    if flag.takes_value and not flag.optional and not flag.takes_list:
      assert f"  {name}={flag.default}" in text
    else:
      assert f"  {name}" in text


@pytest.mark.parametrize("usage", COMMANDS)
def test_every_field_is_explained_by_full_help(usage, monkeypatch, capsys):
  kind, script, _ = COMMANDS[usage]
  monkeypatch.setenv("COLUMNS", "80")
  text = said(script, monkeypatch, capsys, "--help-all")
  assert max(map(len, text.splitlines())) <= 80
  assert "None" not in text
  nested = [f for f in dataclasses.fields(kind) if "Config" in str(f.type)]
  for group in [kind, *(field.type for field in nested)]:
    for name, comment in comments(group).items():
      assert len(comment) > 5, f"{group.__name__}.{name} has no comment"
      if name not in [field.name for field in nested]:
        assert bare(comment) in bare(text), f"{group.__name__}.{name}"
        assert f"  --{group.PREFIX}{name}".replace("_", "-") in text


def test_defaults_and_choices_are_told():
  text = full_help(Config, "python train.py", "")
  assert "--tokenizer.quantizer=ema|vq|simvq|residual|product|fsq" in text
  assert "Images in one global batch. (default: 64)" in text
  assert "--multihost, --no-multihost\n" in text
  # A field that its class declares anew has its own comment and default.
  own = re.search(r"--prior.learning-rate=X\n(.*)\n", text)[1]
  assert own.strip() == "Peak learning rate. (default: 0.003)"


def test_the_package_says_which_commands_there_are(monkeypatch, capsys):
  for args in ([], ["--help"]):
    monkeypatch.setattr(sys, "argv", ["vqvae_jax", *args])
    assert package_script.main() == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    for usage in COMMANDS:
      assert f"  {usage} --" in text
  monkeypatch.setattr(sys, "argv", ["vqvae_jax", "trian"])
  assert package_script.main() == 2
  assert capsys.readouterr().err == (
    "error: trian is not a command; python -m vqvae_jax lists them\n"
  )
  for script in (train_script, sample_script, study_script):
    assert said(script, monkeypatch, capsys, "--version").strip() == (
      f"vqvae_jax {__version__}"
    )


def documented():
  """Every command of the docs and of the help: usage, words."""
  texts = [path.read_text() for path in ROOT.glob("*.md")]
  texts += [path.read_text() for path in (ROOT / "docs").rglob("*.md")]
  texts += [package_script.COMMANDS, train_script.__doc__]
  texts += [sample_script.__doc__, study_script.__doc__]
  lines = "\n".join(texts).replace("\\\n", " ").splitlines()
  for line in lines:
    # Inside quotes, a command is for another machine's shell.
    if not line.startswith(("  ", "python ")) or '"' in line:
      continue
    for part in line.strip().split("&&"):
      usage = next((u for u in COMMANDS if part.strip().startswith(u)), None)
      if usage:
        yield usage, shlex.split(part, comments=True)[len(usage.split()) :]


def test_documented_commands_are_right():
  found = list(documented())
  assert len(found) > 10
  for usage, words in found:
    kind = COMMANDS[usage][0]
    if commands.answer(kind, words, usage, "", ()) is None:
      commands.parse(kind, words, usage)


def test_one_line():
  assert cli.one_line("a\r\n  b\tc\x07") == "a b\\tc\\x07"
