"""What is wrong with a generated set: copies, gaps, oddities, wrong labels.

Everything is numpy on rows: images (uint8 rows are read as [0, 1]) or features
of a judge. Distances are Euclidean, in float64, computed in pieces, so that
memory does not grow with the number of rows.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

# Held-out images nearer to a training image than this percentage of them is
# are rare; so should generated ones be.
_PERCENTILE = 1.0
# As arXiv 2002.09797 has it.
NEIGHBOURS = 5
# Of so many generated images distances between all pairs are taken.
COMPARED = 2000
_ROWS = 256


class Nearest(NamedTuple):
  """The nearest reference of each row, the first of equally near ones."""

  index: Int[np.ndarray, " n"]
  distance: Float[np.ndarray, " n"]


def nearest(
  rows: Float[np.ndarray, "n ..."], references: Float[np.ndarray, "m ..."]
) -> Nearest:
  """Finds the nearest reference of each row; copies are at distance 0.

  Args:
    rows: generated images, or held-out ones to compare with; or features.
    references: training images, or their features.
  """
  references = _flat(references)
  index, distance = [], []
  for piece, squared in _squared_distances(rows, references):
    best = squared.argmin(axis=1)
    index.append(best)
    # The products above leave rounding errors, the differences do not.
    distance.append(np.linalg.norm(piece - references[best], axis=1))
  return Nearest(np.concatenate(index), np.concatenate(distance))


def copy_threshold(held_out_distances: Float[np.ndarray, " m"]) -> float:
  """Nearer to a training image than this is as good as none held out."""
  return float(np.percentile(held_out_distances, _PERCENTILE))


def share_closer(
  distances: Float[np.ndarray, " n"],
  held_out_distances: Float[np.ndarray, " m"],
) -> float:
  """Share of samples nearer to a training image than 99 % of held-out ones.

  About 0.01 for new images of the same kind; near 1 for copies.
  """
  return float((distances < copy_threshold(held_out_distances)).mean())


def duplicate_codes(
  ids: Int[np.ndarray, "n ..."],
  training_ids: Int[np.ndarray, "m ..."],
) -> dict[str, float]:
  """Exact repetitions among the ids of images.

  Args:
    ids: of generated images.
    training_ids: of the images that the generator learnt from.

  Returns:
    `duplicates`, the share of images whose ids another image has, too; and
    `training`, the share with the ids of a training image.
  """
  rows = ids.reshape(len(ids), -1)
  _, place, counts = np.unique(
    rows, axis=0, return_inverse=True, return_counts=True
  )
  known = set(map(tuple, training_ids.reshape(len(training_ids), -1)))
  return {
    "duplicates": float((counts[place.reshape(-1)] > 1).mean()),
    "training": float(np.mean([tuple(row) in known for row in rows])),
  }


def precision_recall_density_coverage(
  real: Float[np.ndarray, "m d"],
  generated: Float[np.ndarray, "n d"],
  k: int = NEIGHBOURS,
) -> dict[str, float]:
  """How real the generated set looks, and how much of the real it covers.

  A ball lies around each row as far as its k-th nearest neighbour in its own
  set. Kynkäänniemi et al., "Improved Precision and Recall Metric", arXiv
  1904.06991, section 2: `precision` is the share of generated rows in a ball
  of a real one, `recall` of real rows in a ball of a generated one. Naeem et
  al., "Reliable Fidelity and Diversity Metrics", arXiv 2002.09797, section 3:
  `density` is the mean number of real balls around a generated row, over k (1
  for the same distribution, and it can be more); `coverage` is the share of
  real balls with a generated row in them.

  Args:
    real: features of real images.
    generated: features of generated images.
    k: less than the number of rows of each.
  """
  for rows in (real, generated):
    if not 1 <= k < len(rows):
      raise ValueError(f"k {k} is not between 1 and {len(rows) - 1}")
  real_radii = _squared_radii(real, k)
  generated_radii = _squared_radii(generated, k)
  around = []
  covered = np.zeros(len(real), bool)
  recalled = np.zeros(len(real), bool)
  start = 0
  for piece, squared in _squared_distances(generated, real):
    inside = squared <= real_radii[None]
    around.append(inside.sum(axis=1))
    covered |= inside.any(axis=0)
    radii = generated_radii[start : start + len(piece), None]
    recalled |= (squared <= radii).any(axis=0)
    start += len(piece)
  around = np.concatenate(around)
  return {
    "precision": float((around > 0).mean()),
    "recall": float(recalled.mean()),
    "density": float(around.mean() / k),
    "coverage": float(covered.mean()),
  }


def kid(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"]) -> float:
  """Kernel distance, 0 in the mean for two draws of one distribution.

  The unbiased squared maximum mean discrepancy under the kernel
  `(x y / d + 1)^3`: Binkowski et al., "Demystifying MMD GANs", arXiv
  1801.01401, sections 2 and 4. All rows are used at once. Of its name only the
  estimator is meant: `a` and `b` are features of a judge, not of Inception.
  """
  a, b = _flat(a), _flat(b)
  if min(len(a), len(b)) < 2:
    raise ValueError(f"{len(a)} and {len(b)} rows: two or more of each")

  def within(rows):
    own = (_kernel((rows * rows).sum(axis=1), rows.shape[1])).sum()
    pairs = len(rows) * (len(rows) - 1)
    return (_kernel_sum(rows, rows) - own) / pairs

  between = _kernel_sum(a, b) / (len(a) * len(b))
  return float(within(a) + within(b) - 2 * between)


def frechet_distance_judge_features(
  a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"]
) -> float:
  """`frechet_distance` of the features' means and covariances.

  The formula of the FID (Heusel et al., arXiv 1706.08500, section 4) in a
  judge's features, so no FID and not to be compared with one.
  """
  a, b = _flat(a), _flat(b)
  return frechet_distance(
    a.mean(axis=0),
    np.atleast_2d(np.cov(a, rowvar=False)),
    b.mean(axis=0),
    np.atleast_2d(np.cov(b, rowvar=False)),
  )


def frechet_distance(
  mean_a: Float[np.ndarray, " d"],
  cov_a: Float[np.ndarray, "d d"],
  mean_b: Float[np.ndarray, " d"],
  cov_b: Float[np.ndarray, "d d"],
) -> float:
  """Squared Wasserstein-2 distance of two Gaussians.

  Dowson and Landau, "The Fréchet Distance between Multivariate Normal
  Distributions", 1982: `|m - n|^2 + tr(A + B - 2 (A B)^(1/2))`. The last trace
  is that of the root of `A^(1/2) B A^(1/2)`, which is symmetric, so that
  eigenvalues that rounding made negative are known to be 0.
  """
  values, vectors = np.linalg.eigh(cov_a)
  root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
  middle = np.linalg.eigvalsh(root @ cov_b @ root)
  cross = np.sqrt(np.maximum(middle, 0)).sum()
  apart = ((mean_a - mean_b) ** 2).sum()
  distance = apart + np.trace(cov_a) + np.trace(cov_b) - 2 * cross
  return float(max(distance, 0.0))


def label_agreement(
  logits: Float[np.ndarray, "k n classes"], labels: Int[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
  """Share of the judges that read an image as its label says.

  Args:
    logits: of each judge.
    labels: what the images should be.
  """
  read = np.asarray(logits).argmax(axis=-1)
  return (read == np.asarray(labels)[None]).mean(axis=0)


def keep(
  logits: Float[np.ndarray, "k n classes"],
  labels: Int[np.ndarray, " n"],
  distances: Float[np.ndarray, " n"],
  held_out_distances: Float[np.ndarray, " m"],
) -> tuple[Bool[np.ndarray, " n"], dict[str, int]]:
  """Which samples pass: all judges read their label, and they are no copies.

  Args:
    logits: of each judge of real images.
    labels: of the samples.
    distances: from each sample to the nearest training image, in pixels.
    held_out_distances: the same of held-out real images; see `copy_threshold`.

  Returns:
    A mask, and counts: of `images`, which are those `kept`, and those dropped
    for their `label`, as a `copy`, or for both, `label_and_copy`.
  """
  wrong = label_agreement(logits, labels) < 1
  copies = distances < copy_threshold(held_out_distances)
  mask = ~wrong & ~copies
  counts = {
    "images": len(mask),
    "kept": mask.sum(),
    "label": (wrong & ~copies).sum(),
    "copy": (copies & ~wrong).sum(),
    "label_and_copy": (wrong & copies).sum(),
  }
  return mask, {name: int(count) for name, count in counts.items()}


def _flat(rows):
  rows = np.asarray(rows)
  scale = 255 if rows.dtype == np.uint8 else 1
  return rows.reshape(len(rows), -1).astype(np.float64) / scale


def _pieces(rows) -> Iterator[np.ndarray]:
  for start in range(0, len(rows), _ROWS):
    yield _flat(rows[start : start + _ROWS])


def _squared_distances(
  rows, references
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  """Pieces of the rows, [p, d], and their squared distances, [p, m]."""
  references = _flat(references)
  norms = (references**2).sum(axis=1)
  for piece in _pieces(rows):
    squared = (piece**2).sum(axis=1)[:, None] + norms[None]
    squared -= 2 * piece @ references.T
    yield piece, np.maximum(squared, 0)


def _squared_radii(rows, k):
  """From each row to the k-th nearest of the others."""
  # The row itself is one of the k + 1.
  return np.concatenate(
    [
      np.partition(squared, k, axis=1)[:, k]
      for _, squared in _squared_distances(rows, rows)
    ]
  )


def _kernel(products, width):
  return (products / width + 1) ** 3


def _kernel_sum(a, b):
  return sum(_kernel(piece @ b.T, b.shape[1]).sum() for piece in _pieces(a))
