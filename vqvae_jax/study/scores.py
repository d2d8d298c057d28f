"""Scores of a classifier."""

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import logsumexp
from scipy.stats import rankdata


def score(
  logits: Float[np.ndarray, "n classes"],
  labels: Int[np.ndarray, " n"],
  num_classes: int,
) -> dict[str, float | list[float]]:
  """Returns the scores of logits.

  Args:
    logits: logits of each image.
    labels: class of each image.
    num_classes: number of classes.

  Returns:
    The `accuracy`; the `balanced_accuracy`, which is the mean recall; the
    `auroc`, which is the mean over classes of the area under the curve of the
    class against the rest; and the `recall` of each class. A class without
    images has the recall nan and is left out of the means. The `auroc` is nan
    if only one class has images.
  """
  logits = logits.astype(np.float64)
  if logits.shape != (len(labels), num_classes) or not len(labels):
    raise ValueError(
      f"logits of shape {logits.shape} do not fit {len(labels)} labels of "
      f"{num_classes} classes"
    )
  right = logits.argmax(axis=1) == labels
  present = np.unique(labels)
  recall = np.full(num_classes, np.nan)
  for c in present:
    recall[c] = right[labels == c].mean()
  return {
    "accuracy": float(right.mean()),
    "balanced_accuracy": float(recall[present].mean()),
    "auroc": _auroc(logits, labels, present),
    "recall": recall.tolist(),
  }


def area_under_roc(
  scores: Float[np.ndarray, " n"], positive: Bool[np.ndarray, " n"]
) -> float:
  """Returns the probability that a positive scores above a negative.

  A tie counts as one half. This is the Mann-Whitney statistic: Hanley and
  McNeil, "The Meaning and Use of the Area under a ROC Curve", Radiology 1982.
  At least one positive and one negative are needed.
  """
  count = positive.sum()
  others = len(positive) - count
  ranks = rankdata(scores)[positive].sum()
  return float((ranks - count * (count + 1) / 2) / (count * others))


def _auroc(logits, labels, present):
  if len(present) < 2:
    return float("nan")
  areas = []
  for c in present:
    # The log-odds of class c have the same order as its probability, but have
    # no ties where logits are large. With two classes, both areas are equal.
    odds = logits[:, c] - logsumexp(np.delete(logits, c, axis=1), axis=1)
    areas.append(area_under_roc(odds, labels == c))
  return float(np.mean(areas))
