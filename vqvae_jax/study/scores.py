"""How well logits tell classes."""

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import logsumexp
from scipy.stats import rankdata


def score(
  logits: Float[np.ndarray, "n classes"],
  labels: Int[np.ndarray, " n"],
  num_classes: int,
) -> dict[str, float | list[float]]:
  """Accuracy and what it hides where classes are not alike in number.

  Args:
    logits: of each image.
    labels: the class of each image.
    num_classes: of the logits.

  Returns:
    `accuracy`; `balanced_accuracy`, the mean recall; `auroc`, the mean over
    classes of each against the rest by its probability, which of two classes
    is that of class 1; `recall` of each class. Classes that `labels` lacks
    have the recall nan and count in no mean; with one class alone `auroc` is
    nan.
  """
  logits = np.asarray(logits, np.float64)
  labels = np.asarray(labels)
  if logits.shape != (len(labels), num_classes) or not len(labels):
    raise ValueError(
      f"logits of shape {logits.shape} for {len(labels)} labels of "
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
  """Chance that a positive scores above a negative; a tie counts half.

  The Mann-Whitney statistic: Hanley and McNeil, "The Meaning and Use of the
  Area under a ROC Curve", Radiology 1982. There must be some of both.
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
    # The log-odds of class c: in the order of its probability, but large
    # logits do not run into ties. Those of two classes have one area.
    odds = logits[:, c] - logsumexp(np.delete(logits, c, axis=1), axis=1)
    areas.append(area_under_roc(odds, labels == c))
  return float(np.mean(areas))
