"""Which class image n shows: a function of n and `--labels` alone."""

import heapq

import numpy as np
from jaxtyping import Int

from vqvae_jax.data import DataSpec
from vqvae_jax.errors import ConfigError

# 2**64 over the golden ratio, made odd.
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def labels_of(
  choice: str, numbers: Int[np.ndarray, " n"], spec: DataSpec
) -> Int[np.ndarray, " n"]:
  """Labels of the images with these numbers.

  Args:
    choice: "balanced": classes in turn. "as-data": in the proportions of the
      training images, which every prefix 0..n keeps closely. "fill-minority":
      always the class of which there is least, training images and those
      before counted. Else class names or numbers with commas, which are taken
      in turn.
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
      f"--labels {choice!r}: {spec.name} has no labels; leave it at balanced"
    )
  if choice == "as-data":
    # n times the golden ratio, modulo 1, spreads evenly over [0, 1) for every
    # prefix (Knuth, The Art of Computer Programming, volume 3, section 6.4).
    spread = (numbers.astype(np.uint64) * _GOLDEN) / 2.0**64
    ends = np.cumsum(spec.class_counts) / np.sum(spec.class_counts)
    found = np.searchsorted(ends, spread, side="right")
    return np.minimum(found, spec.num_classes - 1).astype(np.int32)
  if choice == "fill-minority":
    return _filled(spec.class_counts, int(numbers.max(initial=-1)) + 1)[numbers]
  chosen = np.array([_label(part, spec) for part in choice.split(",")])
  return chosen[numbers % len(chosen)].astype(np.int32)


def _filled(counts, length):
  """The least frequent class, the lowest of several, `length` times."""
  queue = [(count, label) for label, count in enumerate(counts)]
  heapq.heapify(queue)
  labels = np.empty(length, np.int32)
  for n in range(length):
    count, labels[n] = queue[0]
    heapq.heapreplace(queue, (count + 1, int(labels[n])))
  return labels


def _label(part, spec):
  part = part.strip()
  # A class may be called "3" and not be number 3: names come first.
  if part in spec.class_names:
    return spec.class_names.index(part)
  if part.isdecimal() and int(part) < spec.num_classes:
    return int(part)
  known = ", ".join(spec.class_names[:20])
  if len(spec.class_names) > 20:
    known += ", ..."
  raise ConfigError(
    f"--labels {part!r} is no class of {spec.name}: {known}; nor is it "
    "balanced, as-data or fill-minority"
  )
