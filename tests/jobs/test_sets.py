"""What a job leaves beside its images, where it refuses, whom it waits for."""

import dataclasses
import io
import json
import os
import pathlib
import socket
import threading
import time

import numpy as np
import pytest
import sets
import tensorflow_datasets as tfds
import tiny
from PIL import Image
from rich.console import Console

from vqvae_jax import files, machine
from vqvae_jax.data import load_data
from vqvae_jax.errors import ConfigError, DataError, RunError
from vqvae_jax.generators import starts
from vqvae_jax.jobs import generate, limits, overview
from vqvae_jax.jobs.card import card
from vqvae_jax.pictures import grid, legible


def test_sources_are_named_by_index_and_file(tmp_path):
  sets.make(tmp_path, mode="mix", num_images=7)
  lines = (tmp_path / "sources.jsonl").read_text().splitlines()
  found = [json.loads(line) for line in lines]
  assert [entry["number"] for entry in found] == list(range(7))
  with sets.patched():
    config = sets.settings(tmp_path, mode="mix", num_images=7)
    origins = sets.make_plan(config, _model()).origins
  for n, entry in enumerate(found):
    rows = origins.rows(np.array([n]), np.array([n % 2]))[0].tolist()
    assert len(set(rows)) == 2
    # Of this class, as the sets of these tests are made.
    assert all(row % 2 == n % 2 for row in rows)
    assert entry["sources"] == [
      {"index": row, "file": f"{row % 2}/\u00fc {row}.png"} for row in rows
    ]
  assert "not anonymised" in (tmp_path / "README.md").read_text()


def _model():
  import types

  return types.SimpleNamespace(spec=sets.spec(("cat", "dog")))


def test_rows_of_the_picture_are_classes(tmp_path):
  names = ("cat", "dog", "owl")
  sets.make(tmp_path, names, num_images=60, shard_size=60)
  picture = np.asarray(Image.open(tmp_path / "grid.png").convert("L"))
  left = picture.shape[1] - (10 * 66 + 2)
  above = picture.shape[0] - (6 * 66 + 2)
  assert left > 10 and above > 5
  # Two rows of each class; classes come in turn.
  for row in range(6):
    for column in (0, 9):
      number = 3 * (10 * (row % 2) + column) + row // 2
      top, start = above + 2 + 66 * row, left + 2 + 66 * column
      cell = picture[top : top + 64 : 16, start : start + 64 : 16]
      expected = sets.images_of([number], (4, 4, 1))[0, ..., 0]
      np.testing.assert_array_equal(cell, expected)


def test_varied_images_stand_below_their_sources(tmp_path):
  sets.make(tmp_path, mode="inpaint", num_images=2)
  pixels = np.asarray(Image.open(tmp_path / "grid.png"))
  # Two classes of two rows, an image each; the rectangle is outlined.
  above = pixels.shape[0] - (4 * 66 + 2)
  # No name is as high as the upper edge of the first image.
  left = np.nonzero((pixels[above + 2] < 255).any(-1))[0][0] - 2
  red = (pixels == (230, 30, 30)).all(-1)
  rows, columns = np.nonzero(red)
  lines = sorted(set(rows - above - 2))
  assert lines[0] == 66 + 16 and lines[-1] == 3 * 66 + 16 + 31
  assert set(columns) == set(range(left + 2 + 32, left + 2 + 64))


@pytest.mark.parametrize("mode", ["prior", "mix", "inpaint"])
def test_a_class_that_cannot_be_written_keeps_its_number(
  mode, tmp_path, monkeypatch
):
  written = []

  def spied(images, columns, row_names, **changes):
    written.extend(legible(row_names))
    return grid(images, columns, row_names, **changes)

  monkeypatch.setattr(overview, "grid", spied)
  names = ("cat", "\u732b", "\u72ac")
  sets.make(tmp_path, names, mode=mode, num_images=60, shard_size=60)
  assert {name.partition(":")[0] for name in written if name} == {
    "cat",
    "class 1",
    "class 2",
  }


HOSTILE = [
  "<b>x</b>",
  "a | b",
  "[x](http://y)",
  "`code`",
  "a\n---\nb",
  "\udce4",
]


@pytest.mark.parametrize("kind", ["png", "npz"])
def test_the_card_says_what_the_set_is(kind, tmp_path):
  sets.make(tmp_path, HOSTILE, format=kind, num_images=12)
  text = (tmp_path / "README.md").read_text()
  head, body = text.removeprefix("---\n").split("\n---\n", 1)
  assert "license: other" in head
  assert "- synthetic" in head
  assert "- n<1K" in head
  # Nothing of a name is markup, a line or a front matter of its own.
  assert "<b>" not in text and "[x](" not in text and "`code`" not in text
  assert body.count("\n---\n") == 0
  rows = [line for line in body.splitlines() if line.startswith("| ")]
  assert all(line.replace("\\|", "").count("|") in (3, 4) for line in rows)
  assert "| 0 | \\<b\\>x\\</b\\> | 2 |" in rows
  # Where somebody keeps the data is not told.
  for path in tmp_path.rglob("*.*"):
    if path.is_file():
      assert b"somewhere" not in path.read_bytes()
  assert "folder:pets" in text
  for word in ("Synthetic", "clinical", "not anonymised", "vqvae", "d1"):
    assert word in text
  code = body.split("```python")[1].split("```")[0]
  compile(code, "card", "exec")
  if kind == "npz":
    found = {}
    exec(code.replace("glob.glob('", f"glob.glob('{tmp_path}/"), found)
    assert found["images"].shape == (12, 4, 4, 1)
    assert found["labels"].tolist() == [0, 1, 2, 3, 4, 5] * 2


def test_sizes_on_the_card():
  for count, size in ((999, "n<1K"), (1000, "1K<n<10K"), (10**6, "1M<n<10M")):
    settings = json.loads(json.dumps(JOB)) | {"num_images": count}
    assert f"\n- {size}\n" in card(settings, [])


JOB = {"mode": "prior", "format": "png", "class_names": ["a"]}
JOB |= {"image_shape": [4, 4, 1], "about": {}}


def test_names_that_tfds_cannot_hold(tmp_path):
  for names in (
    ["a", "a"],
    ["a\nb", "c"],
    ["", "c"],
    [" ", "c"],
    ["a ", "c"],
    ["\udce4", "c"],
    ["a\r", "c"],
    ["a\x00", "c"],
  ):
    with pytest.raises(ConfigError, match="tfds cannot hold class [01]") as e:
      sets.make(tmp_path / "x", names, format="tfds")
    assert "\n" not in str(e.value)
    assert not (tmp_path / "x").exists()
  names = ["\u00e4 \u732b", "a,b", "--", "x\u2028y", "a  b", "#"]
  sets.make(tmp_path / "y", names, format="tfds")
  builder = tfds.builder_from_directory(tmp_path / "y")
  assert builder.info.features["label"].names == names
  labels = [int(x["label"]) for x in builder.as_data_source()["train"]]
  assert labels == [0, 1, 2, 3, 4]


def test_two_processes_share_a_job_and_both_end_well(tmp_path, monkeypatch):
  monkeypatch.setattr(files, "LOCK_WAIT", 0.05)
  real, screens, errors = sets.images_of, [], []

  def slow(numbers, shape):
    time.sleep(0.02)
    return real(numbers, shape)

  config = sets.settings(tmp_path, num_images=60, resume=True)

  def work():
    try:
      screens.append(tiny.sample(config))
    except BaseException as error:
      errors.append(error)

  with sets.patched() as patch:
    patch.setattr(sets, "images_of", slow)
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
      thread.start()
    for thread in threads:
      thread.join()
  assert not errors
  assert all("60 images in" in screen for screen in screens)
  left = [p.name for p in tmp_path.rglob("*")]
  assert not [n for n in left if n.endswith(".lock") or ".partial" in n]
  assert "60 images in" in sets.verify(tmp_path)


def test_what_killed_processes_left_is_removed(tmp_path):
  sets.make(tmp_path)
  (tmp_path / "manifest.json").unlink()
  (tmp_path / "records" / ".00001.lock").touch()
  host = socket.gethostname()
  dead = tmp_path / f"job.json.partial-{host}-{2**22 + 1}-5"
  old = tmp_path / "job.json.partial-other-host-1-5"
  alive = tmp_path / f"job.json.partial-{host}-{os.getpid()}-5"
  for path in (dead, old, alive):
    path.touch()
  os.utime(old, (0, 0))
  sets.make(tmp_path, resume=True)
  assert [path.exists() for path in (dead, old, alive)] == [False, False, True]
  alive.unlink()
  sets.verify(tmp_path)


def test_links_are_not_followed(tmp_path):
  away = tmp_path / "away"
  away.mkdir()
  for name in ("images", "records", "images/cat", "grid.png", "README.md"):
    out = tmp_path / name.replace("/", "_")
    sets.make(out)
    (out / "manifest.json").unlink()
    path = out / name
    path.rename(tmp_path / f"{out.name} before")
    path.symlink_to(away)
    for changes in ({"resume": True}, {"worker": "0/2"}):
      with pytest.raises(RunError, match=f"{name} is a link"):
        sets.make(out, **changes)
  assert not list(away.iterdir())


def test_places_that_cannot_be_used(tmp_path, monkeypatch):
  file = tmp_path / "file"
  file.write_text("mine")
  for out, message in (
    (file, "is a file, not a folder"),
    (file / "below", "Not a directory; no image is whole"),
    (tmp_path, "no job that could be resumed: it holds 'file'"),
    ("/proc/x", "no image is whole"),
  ):
    with pytest.raises(RunError, match=message):
      sets.make(out)
  assert [p.name for p in tmp_path.iterdir()] == ["file"]
  monkeypatch.setenv("HOME", str(tmp_path))
  screen = sets.make("~/set")
  assert f"5 images in {tmp_path}/set" in screen
  assert (tmp_path / "set" / "manifest.json").exists()
  assert not pathlib.Path("~").exists()


def test_what_cannot_fit_is_refused_before_anything_is_written(
  tmp_path, monkeypatch
):
  out = tmp_path / "out"
  monkeypatch.setattr(limits, "host_memory", lambda: 10**9)
  for changes, message in (
    ({"num_images": 10**8}, "labels alone need 4.0 GB"),
    ({"num_images": 2 * 10**6, "shard_size": 1}, "2,000,000 shards"),
    ({"batch_size": 2**20}, "--batch-size 1,048,576 needs"),
  ):
    with pytest.raises(ConfigError, match=message):
      sets.make(out, **changes)
  monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: (10**6, 0, 10**5))
  for kind in ("png", "npz", "tfds"):
    with pytest.raises(ConfigError, match="has 100 kB left"):
      sets.make(out, format=kind, num_images=20_000, shard_size=20_000)
  assert not out.exists()


def test_memory_that_runs_out_is_one_line(tmp_path):
  def full(*_):
    raise MemoryError

  with sets.patched() as patch:
    patch.setattr(sets, "images_of", full)
    with pytest.raises(RunError, match="--batch-size 1 needs more memory"):
      tiny.sample(sets.settings(tmp_path))


def test_images_that_moved_are_found_again(dataset, tmp_path):
  kind, _, path = dataset.partition(":")
  config = tiny.config(dataset, tmp_path)
  data = load_data(config)
  moved = dataclasses.replace(config, dataset=f"{kind}:{path}.gone")
  with pytest.raises(RunError, match="where they are with --dataset"):
    starts.run_images(moved, data.spec, "train")
  other = tiny.write_npz(tmp_path / "other.npz", count=60)
  with pytest.raises(RunError, match="trained on other images"):
    starts.run_images(
      dataclasses.replace(config, dataset=other), data.spec, "train"
    )
  assert issubclass(RunError, Exception) and not issubclass(RunError, DataError)


def test_what_to_do_next_is_said_to_people(tmp_path):
  with sets.patched():
    console = Console(file=io.StringIO(), width=200)
    generate(sets.settings(tmp_path / "[red]x"), console, advise=True)
  screen = console.file.getvalue()
  assert "[red]x/README.md" in screen
  assert "python -m vqvae_jax.study --dataset=folder:pets" in screen
  assert "whether" not in sets.make(tmp_path / "y")
  assert "1 image in" in sets.make(tmp_path / "z", num_images=1)
