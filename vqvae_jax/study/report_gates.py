"""The tables of the gates: what the generated sets are like."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vqvae_jax.study.quality import COMPARED
from vqvae_jax.study.report_pages import Table
from vqvae_jax.study.report_tables import NOT_KNOWN

# Column, key, digits; "%" of a share.
SETS = (
  ("label agreement", "label_agreement", "%"),
  ("distinct images", "distinct", "%"),
  ("duplicate ids", "duplicate_ids", "%"),
  ("ids of a training image", "training_ids", "%"),
)
NEAREST = (
  ("median", "median", 3),
  ("held-out median", "held_out_median", 3),
  ("1st percentile", "p1", 3),
  ("held-out 1st percentile", "held_out_p1", 3),
  ("share closer", "share_closer", "%"),
)
DISTRIBUTION = (
  ("precision", "precision", 3),
  ("recall", "recall", 3),
  ("density", "density", 3),
  ("coverage", "coverage", 3),
  ("KID", "kid", 4),
  ("Fréchet distance, features", "frechet_distance_judge_features", 2),
)
# Those that do not change with the number of images.
HELD_OUT = ("precision", "density", "kid")
# What stands above each of these tables.
SETS_TEXT = (
  "Of all images drawn, before any filter. Label agreement: share of generated "
  "images that classifiers, each trained on a part of the real images, assign "
  "to the class they were generated for. Distinct images: share of different "
  "images among all. Duplicate ids: share of images whose ids another image "
  "has, too. Ids of a training image: share of images with the ids of a "
  "training image's reconstruction. Both are of images encoded again, and n/a "
  "for generators without ids. Dropped by the filter: number of images over "
  "all seeds, by reason. Numbers are means over seeds, with the least and the "
  "greatest of them in brackets where they differ."
)
NEAREST_TEXT = (
  "Euclidean distance from each generated image to the nearest training image "
  f"(in features: of the first {COMPARED:,} images). The median and the 1st "
  "percentile stand beside the same figures of held-out real images. Share "
  "closer: share of generated images that are nearer to a training image than "
  "99 % of held-out real images are. New images of the same kind would give "
  "about 1 %; much more points to copies."
)
DISTRIBUTION_TEXT = (
  f"Of the first {COMPARED:,} images, in the features of a classifier (arXiv "
  "2002.09797) that was trained on the real images they are compared with. "
  "Precision: share of generated images within the neighbourhoods of real "
  "ones. Recall: share of real images within the neighbourhoods of generated "
  "ones. Density: number of real neighbourhoods that hold a generated image, "
  "over the expected number; it may exceed 1. Coverage: share of real images "
  "with a generated one in their neighbourhood. KID: squared maximum mean "
  "discrepancy, 0 for equal distributions; it is an unbiased estimate, which "
  "chance can take below 0. The Fréchet distance is between Gaussians "
  "fitted to the features; it is not FID, and cannot be compared with "
  "published figures. The first row is of held-out real images, which the "
  "features fit less well than the images they were trained on; figures that "
  "depend on the number of images are left out of it."
)


def sets_table(gates: Sequence[Mapping[str, Any]]) -> Table:
  """What the generated sets are, means over seeds."""
  rows = []
  for generator, found in _by_generator(gates).items():
    dropped = {}
    for gate in found:
      for reason, count in (gate.get("dropped") or {}).items():
        dropped[reason] = dropped.get(reason, 0) + count
    counts = sorted({gate["count"] for gate in found})
    rows.append(
      [generator, ", ".join(f"{count:,}" for count in counts)]
      + [_over_seeds(found, key, digits) for _, key, digits in SETS]
      + [", ".join(f"{k} {n:,}" for k, n in dropped.items()) or NOT_KNOWN]
      + [_over_seeds(found, "fewest_kept", 0)]
    )
  header = ["generator", "images", *(name for name, *_ in SETS)]
  header += ["dropped by the filter", "fewest of a class left"]
  # Only VQ-VAEs have ids, and only --filter drops images.
  known = [
    any(cell != NOT_KNOWN for cell in column)
    for column in zip(*rows, strict=True)
  ]
  return Table(
    list(itertools.compress(header, known)),
    [list(itertools.compress(row, known)) for row in rows],
  )


def copied_share(
  gates: Sequence[Mapping[str, Any]], generator: str
) -> float | None:
  """How many images of a generator are too near to training images.

  Returns:
    The mean share over seeds; None if it is not known.
  """
  shares = [
    (gate["nearest_pixels"] or {}).get("share_closer")
    for gate in gates
    if gate["generator"] == generator
  ]
  shares = [share for share in shares if share is not None]
  return float(np.mean(shares)) if shares else None


def nearest_table(gates: Sequence[Mapping[str, Any]]) -> Table:
  """Distances to the nearest real training image."""
  return Table(
    ["generator", "in", *(name for name, *_ in NEAREST)],
    [
      [generator, space]
      + [
        _over_seeds([gate.get(name) or {} for gate in found], key, digits)
        for _, key, digits in NEAREST
      ]
      for generator, found in _by_generator(gates).items()
      for space, name in (
        ("pixels", "nearest_pixels"),
        ("features", "nearest_features"),
      )
    ],
  )


def distribution_table(gates: Sequence[Mapping[str, Any]]) -> Table:
  """How the generated images lie among the real ones, in the features."""
  by_generator = _by_generator(gates)
  # The same for all generators of a seed.
  held_out = [gate["held_out"] for gate in next(iter(by_generator.values()))]
  rows = [
    ["held-out real images"]
    + [
      _over_seeds(held_out, key, digits) if key in HELD_OUT else NOT_KNOWN
      for _, key, digits in DISTRIBUTION
    ]
  ]
  rows += [
    [generator]
    + [_over_seeds(found, key, digits) for _, key, digits in DISTRIBUTION]
    for generator, found in by_generator.items()
  ]
  return Table(["generator", *(name for name, *_ in DISTRIBUTION)], rows)


def _by_generator(gates):
  found = {}
  for gate in gates:
    found.setdefault(gate["generator"], []).append(gate)
  return found


def _over_seeds(found, key, digits):
  """Mean, and the least and the greatest where seeds differ."""
  values = np.array([values.get(key) for values in found], float)
  values = values[~np.isnan(values)]
  if not len(values):
    return NOT_KNOWN
  share, digits = (100, 1) if digits == "%" else (1, digits)
  mean, low, high = (
    f"{share * value:.{digits}f}"
    for value in (values.mean(), values.min(), values.max())
  )
  unit = " %" if share == 100 else ""
  return f"{mean}{unit}" + (f" [{low}, {high}]" if low != high else "")
