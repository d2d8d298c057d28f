"""The card of a generated set, `README.md`.

Its first lines are the front matter that the Hub of Hugging Face reads. The
card has no date, so that the same job gives the same bytes.
"""

import json
from typing import Any

from vqvae_jax.jobs.formats import FORMATS

_HOW = {
  "prior": (
    "Each image was drawn from a generative model of the training images. It "
    "does not start from one of them."
  ),
  "perturb": (
    "Each image is a training image whose codes were replaced by similar ones."
  ),
  "mix": (
    "Each image lies between two training images of its class that are near "
    "each other."
  ),
  "inpaint": (
    "Each image is a training image in which a rectangle was redrawn."
  ),
  "walk": (
    "Each image is a training image, moved by a random walk over the latents "
    "of a variational autoencoder."
  ),
  "reconstruct": (
    "Each image is a validation image, encoded and decoded by the model."
  ),
}
_LIMITS = """\
- These are neither photographs nor measurements: details that look real may
  never have existed. Some images are wrong or show another class than their
  label; nobody has looked through them.
- The model learned from few images. It repeats their biases, and whatever is
  rare in them is rarer here or missing.
- Do not evaluate a classifier on them. Measure accuracy on real images that no
  model was trained on. Whether they help a classifier is a question for
  `python -m vqvae_jax.study`.
- They are not for clinical or other decisions about people.
- The set inherits the licence and the conditions of the data it was learned
  from; "other" above stands for these.
"""
_DERIVED = """\
- **This is not anonymised data.** Each image is a variation of real images,
  which `sources.jsonl` names, and people in them may be recognisable. Treat the
  set as confidentially as the data that it comes from.
"""
_DRAWN = """\
- This is not anonymised data: a model may repeat training images closely.
"""
# Number of classes that the table lists.
_MAX_CLASSES = 200


def card(settings: dict[str, Any], classes: list[dict[str, Any]]) -> str:
  """Returns the text of a card.

  Args:
    settings: settings of the job, as `job.json` holds them.
    classes: label, name, folder and count of each class.
  """
  about = settings.get("about", {})
  derived = settings["mode"] != "prior"
  parts = [
    _front_matter(settings),
    f"# {settings['num_images']:,} synthetic images\n",
    "**Synthetic: made by a model, not photographed or measured.** "
    f"{_HOW[settings['mode']]}\n",
    _table(settings, about),
    _classes(classes),
    "## Limits\n",
    (_DERIVED if derived else _DRAWN) + _LIMITS,
    "## Loading the set\n",
    _loading(settings, classes),
    "## Contents\n",
    _contents(settings),
  ]
  return "\n".join(parts)


def _front_matter(settings):
  count = settings["num_images"]
  sizes = ["n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M"]
  size = next(
    (name for n, name in enumerate(sizes) if count < 10 ** (n + 3)),
    "10M<n<100M",
  )
  lines = ["---", "license: other"]
  if settings["class_names"]:
    lines += ["task_categories:", "- image-classification"]
  lines += ["tags:", "- synthetic", "size_categories:", f"- {size}"]
  if settings["format"] == "png":
    lines += [
      "configs:",
      "- config_name: default",
      "  data_files:",
      "  - split: train",
      "    path: images/**",
    ]
  return "\n".join([*lines, "---", ""])


def _table(settings, about):
  height, width, channels = settings["image_shape"]
  colours = "grey" if channels == 1 else "RGB"
  rows = {
    "made by": about.get("generator"),
    "learned from": about.get("data"),
    "digest of that data": about.get("data_digest"),
    "run": about.get("run"),
    "mode": settings["mode"],
    "images": f"{width}x{height} pixels (width x height), {colours}, 8 bits",
  }
  hidden = {*rows, "about", "image_shape", "class_names", "num_images"}
  hidden |= {"format", "shard_size", "batch_size", "labels", "weights"}
  rows |= {
    key.replace("_", " "): value
    for key, value in settings.items()
    if key not in hidden and value is not None
  }
  lines = ["| | |", "|---|---|"]
  lines += [f"| {key} | {_plain(value)} |" for key, value in rows.items()]
  return "\n".join([*lines, ""])


def _classes(classes):
  lines = ["| label | class | images |", "|---|---|---|"]
  lines += [
    f"| {entry['label']} | {_plain(entry['name'])} | {entry['count']:,} |"
    for entry in classes[:_MAX_CLASSES]
  ]
  if len(classes) > _MAX_CLASSES:
    lines.append(f"| ... | {len(classes):,} classes, see manifest.json | |")
  return "\n".join([*lines, ""])


def _loading(settings, classes):
  labelled = bool(settings["class_names"])
  kind = FORMATS[settings["format"]]
  if kind.loading:
    return _code(*kind.loading) + (f"\n{kind.advice}\n" if kind.advice else "")
  if not labelled:
    return _code(
      "from pathlib import Path",
      "from PIL import Image",
      "images = [Image.open(p) for p in sorted(Path('images').rglob('*.png'))]",
    )
  absent = [entry for entry in classes if not entry["count"]]
  if not absent:
    return _code(
      "from torchvision.datasets import ImageFolder",
      "data = ImageFolder('images')",
    ) + (
      "\nThe sorted names of the folders are in the order of the labels, so "
      "`ImageFolder`,\nKeras and Hugging Face's `datasets` number the classes "
      "as the table above does.\n"
    )
  return (
    f"{len(absent)} of {len(classes)} classes have no image and no folder, so "
    "`ImageFolder` alone would number\nthe others from 0 on. This keeps the "
    "labels of the table above:\n\n"
  ) + _code(
    "import json",
    "from torchvision.datasets import ImageFolder",
    "classes = json.load(open('manifest.json'))['classes']",
    "label_of = {entry['folder']: entry['label'] for entry in classes}",
    "data = ImageFolder('images')",
    "data.target_transform = lambda index: label_of[data.classes[index]]",
  )


def _contents(settings):
  lines = [
    "- `manifest.json`: settings, classes, counts and checksums; `python "
    "sample.py --verify\n  --out=.` checks the set against them",
    "- `grid.png`: the first images of each class",
    "- `job.json`, `records/`: settings of the job, and a record of each shard",
  ]
  if settings["mode"] != "prior":
    lines.append(
      f"- `sources.jsonl`: for each image, the {settings['source_split']} "
      "images it was made from: `index` in that\n  split, and `file`, the path "
      "in the data set, if it has files"
    )
  return "\n".join([*lines, ""])


def _code(*lines):
  return "\n".join(["```python", *lines, "```", ""])


def _plain(value):
  """Returns a value as the text of one cell of a table."""
  text = value if isinstance(value, str) else json.dumps(value)
  text = text if len(text) <= 200 else f"{text[:200]}..."
  # Control characters, and letters that UTF-8 cannot encode, become escapes.
  text = "".join(
    c if c.isprintable() else c.encode("unicode_escape").decode() for c in text
  )
  for mark in "\\`*_{}[]<>()#+!|~$":
    text = text.replace(mark, f"\\{mark}")
  return text.replace("&", "&amp;")
