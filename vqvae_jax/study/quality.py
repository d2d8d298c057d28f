"""Quality checks of a generated set: copies, gaps, oddities, wrong labels.

All functions take arrays of images (uint8 becomes [0, 1]) or of features of a
classifier, one item in each row. Distances are Euclidean, in float64. They are
computed in pieces, so that memory does not grow with the number of rows.
"""

from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, Num

from vqvae_jax.quantizers.search import nearest_code

# Few held-out images are nearer to a training image than this percentage of
# them is. The same should hold for generated images.
_PERCENTILE = 1.0
# The number of neighbours that arXiv 2002.09797 recommends.
NEIGHBOURS = 5
# Distances between all pairs are computed for this many generated images.
COMPARED = 2000
_ROWS = 256
_search = jax.jit(nearest_code)


class Nearest(NamedTuple):
  """The nearest reference of each row, the first of equally near ones.

  Attributes:
    index: index of the reference.
    distance: distance to it.
  """

  index: Int[np.ndarray, " n"]
  distance: Float[np.ndarray, " n"]


def nearest(
  rows: Num[np.ndarray, "n *shape"], references: Num[np.ndarray, "m *shape"]
) -> Nearest:
  """Finds the nearest reference of each row.

  The search is in float32: of references whose distances differ by less than
  its rounding errors, any may be returned. The distance itself is in float64.

  Args:
    rows: images, or their features.
    references: training images, or their features.
  """
  codes = jnp.asarray(_flat(references, np.float32))
  index, distance = [], []
  for piece in _pieces(rows):
    found = np.asarray(_search(piece.astype(np.float32), codes))
    index.append(found)
    apart = piece - _flat(references[found])
    distance.append(np.linalg.norm(apart, axis=1))
  return Nearest(np.concatenate(index), np.concatenate(distance))


def copy_threshold(held_out_distances: Float[np.ndarray, " m"]) -> float:
  """Returns the distance below which an image counts as a copy.

  Almost no held-out image is nearer to a training image.
  """
  return float(np.percentile(held_out_distances, _PERCENTILE))


def share_closer(
  distances: Float[np.ndarray, " n"],
  held_out_distances: Float[np.ndarray, " m"],
) -> float:
  """Returns the share of images below the copy threshold.

  It is about 0.01 for new images of the same kind and near 1 for copies.

  Args:
    distances: distance from each image to the nearest training image.
    held_out_distances: the same distances of held-out real images.
  """
  return float((distances < copy_threshold(held_out_distances)).mean())


def repeated_ids(
  ids: Int[np.ndarray, "n ..."],
  training_ids: Int[np.ndarray, "m ..."],
) -> dict[str, float]:
  """Counts exact repetitions among the ids of images.

  Args:
    ids: ids of generated images.
    training_ids: ids of the training images of the generator.

  Returns:
    `duplicate_ids`, the share of images with the ids of another image, and
    `training_ids`, the share with the ids of a training image.
  """
  rows = ids.reshape(len(ids), -1)
  _, kind, counts = np.unique(
    rows, axis=0, return_inverse=True, return_counts=True
  )
  known = set(map(tuple, training_ids.reshape(len(training_ids), -1)))
  return {
    "duplicate_ids": float((counts[kind.reshape(-1)] > 1).mean()),
    "training_ids": float(np.mean([tuple(row) in known for row in rows])),
  }


def precision_recall_density_coverage(
  real: Float[np.ndarray, "m d"],
  generated: Float[np.ndarray, "n d"],
  k: int = NEIGHBOURS,
) -> dict[str, float]:
  """Measures how real a generated set looks and how much it covers.

  The ball of a row reaches to its k-th nearest neighbour in its own set.
  Kynkäänniemi et al., "Improved Precision and Recall Metric", arXiv 1904.06991,
  section 2: `precision` is the share of generated rows in the ball of a real
  one, `recall` the share of real rows in the ball of a generated one. Naeem et
  al., "Reliable Fidelity and Diversity Metrics", arXiv 2002.09797, section 3:
  `density` is the mean number of real balls around a generated row, over k; it
  is 1 for equal distributions and may be more. `coverage` is the share of real
  balls that hold a generated row.

  Args:
    real: features of real images.
    generated: features of generated images.
    k: number of neighbours, less than the number of rows of each set.
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
  """Returns the kernel distance of two sets of features.

  This is the unbiased squared maximum mean discrepancy under the kernel
  `(x y / d + 1)^3`: Binkowski et al., "Demystifying MMD GANs", arXiv
  1801.01401, sections 2 and 4. Its mean is 0 for two sets of one distribution.
  The features are those of a classifier of the study, not those of Inception.
  """
  a, b = _flat(a), _flat(b)
  if min(len(a), len(b)) < 2:
    raise ValueError(f"{len(a)} and {len(b)} rows; both need two or more")

  def within(rows):
    own = (_kernel((rows * rows).sum(axis=1), rows.shape[1])).sum()
    pairs = len(rows) * (len(rows) - 1)
    return (_kernel_sum(rows, rows) - own) / pairs

  between = _kernel_sum(a, b) / (len(a) * len(b))
  return float(within(a) + within(b) - 2 * between)


def frechet_distance_of_features(
  a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"]
) -> float:
  """Returns the Fréchet distance of the Gaussians fitted to two sets.

  The formula is that of the FID (Heusel et al., arXiv 1706.08500, section 4),
  but the features are those of a classifier of the study. The result is
  therefore not an FID, and the two are not comparable.
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
  """Returns the squared Wasserstein-2 distance of two Gaussians.

  Dowson and Landau, "The Fréchet Distance between Multivariate Normal
  Distributions", 1982: `|m - n|^2 + tr(A + B - 2 (A B)^(1/2))`. The last trace
  equals that of the root of `A^(1/2) B A^(1/2)`. That matrix is symmetric and
  has no negative eigenvalues; those that rounding makes negative become 0.
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
  """Returns the share of classifiers that assign each image to its label.

  Args:
    logits: logits of each classifier.
    labels: class that each image should have.
  """
  return (logits.argmax(axis=-1) == labels[None]).mean(axis=0)


def select(
  logits: Float[np.ndarray, "k n classes"],
  labels: Int[np.ndarray, " n"],
  distances: Float[np.ndarray, " n"],
  held_out_distances: Float[np.ndarray, " m"],
) -> tuple[Bool[np.ndarray, " n"], dict[str, int]]:
  """Selects the images that all classifiers assign to their label, less copies.

  Args:
    logits: logits of each classifier of real images.
    labels: class that each image should have.
    distances: distance from each image to the nearest training image, in
      pixels.
    held_out_distances: the same distances of held-out real images; see
      `copy_threshold`.

  Returns:
    A mask of the selected images, and the number of images that were dropped
    because of their `label`, as a `copy`, or for both reasons,
    `label_and_copy`.
  """
  wrong = label_agreement(logits, labels) < 1
  copies = distances < copy_threshold(held_out_distances)
  mask = ~wrong & ~copies
  counts = {
    "label": (wrong & ~copies).sum(),
    "copy": (copies & ~wrong).sum(),
    "label_and_copy": (wrong & copies).sum(),
  }
  return mask, {name: int(count) for name, count in counts.items()}


def _flat(rows, dtype=np.float64):
  scale = 255 if rows.dtype == np.uint8 else 1
  return rows.reshape(len(rows), -1).astype(dtype) / dtype(scale)


def _pieces(rows) -> Iterator[np.ndarray]:
  for start in range(0, len(rows), _ROWS):
    yield _flat(rows[start : start + _ROWS])


def _squared_distances(
  rows, references
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  """Yields pieces of the rows, [p, d], and their squared distances, [p, m]."""
  references = _flat(references)
  norms = (references**2).sum(axis=1)
  for piece in _pieces(rows):
    squared = (piece**2).sum(axis=1)[:, None] + norms[None]
    squared -= 2 * piece @ references.T
    yield piece, np.maximum(squared, 0)


def _squared_radii(rows, k):
  """Returns the squared distance to the k-th nearest other row, of each row."""
  # The nearest of the k + 1 rows is the row itself.
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
