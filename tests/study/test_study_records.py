"""Records come back as they were written, or not at all."""

import json
import math

import pytest

from vqvae_jax.errors import RunError
from vqvae_jax.files import pretty_json
from vqvae_jax.study import records

VALUES = {
  "accuracy": 0.875,
  "auroc": math.nan,
  "recall": [1.0, 0.5],
  "name": "déjà vu",
  "done": True,
  "nested": {"chosen": "light", "among": {"light": 0.25}},
}
MADE_FROM = {"seed": 0, "shape": (8, 8, 1), "generated images": None}


@pytest.fixture
def path(tmp_path):
  path = tmp_path / "new" / "folder" / "record.json"
  records.write(path, VALUES, MADE_FROM)
  return path


def test_a_record_comes_back(path):
  found = records.read(path, MADE_FROM)
  assert str(found) == str(VALUES)
  assert str(records.read(path)) == str(VALUES)
  assert records.read(path.with_name("other.json")) is None
  assert records.once(path, pytest.fail, MADE_FROM)["name"] == "déjà vu"


def damaged():
  for content in (
    b"",
    b"null",
    b"7",
    b'"text"',
    b"[1, 2]",
    b"{}",
    b'{"digest": 1}',
    b"\xff\xfe{}",
    b"[" * 200_000,
    b'{"a":' * 200_000,
    b'{"a": ' + b"9" * 5000 + b"}",
  ):
    yield lambda record, content=content: content
  for name in [*VALUES, "made_from", "digest"]:
    for other in ("high", None, -1, [0.5], {"a": 1}, {}):

      def edit(record, name=name, other=other):
        return pretty_json({**record, name: other})

      yield edit
    yield lambda record, name=name: pretty_json(
      {k: v for k, v in record.items() if k != name}
    )
  yield lambda record: pretty_json({**record, "new": 1})
  yield lambda record: pretty_json({**record, "accuracy": 0.876})
  yield lambda record: json.dumps(record).encode()[:-1]


def test_every_damage_is_one_line_that_says_what_to_do(path):
  before = path.read_bytes()
  for n, damage in enumerate(damaged()):
    path.write_bytes(damage(json.loads(before)))
    with pytest.raises(RunError, match=r"record\.json") as error:
      records.read(path)
    text = str(error.value)
    assert text.endswith("; move it away, and it is made again"), n
    assert "\n" not in text and len(text) < 500
  # Another layout of the same values is no damage.
  path.write_bytes(json.dumps(json.loads(before), indent=7).encode())
  assert str(records.read(path, MADE_FROM)) == str(VALUES)


@pytest.mark.parametrize(
  ("name", "value"),
  [("seed", 1), ("shape", (8, 8, 3)), ("generated images", "ab"), ("x", 1)],
)
def test_a_record_of_something_else_is_refused(path, name, value):
  with pytest.raises(RunError, match=f"no longer fits: {name} changed since"):
    records.read(path, {**MADE_FROM, name: value})
  with pytest.raises(RunError, match="fits: seed changed since"):
    records.read(path, {k: v for k, v in MADE_FROM.items() if k != "seed"})


def test_digests_of_folders_are_of_names_and_contents(tmp_path):
  def digest():
    return records.folder_digest([tmp_path / "a", tmp_path / "b"])

  found = [digest()]
  for name, content in (
    ("a/x", "1"),
    ("a/x", "2"),
    ("a/sub/y", "1"),
    ("b/x", "2"),
  ):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(content)
    found.append(digest())
  (tmp_path / "a/x").rename(tmp_path / "a/z")
  assert len({*found, digest()}) == len(found) + 1
  (tmp_path / "a/z").rename(tmp_path / "a/x")
  assert digest() == found[-1]
  assert records.file_digest(tmp_path / "a/none") is None


def test_a_folder_is_checked_and_not_touched(tmp_path):
  settings = {"seeds": 3, "tokenizer": {"hidden": 8, "levels": (8, 5)}}
  records.check_study(tmp_path / "none", settings)
  records.check_study(tmp_path, settings)
  assert not list(tmp_path.iterdir())
  # What is left when a machine goes down in the middle of the first record.
  (tmp_path / "study.json.partial").write_text("{")
  (tmp_path / ".lock").write_text("")
  records.check_study(tmp_path, settings)
  records.write(tmp_path / "study.json", settings)
  records.check_study(tmp_path, settings)
  other = {"seeds": 3, "tokenizer": {"hidden": 16, "levels": (8, 5)}}
  with pytest.raises(
    RunError, match="settings: tokenizer.hidden was 8, now 16; use"
  ):
    records.check_study(tmp_path, other)
  (tmp_path / "study.json").write_text("")
  with pytest.raises(RunError, match="study.json cannot be read.*put back"):
    records.check_study(tmp_path, settings)
