"""Whatever changes in a set is found by --verify, which changes nothing."""

import os
import pathlib
import shutil

import numpy as np
import pytest
import sets

from vqvae_jax.errors import RunError

KINDS = [("png", "mix"), ("npz", "prior"), ("tfds", "prior")]


def snapshot(out):
  return {
    path: (path.lstat().st_mtime_ns, path.is_file() and path.read_bytes())
    for path in sorted(out.rglob("*"))
  }


def refused(out):
  """The message of --verify, which leaves everything as it was."""
  before = snapshot(out)
  with pytest.raises(RunError) as error:
    sets.verify(out)
  assert snapshot(out) == before
  assert "\n" not in str(error.value)
  return str(error.value)


def damages(path):
  """Name and work of each way to damage a file."""
  content = path.read_bytes()
  other = path.with_name("other")
  places = sorted({0, len(content) // 3, len(content) // 2, len(content) - 1})
  for place in places:
    flipped = bytearray(content)
    flipped[place] ^= 1
    yield f"byte {place}", lambda c=bytes(flipped): path.write_bytes(c)
  yield "cut", lambda: path.write_bytes(content[: len(content) // 2])
  yield "longer", lambda: path.write_bytes(content + b"\n")
  yield "empty", lambda: path.write_bytes(b"")
  yield "gone", path.unlink

  def link():
    shutil.copy(path, other)
    path.unlink()
    path.symlink_to(other)

  yield "link", link


@pytest.mark.parametrize("kind, mode", KINDS)
def test_every_change_of_every_file_is_found(kind, mode, tmp_path):
  out = tmp_path / "set"
  sets.make(out, format=kind, mode=mode)
  before = snapshot(out)
  assert "5 images in" in sets.verify(out)
  assert snapshot(out) == before
  for path in [p for p in before if p.is_file()]:
    content = path.read_bytes()
    for name, damage in damages(path):
      damage()
      message = refused(out)
      if name == "gone" and path.name != "job.json":
        advice = "--resume" if path.parent.name == "records" else "--repair"
        assert advice in message, (path, message)
      (out / path.parent / "other").unlink(missing_ok=True)
      path.unlink(missing_ok=True)
      path.write_bytes(content)
  assert "5 images in" in sets.verify(out)


@pytest.mark.parametrize("kind", ["png", "npz", "tfds"])
def test_whatever_lies_beside_the_set_is_named(kind, tmp_path):
  out = tmp_path / "set"
  sets.make(out, format=kind)
  image = out / "grid.png"
  folders = ["", "records", "more/below"]
  if kind == "png":
    folders += ["images", "images/cat", "images/cat/below", "images/bird"]
  names = ["x.png", "x.PNG", "x.jpg", "00000.json", "00003.npz", "no suffix"]
  names += ["00000000.png.partial", "00000000.PNG", "0.png", "\u0661.png"]
  names += ["00002-of-00003.npz", "generated-train.array_record-00002-of-00003"]
  for folder in folders:
    for name in names:
      path = out / folder / name
      if path.exists():
        continue
      before = set(out.rglob("*"))
      path.parent.mkdir(parents=True, exist_ok=True)
      shutil.copy(image, path)
      assert "is not part of this set; move it away" in refused(out), path
      # --resume names it, too, and leaves it.
      for found in sorted(set(out.rglob("*")) - before, reverse=True):
        found.rmdir() if found.is_dir() else found.unlink()
  (out / "folder").mkdir()
  assert "set/folder is not part" in refused(out)
  assert "folder is not part of this set" in sets.make(
    out, format=kind, resume=True
  )
  (out / "folder").rmdir()
  os.symlink("nowhere", out / "link")
  assert "link is a link" in refused(out)
  (out / "link").unlink()
  # File managers and repositories may have theirs.
  for name in (".DS_Store", ".gitattributes", "LICENSE"):
    (out / name).write_text("x")
  assert "5 images" in sets.verify(out)


def test_an_image_in_the_folder_of_another_class_is_named(tmp_path):
  sets.make(tmp_path / "set")
  images = tmp_path / "set" / "images"
  (images / "cat/00000002.png").rename(images / "dog/00000002.png")
  assert "dog/00000002.png is not part of this set" in refused(tmp_path / "set")


@pytest.mark.parametrize("kind, mode", KINDS)
def test_the_same_job_gives_the_same_bytes(kind, mode, tmp_path):
  found = []
  for name in ("a", "b"):
    sets.make(tmp_path / name, format=kind, mode=mode)
    root = tmp_path / name
    found.append(
      {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
      }
    )
  assert found[0] == found[1]
  assert "README.md" in found[0]


@pytest.mark.parametrize("kind, mode", KINDS)
def test_repairing_gives_what_was_there(kind, mode, tmp_path):
  out = tmp_path / "set"
  sets.make(out, format=kind, mode=mode)
  before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
  mine = out / "mine.txt"
  mine.write_text("mine")
  for path in before:
    if path.name == "job.json":
      continue
    for content in (None, b"x"):
      path.unlink() if content is None else path.write_bytes(content)
      missing_record = content is None and path.parent.name == "records"
      if not missing_record and path.name != "manifest.json" or content:
        with pytest.raises(RunError, match="--resume --repair"):
          sets.make(out, format=kind, mode=mode, resume=True)
      screen = sets.make(out, format=kind, mode=mode, resume=True, repair=True)
      assert "mine.txt is not part of this set" in screen
      found = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
      assert found == before | {mine: b"mine"}, path
  mine.unlink()
  assert "5 images" in sets.verify(out)


def test_numbers_of_a_job_file_cannot_fill_the_memory(tmp_path):
  sets.make(tmp_path)
  path = pathlib.Path(tmp_path / "job.json")
  text = path.read_text()
  for old, new in (
    ('"num_images": 5', f'"num_images": {10**15}'),
    ('"num_images": 5', f'"num_images": {10**9}'),
    ('"num_images": 5', '"num_images": true'),
    ('"about": {', '"about": [], "x": {'),
  ):
    assert old in text
    path.write_text(text.replace(old, new))
    assert "job.json cannot be read: it is broken" in refused(tmp_path)
  path.write_text("[" * 100_000)
  assert "job.json cannot be read" in refused(tmp_path)
  record = tmp_path / "records/00000.json"
  path.write_text(text)
  record.write_text(record.read_text().replace('"labels": [0', '"labels": [7'))
  assert "labels" in refused(tmp_path)


def test_an_npz_that_says_something_else_is_found(tmp_path):
  sets.make(tmp_path, format="npz")
  path = tmp_path / "00000-of-00002.npz"
  with np.load(path) as arrays:
    kept = dict(arrays)
  for change in (
    {"more": np.zeros(1)},
    {"images": kept["images"].astype(np.int16)},
    {"labels": kept["labels"][::-1]},
    {"labels": kept["labels"].astype(np.int64)},
    {},
  ):
    np.savez(path, **(kept | change))
    assert "shard 0 is not what was written" in refused(tmp_path)


def test_what_lies_beside_a_damaged_set_does_not_hide_the_damage(tmp_path):
  out = tmp_path / "set"
  sets.make(out, format="npz")
  shard = next(out.glob("*.npz"))
  shard.write_bytes(shard.read_bytes()[:-1])
  (out / "other.npz").touch()
  message = refused(out)
  assert "other.npz" in message and "has not compared the images" in message
  (out / "other.npz").unlink()
  assert "--repair" in refused(out)
