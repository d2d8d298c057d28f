"""The flags that somebody may have meant by one that does not exist."""

import difflib
from collections.abc import Iterable

# Words of other tools and of other commands for our flags, each without what
# stands before a dot.
_WORDS = {
  "augment": "aug augmentation",
  "batch-size": "batch bs",
  "code-dim": "embed-dim embedding-dim",
  "codebook-ema": "ema-decay",
  "codebook-size": "codes k num-codes num-embeddings",
  "commitment": "commitment-cost",
  "dataset": "data data-path input name",
  "dtype": "precision",
  "guidance": "cfg-scale guidance-scale",
  "heads": "num-heads",
  "image-size": "img-size resolution size",
  "classifiers": "judges",
  "classifier-steps": "judge-steps",
  "labels": "class classes",
  "layers": "num-layers",
  "learning-rate": "lr",
  "num-images": "count n num num-images num-samples",
  "num-real": "num-train-images",
  "num-synthetic": "count n num num-images num-samples",
  "num-train-images": "count n num num-images num-real num-samples",
  "out": "o out-dir outdir output output-dir save-dir",
  "seed": "random-seed",
  "seeds": "num-seeds",
  "steps": "epochs iterations iters max-steps num-epochs num-steps",
  "temperature": "temp",
  "top-k": "k",
  "weight-decay": "wd",
  "workdir": "checkpoint ckpt logdir model-dir o out out-dir outdir output "
  "output-dir run save-dir",
}
# A flag with a smaller share of equal letters is not meant.
_LIKENESS = 0.6
# What a match of the last part of a flag counts less than one of the whole.
_LEFT_OUT = 0.05


def nearest(word: str, names: Iterable[str]) -> list[str]:
  """Returns the likeliest flag, or several that are equally likely.

  Args:
    word: flag as it was typed, with its dashes and without a value.
    names: names of all flags that exist.

  Returns:
    Names of flags; none if no flag is near.
  """
  names = list(names)
  word = word.strip("-–—−").replace("_", "-").lower()
  head, _, last = word.rpartition(".")
  meant = [flag for flag, words in _WORDS.items() if last in words.split()]
  for part in (last, *meant):
    found = [name for name in names if _last(name) == part]
    if found:
      return _likest(f"{head}.{part}", found) if head else found
  return _likest(word, names)


def _likest(word, names):
  """Returns the names that are most like a word, if any is like it."""
  matcher = difflib.SequenceMatcher(None, "", word, autojunk=False)
  scores = [max(_likenesses(matcher, name)) for name in names]
  best = max(scores)
  if best < _LIKENESS:
    return []
  pairs = zip(names, scores, strict=True)
  return [name for name, score in pairs if score > best - 1e-6]


def _likenesses(matcher, name):
  """Yields how like a word a flag is, and how like its last part."""
  for text, less in ((name.removeprefix("--"), 0), (_last(name), _LEFT_OUT)):
    matcher.set_seq1(text)
    # This bound is cheaper and settles the many that are not alike.
    if matcher.quick_ratio() < _LIKENESS:
      yield 0.0
    else:
      yield matcher.ratio() - less


def _last(name):
  return name.removeprefix("--").rpartition(".")[2]
