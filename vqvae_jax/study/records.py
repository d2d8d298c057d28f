"""The folder of a study: what is done is on record, and not done again.

out/study.json            the settings
out/seed-0/vqvae/         run folder of a generator
out/seed-0/sets/          generated images, one folder for each way
out/seed-0/judged/        scores on validation images, weights of judges
out/seed-0/gates/         what the generated sets are like
out/choices.json          what was chosen on validation images
out/test.json             when test images were read, and the scores there
out/report.html, ...      see `report`
"""

import json
from collections.abc import Callable
from typing import Any

from etils import epath

from vqvae_jax.errors import RunError
from vqvae_jax.files import replace


def write(path: epath.PathLike, values: Any):
  """Writes JSON, whole or not at all."""
  path = epath.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  replace(path, (json.dumps(values, indent=2) + "\n").encode())


def read(path: epath.PathLike) -> Any:
  """What `write` wrote, or None if there is no such file.

  Raises:
    RunError: if it is broken.
  """
  path = epath.Path(path)
  if not path.exists():
    return None
  try:
    return json.loads(path.read_text())
  except ValueError as error:
    raise RunError(f"{path} cannot be read: {error}") from None


def once(path: epath.PathLike, make: Callable[[], Any]) -> Any:
  """What is on record at `path`, made now if nothing is."""
  values = read(path)
  if values is None:
    values = make()
    write(path, values)
  return values


def open_study(out: epath.PathLike, settings: dict[str, Any]):
  """Takes the folder for a study, or goes on with it.

  Raises:
    RunError: if the folder holds something else, or another study.
  """
  out = epath.Path(out)
  old = read(out / "study.json")
  if old is None:
    foreign = [p.name for p in out.iterdir() if p.name != ".lock"]
    if foreign:
      raise RunError(
        f"{out} holds {foreign[0]!r} but no study.json: it is no study; name a "
        "new or an empty folder with --out"
      )
  else:
    # As JSON has them: lists for tuples.
    new = json.loads(json.dumps(settings))
    name = next((k for k in new if old.get(k) != new[k]), None)
    if name:
      raise RunError(
        f"{out} is a study with other settings: {name} was {old.get(name)}, "
        f"now {new[name]}; use those, or another --out"
      )
  write(out / "study.json", settings)
