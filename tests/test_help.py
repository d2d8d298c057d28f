"""What help says, in one screen and in full, and what the docs tell to type."""

import pathlib
import re
import shlex
import sys

import pytest

from vqvae_jax import __main__ as package_script
from vqvae_jax import __version__, cli, commands
from vqvae_jax.commands import table
from vqvae_jax.commands.flags import flags_of
from vqvae_jax.commands.help import full_help
from vqvae_jax.config import SampleConfig
from vqvae_jax.config.paths import paths_of
from vqvae_jax.priors import sampling

ROOT = pathlib.Path(__file__).parents[1]
COMMANDS = {"train": table.TRAIN, "sample": table.SAMPLE, "study": table.STUDY}


def said(name, monkeypatch, capsys, *args) -> str:
  monkeypatch.setattr(sys, "argv", [f"{name}.py", *args])
  with pytest.raises(SystemExit) as stop:
    cli.main(name)
  assert stop.value.code == 0
  return capsys.readouterr().out


def bare(text):
  return re.sub(r"\s", "", text)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_a_screen(name, monkeypatch, capsys):
  command = COMMANDS[name]
  usage = command.usage
  text = said(name, monkeypatch, capsys, "--seed=1", "--help")
  assert said(name, monkeypatch, capsys, "-h") == text
  shown = text.splitlines()
  assert len(shown) <= 39 and max(map(len, shown)) <= 80
  assert shown[0] == f"usage: {usage} [--FLAG=VALUE ...]"
  assert shown[-1] == f"  {usage} --help-all"
  assert "None" not in text
  flags = flags_of(command.kind)
  for name, explained in command.first:
    if not explained:
      continue
    assert bare(explained) in bare(text), name
    # Each with its default, as it would be typed.
    flag = flags[name]
    if flag.takes_value and flag.default and not flag.setting.is_list:
      assert f"  {name}={flag.default}" in text
    else:
      assert f"  {name}" in text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_field_is_explained_by_full_help(name, monkeypatch, capsys):
  kind = COMMANDS[name].kind
  monkeypatch.setenv("COLUMNS", "80")
  text = said(name, monkeypatch, capsys, "--help-all")
  assert max(map(len, text.splitlines())) <= 80
  assert "None" not in text
  flags = flags_of(kind)
  assert {flag.field for flag in flags.values()} == {*paths_of(kind), "config"}
  for flag in flags.values():
    # A whole sentence, which help has as it stands above the field.
    assert flag.comment[0].isupper() or flag.comment[0].isdigit()
    assert flag.comment[-1] in ".?", flag.comment
    assert bare(flag.comment) in bare(text), flag.name
    assert f"\n  {flag.name}" in text
    for note in flag.notes:
      assert bare(note) in bare(text), (flag.name, note)


def test_defaults_ranges_and_conditions_are_told(monkeypatch):
  monkeypatch.setenv("COLUMNS", "100")
  text = " ".join(full_help(table.TRAIN, "python train.py").split())
  assert "--tokenizer.quantizer=ema|vq|simvq|residual|product|fsq" in text
  assert "number of images in a global batch. (default: 64)" in text
  assert "--multihost, --no-multihost " in text
  # A field that its class declares again has its own default.
  assert (
    "--prior.learning-rate=X The peak of the learning rate. (default: 0.003; "
    "above 0)"
  ) in text
  assert (
    "(default: 0.9; with --model=dcgan: 0.5; at least 0 and below 1; only with "
    "--baseline.optimizer=adam or adamw)"
  ) in text
  assert "only with --tokenizer.residual-layers above 0)" in text


def test_help_has_the_defaults_of_the_code():
  """Of settings whose `None` is resolved far from them."""
  flags = flags_of(SampleConfig)
  assert flags["--decode-steps"].default == str(sampling.DECODE_STEPS)
  assert flags["--guidance"].default == str(
    SampleConfig(verify=True).with_defaults().guidance
  )


def test_the_package_says_which_commands_there_are(monkeypatch, capsys):
  for args in ([], ["--help"]):
    monkeypatch.setattr(sys, "argv", ["vqvae_jax", *args])
    assert package_script.main() == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    for command in COMMANDS.values():
      assert f"  {command.usage} --" in text
  monkeypatch.setattr(sys, "argv", ["vqvae_jax", "trian"])
  assert package_script.main() == 2
  assert capsys.readouterr().err == (
    "error: trian is not a command; python -m vqvae_jax lists them\n"
  )
  for name in COMMANDS:
    assert said(name, monkeypatch, capsys, "--version").strip() == (
      f"vqvae_jax {__version__}"
    )


def documented():
  """Yields every command of the docs and of the help, and its words."""
  texts = [path.read_text() for path in ROOT.glob("*.md")]
  texts += [path.read_text() for path in (ROOT / "docs").rglob("*.md")]
  texts += [package_script.COMMANDS]
  texts += [c.description.format(usage=c.usage) for c in COMMANDS.values()]
  lines = "\n".join(texts).replace("\\\n", " ").splitlines()
  for line in lines:
    # Inside quotes, a command is for another machine's shell.
    if not line.startswith(("  ", "python ")) or '"' in line:
      continue
    for part in line.strip().split("&&"):
      for command in COMMANDS.values():
        if part.strip().startswith(command.usage):
          words = shlex.split(part, comments=True)
          yield command, words[len(command.usage.split()) :]


def test_documented_commands_are_right():
  found = list(documented())
  assert len(found) > 10
  for command, words in found:
    if commands.answer(command, words, command.usage) is None:
      commands.parse(command.kind, words, command.usage)


def test_one_line():
  assert cli.one_line("a\r\n  b\tc\x07") == "a b\\tc\\x07"
