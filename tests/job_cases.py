"""What a batch job left in its folder."""

import json
import pathlib


def files(out) -> dict[str, bytes]:
  """Content of every image of a job by its path."""
  root = pathlib.Path(out) / "images"
  return {
    str(path.relative_to(root)): path.read_bytes()
    for path in sorted(root.rglob("*"))
    if path.is_file()
  }


def manifest(out):
  return json.loads((pathlib.Path(out) / "manifest.json").read_text())


def checksums(out):
  return [shard["sha256"] for shard in manifest(out)["shards"]]
