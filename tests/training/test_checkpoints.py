"""Checkpoints: whatever is damaged is told in one line, or loads the same."""

import pathlib
import shutil

import jax
import numpy as np
import pytest
from jax.sharding import Mesh

from vqvae_jax.errors import RunError
from vqvae_jax.sharding import replicated
from vqvae_jax.training import checkpoints
from vqvae_jax.training.checkpoints import Checkpoints
from vqvae_jax.training.digests import digest
from vqvae_jax.training.state import TrainState


class Place:
  """The place in the data, as Grain's iterators tell it."""

  def __init__(self, index: int = 0):
    self.index = index

  def get_state(self):
    return {"next_index": self.index}

  def set_state(self, state):
    self.index = state["next_index"]


def state(step: int, size: int = 16) -> TrainState:
  """A state like those of a training, other numbers at every step."""
  rng = np.random.default_rng(step)
  params = {
    "layer": {
      "kernel": rng.normal(size=(size, size)).astype(np.float32),
      "bias": rng.normal(size=size).astype(np.float32),
    }
  }
  best = {"params": params, "codebook": {"sums": np.full(3, step, np.float32)}}
  count = np.int32(step)
  fields = {
    "step": count,
    "params": params,
    "collections": {"codebook": best["codebook"]},
    "opt_state": ({"mean": params}, count),
    "average": {},
    "plateau": {"scale": np.float32(1)},
    "best": best,
    "best_loss": np.float32(1.5),
    "best_step": count,
    "evals_without_improvement": count,
  }
  mesh = Mesh(np.array(jax.devices()[:1]), ("data",))
  return TrainState(**jax.device_put(fields, replicated(mesh)))


LIKE = state(0)
# The weights that a prior was trained on.
UPON = {"codebook": np.arange(4.0)}


def restored(folder, step: int, like=LIKE, upon=UPON) -> str:
  """Digest of all that a checkpoint holds, the place in the data included."""
  place = Place()
  found = Checkpoints(folder, upon).restore(like, place, step)
  return digest((found, place.index))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
  folder = tmp_path_factory.mktemp("saved") / "prior"
  with Checkpoints(folder, UPON) as kept:
    for step in (5, 10, 15):
      kept.save(state(step), Place(step))
  assert checkpoints.steps(folder) == [10, 15]
  return folder


def refusal(call, *args, **kwargs) -> str:
  with pytest.raises(RunError) as error:
    call(*args, **kwargs)
  message = str(error.value)
  assert "\n" not in message
  return message


def test_what_was_saved_is_what_is_restored(saved):
  for step in (10, 15):
    assert restored(saved, step) == digest((state(step), step))


def damages(content: bytes):
  """What may become of a file; None is none at all."""
  yield "removed", None
  yield "emptied", b""
  yield "cut", content[: len(content) // 2]
  for part in (0, 0.5, 0.999):
    changed = bytearray(content)
    changed[int(part * len(content))] ^= 255
    yield f"inverted at {part}", bytes(changed)


def test_every_damaged_file_is_told_or_changes_nothing(saved, tmp_path, capfd):
  """Each file of the newest checkpoint, in one of six ways in turn."""
  whole = restored(saved, 15)
  folder = tmp_path / "prior"
  shutil.copytree(saved, folder)
  files = sorted(p for p in (folder / "15").rglob("*") if p.is_file())
  told = set()
  for number, path in enumerate(files):
    content = path.read_bytes()
    if not content:
      continue
    # Of the file with the weights, all of them.
    every = {"model", "d"} < set(path.parts) and len(content) > 1000
    for n, (name, damage) in enumerate(damages(content)):
      if not every and n != number % 6:
        continue
      path.unlink()
      if damage is not None:
        path.write_bytes(damage)
      case = f"{path.relative_to(folder)} {name}"
      try:
        assert restored(folder, 15) == whole, case
      except RunError as error:
        message = str(error)
        assert message.startswith(f"{folder}/15 "), case
        assert message.endswith(
          "step 10 is whole: --from-step=prior:10 continues from there"
        ), case
        assert "\n" not in message, case
        told.add((every, name))
      path.write_bytes(content)
  # Whatever changes the weights is among them.
  for name in ("removed", "emptied", "cut", "inverted at 0.5"):
    assert (True, name) in told
  # Not a word of Orbax on the screen.
  assert capfd.readouterr() == ("", "")


def test_one_changed_weight_is_noticed(saved, tmp_path, monkeypatch):
  """Even where the file itself reads as it should."""
  true_load = checkpoints.ocp.load_checkpointables

  def load(path, items):
    found = true_load(path, items)
    if path.name == "15":
      change = found["model"]["variables"]["params"]["layer"]
      change["bias"] = change["bias"].at[3].add(1e-6)
    return found

  monkeypatch.setattr(checkpoints.ocp, "load_checkpointables", load)
  assert "'model' is not what was saved" in refusal(restored, saved, 15)
  variables = LIKE.best
  message = refusal(checkpoints.load_model, saved, variables)
  assert "'model' is not what was saved" in message
  _, step = checkpoints.load_model(saved, variables, 10)
  assert step == 10


def test_parts_that_are_missing_swapped_or_foreign(saved, tmp_path):
  def copy(name):
    return pathlib.Path(shutil.copytree(saved, tmp_path / name))

  folder = copy("data")
  shutil.rmtree(folder / "15/data")
  assert "'data' is missing" in refusal(restored, folder, 15)
  # Sampling does not need it.
  assert checkpoints.load_model(folder, LIKE.best)[1] == 15
  folder = copy("empty")
  shutil.rmtree(folder / "15")
  (folder / "15").mkdir()
  assert "'model' is missing" in refusal(restored, folder, 15)
  # Nor is the older one taken in silence.
  assert "15 " in refusal(checkpoints.load_model, folder, LIKE.best)
  folder = copy("swapped")
  (folder / "15").rename(folder / "x")
  (folder / "10").rename(folder / "15")
  (folder / "x").rename(folder / "10")
  for call, like in ((restored, 15), (checkpoints.load_model, LIKE.best)):
    message = refusal(call, folder, like)
    assert "15 holds step 10: give the folder that name again" in message
  folder = copy("both")
  for step in (10, 15):
    shutil.rmtree(folder / f"{step}/training")
  assert "no whole checkpoint is left" in refusal(restored, folder, 15)
  message = refusal(restored, folder, 7)
  assert "no checkpoint of step 7; it has 10, 15" in message
  # What else lies in the folder is no checkpoint.
  for name in ("007", "٣", "15.set-aside", "9" * 30, "notes"):
    (folder / name).mkdir()
  assert checkpoints.steps(folder) == [10, 15]


def test_other_shapes_do_not_fit(saved):
  like = state(0, size=8)
  message = refusal(restored, saved, 15, like)
  assert "does not fit the settings in config.json" in message
  assert "restore config.json" in message
  assert "no whole checkpoint" not in message


def test_a_prior_of_another_tokenizer_is_refused(saved):
  other = {"codebook": UPON["codebook"] + 1e-3}
  message = refusal(restored, saved, 15, upon=other)
  assert "was not trained on the tokenizer that is loaded" in message
  upon = digest(UPON)
  checkpoints.load_model(saved, LIKE.best, built_upon=upon)
  refusal(checkpoints.load_model, saved, LIKE.best, built_upon="0" * 32)


def test_checkpoints_of_older_versions_load_with_a_warning(
  saved, tmp_path, capsys
):
  folder = pathlib.Path(shutil.copytree(saved, tmp_path / "prior"))
  path = folder / "15/_CHECKPOINT_METADATA"
  listed = path.read_text()
  path.write_text(listed.replace('"digests"', '"other"'))
  assert "is broken" in refusal(restored, folder, 15)
  shutil.rmtree(folder / "15/digests")
  assert restored(folder, 15) == restored(saved, 15)
  warning = capsys.readouterr().err
  assert warning.startswith("warning: ") and warning.count("\n") == 1
  assert "15 was saved by an older version and has no digest" in warning


def test_newer_checkpoints_are_set_aside(saved, tmp_path):
  folder = pathlib.Path(shutil.copytree(saved, tmp_path / "prior"))
  kept = Checkpoints(folder)
  moved = kept.set_aside_after(10)
  assert [path.name for path in moved] == ["15.set-aside"]
  assert kept.latest_step == 10
  # Trained on, and set aside once more: the first one stays.
  with kept:
    kept.save(state(15), Place(15))
  moved = kept.set_aside_after(10)
  assert [path.name for path in moved] == ["15.set-aside-1"]
  names = {path.name for path in folder.iterdir()}
  assert names == {"10", "15.set-aside", "15.set-aside-1"}


def test_the_digest_is_of_the_state_that_was_saved(tmp_path):
  """Though the step after it may overwrite the arrays while it is summed."""
  folder = tmp_path / "prior"
  change = jax.jit(lambda s: jax.tree.map(lambda x: x + 1, s), donate_argnums=0)
  now = state(3, size=400)
  expected = digest((now, 3))
  with Checkpoints(folder) as kept:
    kept.save(now, Place(3))
    for _ in range(5):
      now = change(now)
  assert restored(folder, 3, state(0, size=400), None) == expected
