"""The command: what it sets for its process, where it keeps programs."""

import jax
import pytest

from vqvae_jax import allocator, cli


@pytest.mark.parametrize("place", ["xdg", "home", "empty"])
def test_programs_lie_in_the_cache_of_the_user(place, tmp_path, monkeypatch):
  monkeypatch.setenv("HOME", str(tmp_path / "home"))
  monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
  folder = tmp_path / "home/.cache"
  if place == "xdg":
    folder = tmp_path / "caches"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
  if place == "empty":
    monkeypatch.setenv("XDG_CACHE_HOME", "")
  expected = folder / "vqvae_jax/programs"
  assert cli.programs_folder() == expected
  name = "jax_compilation_cache_dir"
  before = jax.config.values[name]
  try:
    # One that was chosen otherwise stays.
    cli.keep_programs()
    assert jax.config.values[name] == before
    jax.config.update(name, None)
    cli.keep_programs()
    assert jax.config.values[name] == str(expected)
  finally:
    jax.config.update(name, before)


def test_the_command_sets_what_is_set_for_the_process(tmp_path, monkeypatch):
  called = []
  monkeypatch.setattr(
    allocator, "keep_freed_memory", lambda: called.append("malloc")
  )
  monkeypatch.setattr(cli, "keep_programs", lambda: called.append("programs"))
  from vqvae_jax.study import run

  monkeypatch.setattr(run, "study", lambda config: called.append(config.out))
  monkeypatch.setattr("sys.argv", ["study", f"--out={tmp_path}"])
  assert cli.main("study") == 0
  assert called == ["malloc", "programs", str(tmp_path)]
