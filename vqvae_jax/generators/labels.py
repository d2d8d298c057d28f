"""Which class image n shows: a function of n and `--labels` alone."""

import csv
import heapq
import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from vqvae_jax.data import DataSpec
from vqvae_jax.errors import ConfigError

KEYWORDS = ("balanced", "as-data", "fill-minority")
# 2**64 over the golden ratio, made odd.
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
# Of texts in messages.
_SHOWN = 60


def labels_of(
  choice: str, numbers: Int[np.ndarray, " n"], spec: DataSpec
) -> Int[np.ndarray, " n"]:
  """Labels of the images with these numbers.

  Args:
    choice: "balanced": classes in turn. "as-data": in the proportions of the
      training images, which every prefix 0..n keeps closely. "fill-minority":
      always the class of which there is least, training images and those
      before counted. Else classes with commas, which are taken in turn; see
      `chosen`.
    numbers: of the images, from 0 on.
    spec: of the data.

  Raises:
    ConfigError: if the choice names a class that there is not.
  """
  numbers = np.asarray(numbers)
  if choice == "balanced":
    return (numbers % spec.num_classes).astype(np.int32)
  if not spec.class_names:
    raise ConfigError(
      f"--labels {_quoted(choice)}: {spec.name} has no labels; leave it at "
      "balanced"
    )
  if choice == "as-data":
    # n times the golden ratio, modulo 1, spreads evenly over [0, 1) for every
    # prefix (Knuth, The Art of Computer Programming, volume 3, section 6.4).
    spread = (numbers.astype(np.uint64) * _GOLDEN) / 2.0**64
    ends = np.cumsum(spec.class_counts) / np.sum(spec.class_counts)
    found = np.searchsorted(ends, spread, side="right")
    return np.minimum(found, spec.num_classes - 1).astype(np.int32)
  if choice == "fill-minority":
    return _filled(spec.class_counts, numbers)
  labels = np.array(chosen(choice, spec))
  return labels[numbers % len(labels)].astype(np.int32)


def chosen(choice: str, spec: DataSpec) -> list[int]:
  """Labels of the classes that a text names.

  Args:
    choice: class names with commas. A name with a comma stands in double
      quotes. A number that is not a name is a position, from 0 on, unless one
      of the names is a number itself: "1" beside classes 01 and 02 could mean
      either.
    spec: of the data.

  Raises:
    ConfigError: if a part is not one class.
  """
  parts = _split(choice)
  if "," in choice and _named(choice, spec):
    if all(_named(part, spec) for part in parts):
      raise ConfigError(
        f"--labels {_quoted(choice)} is one class and also several; write "
        f"'\"{choice[:_SHOWN]}\"' for the one, or another order for the several"
      )
    parts = [choice]
  return [_label(part, spec) for part in parts]


def explained(choice: str, spec: DataSpec) -> str | None:
  """A line for the screen where `--labels` could be taken in two ways."""
  if choice in KEYWORDS:
    if choice not in spec.class_names:
      return None
    return (
      f"--labels={choice} is the rule {choice}; for the class of that name "
      f"write --labels='\"{choice}\"'"
    )
  labels = chosen(choice, spec)
  if _named(choice, spec) or all(_named(p, spec) for p in _split(choice)):
    return None
  names = [f"{n} is {_quoted(spec.class_names[n])}" for n in labels[:20]]
  more = ", ..." if len(labels) > 20 else ""
  return f"--labels by position, from 0 on: {', '.join(names)}{more}"


def _filled(counts, numbers):
  """The least frequent class, the lowest of several, image after image."""
  missing = max(counts) * len(counts) - sum(counts)
  length = min(int(numbers.max(initial=-1)) + 1, missing)
  queue = [(count, label) for label, count in enumerate(counts)]
  heapq.heapify(queue)
  # Once all are equally frequent, they come in turn.
  labels = (numbers - missing) % len(counts)
  filled = np.empty(length, np.int32)
  for n in range(length):
    count, filled[n] = queue[0]
    heapq.heapreplace(queue, (count + 1, int(filled[n])))
  before = numbers < length
  labels[before] = filled[numbers[before]]
  return labels.astype(np.int32)


def _split(choice):
  try:
    (parts,) = csv.reader([choice], skipinitialspace=True, strict=True)
  except (csv.Error, ValueError):
    parts = [choice]
  return parts


def _named(part, spec) -> Sequence[int]:
  """Labels of all classes of this name, as it stands or nearly."""
  for form in (str, str.strip, _normal):
    found = [
      label
      for label, name in enumerate(spec.class_names)
      if name and form(name) == form(part)
    ]
    if found:
      return found
  return []


def _normal(name):
  # Folders unpacked on macOS keep letters and their accents apart.
  return unicodedata.normalize("NFC", name.strip())


def _label(part, spec):
  found = _named(part, spec)
  if len(found) > 1:
    raise ConfigError(
      f"--labels {_quoted(part)}: {len(found)} classes have this name, numbers "
      f"{', '.join(map(str, found[:20]))}; rename them"
    )
  if found:
    return found[0]
  known = ", ".join(name[:_SHOWN] for name in spec.class_names[:20])
  if len(spec.class_names) > 20:
    known += ", ..."
  hint = ""
  if re.fullmatch("0|[1-9][0-9]{0,8}", part.strip()):
    numeric = next(filter(_is_number, spec.class_names), None)
    if numeric is None and int(part) < spec.num_classes:
      return int(part)
    if numeric is not None:
      hint = (
        f". {part.strip()} is not taken for a position, because the class "
        f"{_quoted(numeric)} is a number itself"
      )
  elif any("," in name for name in spec.class_names):
    hint = ". A name with a comma stands in double quotes"
  raise ConfigError(
    f"--labels {_quoted(part)} is not a class of {spec.name}: {known}; nor is "
    f"it balanced, as-data or fill-minority{hint}"
  )


def _is_number(name):
  try:
    float(name)
  except ValueError:
    return False
  return any(char.isdigit() for char in name)


def _quoted(text):
  return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
