"""Class folders of PNG files, and the manifest beside them.

    out/images/<class>/<index>.png
    out/manifest.json
    out/grid.png

Every file is written under another name and renamed, so it is whole or absent.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from etils import epath
from jaxtyping import UInt8
from PIL import Image

from vqvae_jax.errors import RunError
from vqvae_jax.training.pictures import png

MANIFEST = "manifest.json"
PARTIAL = ".partial"
# What the same job has in common with itself when it goes on.
_SAME = (
  "mode",
  "weights",
  "seed",
  "labels_as",
  "temperature",
  "top_k",
  "top_p",
  "guidance",
  "batch_size",
  "device",
)


def class_folders(class_names: Sequence[str]) -> list[str]:
  """A safe and distinct folder name for each class; "unlabelled" for none.

  Letters, digits, dots, dashes and underscores stay, anything else becomes an
  underscore; names that then collide, also where case does not count, get
  their number.
  """
  if not class_names:
    return ["unlabelled"]
  folders, taken = [], set()
  for number, name in enumerate(class_names):
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".")[:80]
    # Digits alone are a number already: "3" must not become "3_7".
    if not safe or safe.lower() in taken:
      safe = f"{safe or 'class'}_{number}"
    while safe.lower() in taken:
      safe += "_"
    taken.add(safe.lower())
    folders.append(safe)
  return folders


class Writer:
  """Writes one job's images. Methods may be called from several threads."""

  def __init__(
    self, out: epath.PathLike, settings: dict[str, Any], *, resume: bool
  ):
    """Opens the output folder.

    Args:
      out: a new or empty folder, or one to resume.
      settings: of the job, for the manifest.
      resume: accept a folder of the same job.

    Raises:
      RunError: if the folder is not empty and not to be resumed, or if it
        belongs to another job.
    """
    self._out = epath.Path(out)
    self._settings = settings
    self._folders = class_folders(settings["class_names"])
    if resume:
      self._check_same_job()
    elif self._out.exists() and any(self._out.iterdir()):
      raise RunError(
        f"{out} is not empty; name another --out, or finish that job with "
        "--resume"
      )
    self._out.mkdir(parents=True, exist_ok=True)
    for folder in self._folders:
      (self._out / "images" / folder).mkdir(parents=True, exist_ok=True)
    # On record before the first image, so that an interrupted job is known.
    if not (self._out / MANIFEST).exists():
      self._write_manifest(complete=False, labels=[])

  def has(self, number: int, label: int) -> bool:
    """Whether an image is there already."""
    return self._path(number, label).exists()

  def write(self, number: int, label: int, pixels: UInt8[np.ndarray, "h w c"]):
    """Writes one image."""
    _replace(self._path(number, label), png(pixels))

  def read(self, number: int, label: int) -> UInt8[np.ndarray, "h w c"]:
    """Reads one image back."""
    with self._path(number, label).open("rb") as file:
      pixels = np.asarray(Image.open(file, formats=["PNG"]))
    return pixels.reshape(*pixels.shape[:2], -1)

  def finish(self, labels: Sequence[int], grid: UInt8[np.ndarray, "h w c"]):
    """Writes the grid and completes the manifest."""
    _replace(self._out / "grid.png", png(grid))
    self._write_manifest(complete=True, labels=labels)

  def _path(self, number, label):
    folder = self._folders[label]
    return self._out / "images" / folder / f"{number:08d}.png"

  def _write_manifest(self, *, complete, labels):
    names = self._settings["class_names"] or ["unlabelled"]
    manifest = {
      **{k: v for k, v in self._settings.items() if k != "class_names"},
      "complete": complete,
      "classes": [
        {"label": label, "name": name, "folder": folder}
        for label, (name, folder) in enumerate(
          zip(names, self._folders, strict=True)
        )
      ],
      "labels": [int(label) for label in labels],
    }
    text = json.dumps(manifest, indent=2)
    # One line for each key, not for each label.
    flat = re.sub(r"\[[\d\s,]*\]", lambda m: " ".join(m[0].split()), text)
    _replace(self._out / MANIFEST, (flat + "\n").encode())

  def _check_same_job(self):
    path = self._out / MANIFEST
    if not path.exists():
      if self._out.exists() and any(self._out.iterdir()):
        raise RunError(
          f"{self._out} has no {MANIFEST}: it is no job that can be resumed"
        )
      return
    new = self._settings
    try:
      old = json.loads(path.read_text())
      # The mode comes first: what follows may belong to one mode only.
      name = next(
        (k for k in _SAME if k in new and old[k] != new[k]),
        None,
      )
    except (KeyError, TypeError, ValueError):
      raise RunError(f"{path} cannot be read as a manifest") from None
    if name:
      raise RunError(
        f"{self._out} belongs to another job: {name} was {old[name]}, now "
        f"{new[name]}"
      )
    if old["num_images"] > self._settings["num_images"]:
      raise RunError(
        f"{self._out} was to hold {old['num_images']} images, more than "
        f"--num-images {self._settings['num_images']}; nothing is deleted"
      )


def _replace(path, content):
  partial = path.with_name(path.name + PARTIAL)
  partial.write_bytes(content)
  partial.replace(path)
