"""The flags that somebody may have meant by one that does not exist."""

import difflib
from collections.abc import Iterable

_HOW_MANY = ("num-images", "num-train-images", "num-synthetic")
# Words of other tools and of other commands, and our flags, each without what
# stands before a dot.
_OTHER_WORDS = {
  "aug": ("augment",),
  "augmentation": ("augment",),
  "batch": ("batch-size",),
  "bs": ("batch-size",),
  "cfg-scale": ("guidance",),
  "checkpoint": ("workdir",),
  "ckpt": ("workdir",),
  "class": ("labels",),
  "classes": ("labels",),
  "codes": ("codebook-size",),
  "commitment-cost": ("commitment",),
  "count": _HOW_MANY,
  "data": ("dataset",),
  "data-path": ("dataset",),
  "ema-decay": ("codebook-ema",),
  "embed-dim": ("code-dim",),
  "embedding-dim": ("code-dim",),
  "epochs": ("steps",),
  "guidance-scale": ("guidance",),
  "img-size": ("image-size",),
  "input": ("dataset",),
  "iterations": ("steps",),
  "iters": ("steps",),
  "judge-steps": ("classifier-steps",),
  "judges": ("classifiers",),
  "k": ("codebook-size", "top-k"),
  "logdir": ("workdir",),
  "lr": ("learning-rate",),
  "max-steps": ("steps",),
  "model-dir": ("workdir",),
  "n": _HOW_MANY,
  "name": ("dataset",),
  "num": _HOW_MANY,
  "num-images": _HOW_MANY,
  "num-codes": ("codebook-size",),
  "num-embeddings": ("codebook-size",),
  "num-epochs": ("steps",),
  "num-heads": ("heads",),
  "num-layers": ("layers",),
  "num-samples": _HOW_MANY,
  "num-seeds": ("seeds",),
  "num-steps": ("steps",),
  "num-real": ("num-train-images",),
  "num-train-images": ("num-real",),
  "o": ("out", "workdir"),
  "out": ("workdir",),
  "out-dir": ("out", "workdir"),
  "outdir": ("out", "workdir"),
  "output": ("out", "workdir"),
  "output-dir": ("out", "workdir"),
  "precision": ("dtype",),
  "random-seed": ("seed",),
  "resolution": ("image-size",),
  "run": ("workdir",),
  "save-dir": ("out", "workdir"),
  "size": ("image-size",),
  "temp": ("temperature",),
  "wd": ("weight-decay",),
}
# Below this share of equal letters a flag is not meant.
_LIKENESS = 0.6
# Of the length of a flag's last part, where the rest was left out.
_LEFT_OUT = 0.05


def nearest(word: str, names: Iterable[str]) -> list[str]:
  """The flags that are meant, the likeliest or several that are as likely.

  Args:
    word: flag as typed, with its dashes and without a value.
    names: all flags that exist.

  Returns:
    names: [] if none is near.
  """
  names = list(names)
  word = word.strip("-–—−").replace("_", "-").lower()
  head, _, last = word.rpartition(".")
  for part in (last, *_OTHER_WORDS.get(last, ())):
    found = [name for name in names if _last(name) == part]
    if found:
      return _likest(f"{head}.{part}", found) if head else found
  return _likest(word, names)


def _likest(word, names):
  """The names that are most like a word: [] if none is like it at all."""
  matcher = difflib.SequenceMatcher(None, "", word, autojunk=False)
  scores = [max(_likenesses(matcher, name)) for name in names]
  best = max(scores)
  if best < _LIKENESS:
    return []
  pairs = zip(names, scores, strict=True)
  return [name for name, score in pairs if score > best - 1e-6]


def _likenesses(matcher, name):
  """Share of letters that a word and a flag, or its last part, have equal."""
  for text, less in ((name.removeprefix("--"), 0), (_last(name), _LEFT_OUT)):
    matcher.set_seq1(text)
    # A bound that costs less, for the many that are not alike.
    if matcher.quick_ratio() < _LIKENESS:
      yield 0.0
    else:
      yield matcher.ratio() - less


def _last(name):
  return name.removeprefix("--").rpartition(".")[2]
