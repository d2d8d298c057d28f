"""The part of the report about quality checks of the generated images."""

import collections
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vqvae_jax.study.quality import COMPARED
from vqvae_jax.study.report.blocks import Block, Paragraph, Table
from vqvae_jax.study.report.tables import NOT_KNOWN

# Name of the column, key of the figure, digits; "%" marks a share.
_Columns = tuple[tuple[str, str, int | str], ...]
_SETS: _Columns = (
  ("label agreement", "label_agreement", "%"),
  ("distinct images", "distinct", "%"),
  ("duplicate ids", "duplicate_ids", "%"),
  ("ids of a training image", "training_ids", "%"),
)
_NEAREST: _Columns = (
  ("median", "median", 3),
  ("held-out median", "held_out_median", 3),
  ("1st percentile", "p1", 3),
  ("held-out 1st percentile", "held_out_p1", 3),
  ("share closer", "share_closer", "%"),
)
_DISTRIBUTION: _Columns = (
  ("precision", "precision", 3),
  ("recall", "recall", 3),
  ("density", "density", 3),
  ("coverage", "coverage", 3),
  ("KID", "kid", 4),
  ("Fréchet distance", "frechet_distance", 2),
)
# Figures that do not depend on the number of images.
_HELD_OUT = ("precision", "density", "kid")
_SETS_TEXT = (
  "This table counts all generated images, before any filter. Label agreement "
  "is the share of images that classifiers, each trained on one half of the "
  "real images, assign to the class that was asked for. Duplicate ids is the "
  "share of images whose ids another image has, too, and ids of a training "
  "image the share whose ids the reconstruction of a training image has; "
  "images are encoded again for this. Figures are means over seeds; brackets "
  "hold the least and the greatest where seeds differ. The numbers of images "
  "that the filter dropped are sums over seeds."
)
_NEAREST_TEXT = (
  "This table shows the Euclidean distance from generated images to the "
  f"nearest training image (in features, of the first {COMPARED:,} images), "
  "beside that of held-out real images. Share closer is the share of generated "
  "images that are nearer to a training image than 99 % of held-out real "
  "images are. New images of the same kind give about 1 %; much more points to "
  "copies."
)
_DISTRIBUTION_TEXT = (
  f"This table compares the first {COMPARED:,} generated images with the real "
  "training images of a classifier, in its features (arXiv 2002.09797). "
  "Precision is the share of generated images within the neighbourhoods of "
  "real ones, recall the share of real images within the neighbourhoods of "
  "generated ones. Density is the number of real neighbourhoods that contain a "
  "generated image, over the expected number; it may exceed 1. Coverage is the "
  "share of real images with a generated one in their neighbourhood. KID is "
  "the squared maximum mean discrepancy, 0 for equal distributions; it is an "
  "unbiased estimate, so chance can take it below 0. The Fréchet distance is "
  "between Gaussians fitted to the features; it is not FID and cannot be "
  "compared with published figures. The first row is of held-out real images, "
  "which the features fit less well than training images; figures that depend "
  "on the number of images are left out of it."
)


def quality(checks: Sequence[Mapping[str, Any]]) -> list[Block]:
  """Returns the tables of the quality checks, each below its explanation."""
  return [
    Paragraph(_SETS_TEXT),
    sets_table(checks),
    Paragraph(_NEAREST_TEXT),
    nearest_table(checks),
    Paragraph(_DISTRIBUTION_TEXT),
    distribution_table(checks),
  ]


def sets_table(checks: Sequence[Mapping[str, Any]]) -> Table:
  """Returns what can be counted in each generated set."""
  sets = _by_generator(checks)
  columns = {
    "generator": list(sets),
    "images": [
      ", ".join(f"{n:,}" for n in sorted({check["count"] for check in found}))
      for found in sets.values()
    ],
    **_columns(list(sets.values()), _SETS),
    "dropped by the filter": list(map(_dropped, sets.values())),
    "fewest of a class left": [
      _over_seeds([check.get("fewest_left") for check in found], 0)
      for found in sets.values()
    ],
  }
  # Only VQ-VAEs have ids, and only --filter drops images.
  return Table.of_columns(
    {
      name: cells
      for name, cells in columns.items()
      if set(cells) != {NOT_KNOWN}
    }
  )


def nearest_table(checks: Sequence[Mapping[str, Any]]) -> Table:
  """Returns distances to the nearest training image."""
  sets = [
    (generator, space, [check.get(f"nearest_{space}") or {} for check in found])
    for generator, found in _by_generator(checks).items()
    for space in ("pixels", "features")
  ]
  names, spaces, found = zip(*sets, strict=True)
  columns = _columns(found, _NEAREST)
  return Table.of_columns({"generator": names, "in": spaces, **columns})


def distribution_table(checks: Sequence[Mapping[str, Any]]) -> Table:
  """Returns how generated images lie among real images, in features."""
  sets = _by_generator(checks)
  # Held-out images are the same for all generators of a seed.
  held_out = [
    {key: check["held_out"].get(key) for key in _HELD_OUT}
    for check in next(iter(sets.values()))
  ]
  columns = _columns([held_out, *sets.values()], _DISTRIBUTION)
  names = ["held-out real images", *sets]
  return Table.of_columns({"generator": names, **columns})


def copied_share(
  checks: Sequence[Mapping[str, Any]], generator: str
) -> float | None:
  """Returns the share of images that are too near to training images.

  Returns:
    The mean share over seeds; None if it is not known.
  """
  found = _by_generator(checks).get(generator, [])
  shares = [(c["nearest_pixels"] or {}).get("share_closer") for c in found]
  shares = [share for share in shares if share is not None]
  return float(np.mean(shares)) if shares else None


def _by_generator(
  checks: Sequence[Mapping[str, Any]],
) -> dict[str, list[Mapping[str, Any]]]:
  sets = {}
  for check in checks:
    sets.setdefault(check["generator"], []).append(check)
  return sets


def _columns(
  sets: Sequence[Sequence[Mapping[str, Any]]], columns: _Columns
) -> dict[str, list[str]]:
  return {
    name: [_over_seeds([check.get(key) for check in of], digits) for of in sets]
    for name, key, digits in columns
  }


def _dropped(checks: Sequence[Mapping[str, Any]]) -> str:
  dropped = collections.Counter()
  for check in checks:
    dropped.update(check.get("dropped") or {})
  reasons = [f"{k.replace('_', ' ')} {n:,}" for k, n in dropped.items()]
  return ", ".join(reasons) or NOT_KNOWN


def _over_seeds(figures: Sequence[float | None], digits: int | str) -> str:
  """Returns the mean, with the least and the greatest where seeds differ."""
  values = np.array(figures, float)
  values = values[~np.isnan(values)]
  if not len(values):
    return NOT_KNOWN
  scale, digits, unit = (100, 1, " %") if digits == "%" else (1, digits, "")
  mean, low, high = (
    f"{scale * value:.{digits}f}"
    for value in (values.mean(), values.min(), values.max())
  )
  return f"{mean}{unit}" + (f" [{low}, {high}]" if low != high else "")
