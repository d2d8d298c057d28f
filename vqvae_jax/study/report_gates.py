"""The tables of the gates: what the generated sets are like."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vqvae_jax.study.gates import COMPARED
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
  ("Fréchet distance, judge's features", "frechet_distance_judge_features", 2),
)
# Those that do not change with the number of images.
HELD_OUT = ("precision", "density", "kid")
# What stands above each of these tables.
SETS_TEXT = (
  "Of all images drawn, before any filter. Label agreement: judges, each "
  "trained on a part of the real images, that read a generated image as its "
  "label says; the share of them, over all images. Distinct images: share of "
  "different ones among all. Duplicate ids: share of images whose ids another "
  "one has, too. Ids of a training image: share of images with the ids of the "
  "reconstruction of one. Both of images encoded again; n/a for generators "
  "without ids. Dropped: over all seeds, by reason, and the fewest images that "
  "a class kept; n/a without --filter. Numbers are "
  "means over seeds, with the least and the greatest of them in brackets where "
  "they differ."
)
NEAREST_TEXT = (
  "Nearest real training image of each generated one (in features, of the "
  f"first {COMPARED:,}), by Euclidean distance: "
  "the median and the 1st percentile, each beside the same figure for held-out "
  "real images. Share closer: of the generated images, those nearer to a "
  "training image than all but 1 % of held-out ones are; about 1 % is what "
  "new images of the same kind would show, much more points at copies."
)
DISTRIBUTION_TEXT = (
  f"Of the first {COMPARED:,} images, in the judge's features (arXiv "
  "2002.09797), which it learnt from the real images they are compared with. "
  "Precision: share of generated images within the real ones' neighbourhoods."
  " Recall: share of real images within the generated ones'. Density: how "
  "many real neighbourhoods hold a generated image, over the number expected;"
  " may exceed 1. Coverage: share of real images with a generated one in "
  "their neighbourhood. KID: squared maximum mean discrepancy, 0 for equal "
  "distributions. The Fréchet distance is between Gaussians fitted to the "
  "judge's features; it is not FID, and compares with no published figure. "
  "The first row is of held-out real images, for which the judge's features "
  "fit less than for those it learnt from; what depends on how many images "
  "there are is left out of it."
)


def sets_table(gates: Sequence[Mapping[str, Any]]) -> Table:
  """What the generated sets are, means over seeds."""
  rows = []
  for generator, found in _by_generator(gates).items():
    dropped = {}
    for gate in found:
      for reason, count in (gate.get("dropped") or {}).items():
        dropped[reason] = dropped.get(reason, 0) + count
    counts = sorted({str(gate["count"]) for gate in found})
    rows.append(
      [generator, str(len(found)), ", ".join(counts)]
      + [_over_seeds(found, key, digits) for _, key, digits in SETS]
      + [", ".join(f"{k} {n}" for k, n in dropped.items()) or NOT_KNOWN]
      + [_over_seeds(found, "fewest_kept", 0)]
      + [_over_seeds(found, "seconds", 0)]
    )
  header = ["generator", "seeds", "images", *(name for name, *_ in SETS)]
  header += ["dropped by the filter", "fewest of a class left"]
  return Table([*header, "seconds to compare"], rows)


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
        ("judge's features", "nearest_features"),
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
