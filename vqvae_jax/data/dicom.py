"""Converts DICOM images to PNG files, in the same subfolders.

    python -m vqvae_jax.data.dicom IN OUT

Images are written as a viewer shows them first (see `dicom_pixels.py`). Nothing
of a file's header reaches the PNG, and its name comes from the file's name.
"""

import argparse
import dataclasses
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from vqvae_jax import cli, files
from vqvae_jax.data import images
from vqvae_jax.data.dicom_pixels import Window, need_pydicom, read
from vqvae_jax.data.parallel import in_order
from vqvae_jax.errors import ConfigError, DataError

_SUFFIXES = (".dcm", ".dicom")


@dataclasses.dataclass(frozen=True)
class DicomConfig:
  """Settings of `python -m vqvae_jax.data.dicom`.

  Attributes:
    source: folder of DICOM files.
    out: folder for the PNG files.
    bits: bits of a grey value, 8 or 16.
    window: center and width of a window, or None for each file's own.
  """

  source: str
  out: str
  bits: Literal[8, 16] = 8
  window: Window | None = None

  def __post_init__(self):
    if self.window is not None and not (
      np.isfinite(self.window).all() and self.window[1] >= 1
    ):
      raise ConfigError(
        f"--window {self.window[0]:g} {self.window[1]:g}: the width, the "
        "second number, must be 1 or more"
      )


def convert(config: DicomConfig) -> None:
  """Converts a folder; prints which files fail and converts the others.

  Args:
    config: settings of the conversion.

  Raises:
    DataError: if the folders cannot be used or, at the end, if files failed.
  """
  need_pydicom()
  source, out = files.expand(config.source), files.expand(config.out)
  if not source.is_dir():
    raise DataError(f"{source} does not exist, or is not a folder")
  real = os.path.realpath(source)
  if os.path.commonpath([real, os.path.realpath(out)]) == real:
    raise DataError(f"{out} lies in {source}; name another folder for the PNGs")
  found, others = _find(Path(source))
  targets = _name_targets(found, Path(source), Path(out))
  results = list(
    in_order(
      lambda i: _convert_file(found[i], targets[i], config),
      len(found),
      "converting",
    )
  )
  failed = [line for kind, line in results if kind == "failed"]
  for line in failed:
    print(line, file=sys.stderr)
  there = sum(kind == "there" for kind, _ in results)
  unset = sum(note == "no window" for _, note in results)
  print(
    f"{len(found) - len(failed):,} images are in {out}"
    + f" ({there:,} were there already)" * bool(there)
    + f"; {others:,} files that are not DICOM were left out" * bool(others)
  )
  if unset:
    print(
      f"{unset:,} of them have no window: each is scaled by its own least and "
      "largest value; --window CENTER WIDTH sets one for all"
    )
  if failed:
    raise DataError(
      f"{len(failed):,} of {len(found):,} files, named above, were not "
      "converted; mend them or move them away, and repeat the command"
    )


def _convert_file(path, target, config):
  """Returns "made", "there" or "failed", and a note or the error."""
  try:
    pixels, scaled = read(path, config.bits, config.window)
    kind = "made"
    if target.exists():
      kind = "there"
      there = images.decode(target, str(target))
      new = pixels if pixels.ndim == 3 else pixels[..., None]
      if there.dtype != new.dtype or not np.array_equal(there, new):
        raise DataError(
          f"{target} exists and differs from {path}; nothing is overwritten: "
          "name another folder, or move the file away"
        )
    else:
      target.parent.mkdir(parents=True, exist_ok=True)
      stream = io.BytesIO()
      Image.fromarray(pixels).save(stream, "PNG")
      files.replace(files.expand(target), stream.getvalue())
  except (DataError, OSError) as error:
    return "failed", str(error)
  return kind, "no window" if scaled else ""


def _find(root) -> tuple[list[Path], int]:
  """Returns the DICOM files below a folder, and the number of other files."""
  found, others = [], 0
  for path in _walk(root):
    if path.name.upper() == "DICOMDIR":
      continue  # The table of contents of a CD.
    if path.suffix.lower() in _SUFFIXES or _has_magic(path):
      found.append(path)
    else:
      others += 1
  if not found:
    raise DataError(f"{root} does not hold a DICOM file")
  return found, others


def _walk(root) -> Iterator[Path]:
  for folder, names, found in os.walk(root):
    names[:] = sorted(name for name in names if not name.startswith("."))
    for name in sorted(found):
      path = Path(folder, name)
      # Reading a pipe, for example, would never end.
      if not name.startswith(".") and path.is_file():
        yield path


def _has_magic(path):
  try:
    with open(path, "rb") as stream:
      return stream.read(132)[128:] == b"DICM"
  except OSError:
    return True  # The conversion will name it.


def _name_targets(found, source, out):
  targets = []
  for path in found:
    relative = path.relative_to(source)
    # A name may end like 1.2.840.113.5, so only known suffixes are removed.
    known = relative.suffix.lower() in _SUFFIXES
    name = relative.stem if known else relative.name
    targets.append(out / relative.with_name(f"{name}.png"))
  seen = {}
  for path, target in zip(found, targets, strict=True):
    if target in seen:
      raise DataError(
        f"{seen[target]} and {path} would both become {target}; rename one"
      )
    seen[target] = path
  return targets


class _Parser(argparse.ArgumentParser):
  def error(self, message) -> None:
    raise ConfigError(f"{message}; {self.prog} --help shows how to call it")


def main() -> int:
  """Runs the command; returns its exit code."""
  parser = _Parser(
    prog="python -m vqvae_jax.data.dicom",
    description="Converts the DICOM images of a folder to PNG files in the "
    "same subfolders, as a viewer shows them first.",
  )
  parser.add_argument(
    "source",
    metavar="IN",
    help="folder of DICOM files, in class folders or not",
  )
  parser.add_argument(
    "out",
    metavar="OUT",
    help="folder for the PNG files; existing files are compared and never "
    "overwritten",
  )
  parser.add_argument(
    "--bits",
    type=int,
    choices=(8, 16),
    default=8,
    help="bits of a grey value (default: 8); train.py brings both to 8",
  )
  parser.add_argument(
    "--window",
    type=float,
    nargs=2,
    metavar=("CENTER", "WIDTH"),
    help="window for all grey images, in units after slope and intercept "
    "(Hounsfield units of a CT: 40 400 shows soft tissue); by default the "
    "window of each file, or else its least and largest value",
  )

  def work():
    given = parser.parse_args()
    window = None if given.window is None else tuple(given.window)
    convert(DicomConfig(given.source, given.out, given.bits, window))

  return cli.guarded(work, "the same command continues from there")


if __name__ == "__main__":
  sys.exit(main())
