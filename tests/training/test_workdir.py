"""The run folder: what it refuses, what a refusal leaves, what it knows."""

import dataclasses
import io
import json
import pathlib
import shutil

import pytest
import tensorboardX
import tiny
from etils import epath
from rich.console import Console

import vqvae_jax
from vqvae_jax.config import Config, SampleConfig, from_step
from vqvae_jax.errors import ConfigError, UserError
from vqvae_jax.training import reporting, workdir


def refusal(call, *args, **kwargs) -> str:
  with pytest.raises(UserError) as error:
    call(*args, **kwargs)
  message = str(error.value)
  assert "\n" not in message and len(message) < 400
  return message


@pytest.fixture
def run(tiny_run, tmp_path) -> pathlib.Path:
  """A copy of a whole run."""
  return pathlib.Path(shutil.copytree(tiny_run[0], tmp_path / "run"))


def tree(folder) -> set[str]:
  return {str(p.relative_to(folder)) for p in pathlib.Path(folder).rglob("*")}


def test_a_refused_command_leaves_nothing(dataset, tmp_path):
  before = tree(tmp_path)
  cases = {
    "new": {"from_step": "7"},
    "new/er": {"stage": "prior"},
    "": {"from_step": "prior:7", "stage": "prior"},
  }
  for name, changes in cases.items():
    refusal(tiny.run, tiny.config(dataset, tmp_path / name, **changes))
    assert tree(tmp_path) == before
  (tmp_path / "thesis.tex").write_text("years of work")
  assert "'thesis.tex'" in refusal(tiny.run, tiny.config(dataset, tmp_path))
  assert tree(tmp_path) == {"thesis.tex"}
  # Nor is another program's file taken for a run.
  (tmp_path / "thesis.tex").rename(tmp_path / "config.json")
  refusal(tiny.run, tiny.config(dataset, tmp_path))
  assert (tmp_path / "config.json").read_text() == "years of work"


def test_places_that_cannot_hold_a_run(dataset, tmp_path):
  (tmp_path / "file").write_text("")
  (tmp_path / "loop").symlink_to("loop")
  for name in ("file", "file/run", "loop", "loop/run", "a" * 300, "/proc/x"):
    place = tmp_path / name
    message = refusal(tiny.run, tiny.config(dataset, place))
    assert str(place)[:200] in message
  assert tree(tmp_path) == {"file", "loop"}


def test_links_inside_are_not_written_through(run, tmp_path):
  config = dataclasses.replace(workdir.read(run).config, workdir=str(run))
  outside = tmp_path / "outside"
  outside.mkdir()
  for name in (".lock", "metrics.jsonl", "pictures", "config.json.partial"):
    moved = run / f"{name}.moved"
    if (run / name).exists():
      (run / name).rename(moved)
    (run / name).symlink_to(outside / "precious")
    assert f"{run / name} is a link" in refusal(tiny.run, config)
    (run / name).unlink()
    if moved.exists():
      moved.rename(run / name)
  assert not list(outside.iterdir())
  # The run folder itself may be one.
  (tmp_path / "link").symlink_to(run)
  moved = dataclasses.replace(config, workdir=str(tmp_path / "link"))
  assert "done already" in tiny.run(moved)


def test_what_does_not_exist_and_what_is_no_run(run, tmp_path):
  (tmp_path / "photos").mkdir()
  for call in (workdir.read, workdir.resumed_config, vqvae_jax.load):
    message = refusal(call, tmp_path / "rum")
    assert message == (
      f"{tmp_path}/rum does not exist; runs that do: {tmp_path}/run"
    )
    message = refusal(call, tmp_path / "photos")
    assert "photos is not a run folder: it has no config.json" in message


def changed(values, path, value):
  """A copy of nested JSON, with one value replaced."""
  values = json.loads(json.dumps(values))
  *outer, last = path.split(".")
  inner = values
  for name in outer:
    inner = inner[name]
  inner[last] = value
  return values


def test_every_field_of_config_json_is_checked(run):
  path = run / "config.json"
  good = json.loads(path.read_text())
  cases = [
    f"data.{name}={json.dumps(value)}"
    for name, old in good["data"].items()
    for value in ("many", -1, [1, "a"], {}, None, float("nan"), True)
    if type(value) is not type(old)
  ]
  cases += ["data.image_shape=[8,8]", "data.image_shape=[0,8,1]", "data=[]"]
  cases += ["data.class_counts=[1]", "config=[]", "config.datset=1"]
  cases += ['config.tokenizer={"steps":-1}', 'config.model="gan"']
  for case in cases:
    name, _, value = case.partition("=")
    path.write_text(json.dumps(changed(good, name, json.loads(value))))
    assert str(path) in refusal(workdir.read, run), case
  for content in (b"", b"{", b"[]", b"\xff", b"[" * 10**5, b'{"config": {}}'):
    path.write_bytes(content)
    assert str(path) in refusal(workdir.read, run), content[:20]


def test_images_are_known_by_their_digest(run, dataset, tmp_path, monkeypatch):
  config = dataclasses.replace(workdir.read(run).config, workdir=str(run))
  # The same file elsewhere, by a relative path.
  source = dataset.removeprefix("npz:")
  shutil.copy(source, tmp_path / "moved.npz")
  monkeypatch.chdir(tmp_path)
  for name in (f"npz:{tmp_path}/moved.npz", "npz:moved.npz"):
    screen = tiny.run(dataclasses.replace(config, dataset=name))
    assert "prior: step 12 of 12 is done already" in screen
    assert workdir.read(run).spec.name == name
  other = tiny.write_npz(tmp_path / "other.npz", count=60)
  message = refusal(tiny.run, dataclasses.replace(config, dataset=other))
  assert message == (
    f"{run} was trained on npz:moved.npz, and {other} holds other images; use "
    "that data set, or another --workdir"
  )


def test_another_name_is_refused_before_its_images_are_read(run):
  path = run / "config.json"
  values = json.loads(path.read_text())
  path.write_text(json.dumps(changed(values, "config.dataset", "mnist5k")))
  config = workdir.resumed_config(run)
  other = dataclasses.replace(config, dataset="cifar10", data_dir="/nowhere")
  message = refusal(tiny.run, other)
  assert "was trained on mnist5k, and cifar10 holds other images" in message


def test_resume_takes_the_settings_of_the_run(run, monkeypatch):
  config = workdir.resumed_config(run)
  recorded = workdir.read(run).config
  assert config.workdir == config.resume == str(run)
  same = dataclasses.replace(recorded, workdir=str(run), resume=str(run))
  assert config == same
  changed = dataclasses.replace(config, seed=5)
  assert f"--resume={run} continues with those" in refusal(tiny.run, changed)
  with pytest.raises(ConfigError, match="both name the run folder"):
    dataclasses.replace(config, workdir="elsewhere")
  # Another machine's processes are not those of this command.
  path = run / "config.json"
  values = json.loads(path.read_text())
  values["config"] |= {
    "multihost": True,
    "coordinator": "a:1",
    "num_processes": 2,
    "process_index": 1,
  }
  path.write_text(json.dumps(values))
  assert not workdir.resumed_config(run).multihost
  monkeypatch.setenv("HOME", str(run.parent))
  assert workdir.resumed_config("~/run") == dataclasses.replace(
    config, workdir="~/run", resume="~/run"
  )
  assert vqvae_jax.load("~/run").steps["tokenizer"] > 0


def test_from_step(run, monkeypatch):
  parse = from_step.parse
  assert parse(None) == {}
  assert parse("200") == {from_step.LAST: 200}
  assert parse("tokenizer:2, prior:4") == {"tokenizer": 2, "prior": 4}
  for text in (
    "",
    "x",
    "-1",
    "1.5",
    "prior:",
    "vae:3",
    "3,4",
    "3,prior:4",
    "²",
  ):
    for kind in (Config, SampleConfig):
      with pytest.raises(ConfigError, match="--from-step"):
        kind(workdir="a", from_step=text)
  asked = workdir.steps_asked
  assert asked(run, "vqvae", "10") == {"prior": 10}
  assert asked(run, "vqvae", "tokenizer:10") == {"tokenizer": 10}
  with pytest.raises(ConfigError, match="which has baseline, no prior"):
    asked(run, "vae", "prior:3")
  config = workdir.resumed_config(run)
  message = refusal(tiny.run, dataclasses.replace(config, from_step="11"))
  assert "no checkpoint of step 11; it has 10, 12" in message
  # The prior rests on the tokenizer's newest step.
  back = dataclasses.replace(config, from_step="tokenizer:10")
  assert "trained on the tokenizer of step 12" in refusal(tiny.run, back)
  screen = tiny.run(dataclasses.replace(config, from_step="prior:10"))
  assert "prior: resumed at step 10 of 12" in screen
  assert "prior/12.set-aside" in screen
  lines = (run / "metrics.jsonl").read_text().splitlines()
  steps = [json.loads(line)["step"] for line in lines]
  assert steps == [*range(1, 13), *range(1, 13)]
  # It is not on record: the next resume goes on from the newest.
  assert workdir.read(run).config.from_step is None
  found = [vqvae_jax.load(run, from_step=step) for step in (10, 12, None)]
  digests = [model.digests["prior"] for model in found]
  assert digests[1] == digests[2]


FOREIGN = [
  b"[1, 2]\n",
  b"7\n",
  b"null\n",
  b'"text"\n',
  b"{}\n",
  b'{"stage": "prior"}\n',
  b'{"stage": "prior", "step": "many"}\n',
  b"\xff\xfe\n",
  b"# my own note\n",
  b"[" * 10**5 + b"\n",
]


def test_foreign_lines_of_metrics_stay(tmp_path):
  path = epath.Path(tmp_path / "metrics.jsonl")
  ours = [b'{"stage": "prior", "step": %d}\n' % n for n in range(1, 6)]
  mixed = [
    line for pair in zip(FOREIGN, ours + ours, strict=True) for line in pair
  ]
  path.write_bytes(b"".join(mixed) + b'{"stage": "prior", "st')
  reporting.forget_after(path, "prior", 3)
  kept = [line for line in mixed if line not in ours[3:]]
  assert path.read_bytes() == b"".join(kept)
  # A note without a line break at the end is none of ours.
  path.write_bytes(ours[0] + b"to be continued")
  reporting.forget_after(path, "prior", 3)
  assert path.read_bytes() == ours[0] + b"to be continued\n"


def test_a_full_disk_does_not_hang_tensorboard(tmp_path, monkeypatch):
  def full(*args):
    raise OSError(28, "No space left on device")

  writer = tensorboardX.event_file_writer.EventsWriter
  monkeypatch.setattr("threading.excepthook", lambda args: None)
  with reporting.Reporter(
    tmp_path,
    "prior",
    start=0,
    steps=50,
    batch_size=1,
    console=Console(file=io.StringIO()),
  ) as reporter:
    monkeypatch.setattr(writer, "write_event", full)
    for step in range(1, 50):
      reporter.step(step, {"loss": 1.0}, write=True)
  lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
  assert len(lines) == 49
