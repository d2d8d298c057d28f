"""The report: does it help? As `report.html`, `report.md` and `results.csv`."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath
from jaxtyping import UInt8

from vqvae_jax.files import replace
from vqvae_jax.generation.folders import file_names
from vqvae_jax.study import report_gates
from vqvae_jax.study import report_tables as tables
from vqvae_jax.study.report_numbers import (
  SIGNIFICANCE,
  Primary,
  Row,
  find,
  summarise,
)
from vqvae_jax.study.report_pages import (
  Block,
  Heading,
  Paragraph,
  Picture,
  to_html,
  to_markdown,
)
from vqvae_jax.study.report_plots import arms_plot, sweep_plot, sweeps
from vqvae_jax.training.pictures import png

COLUMNS = (
  "arm",
  "generator",
  "multiplier",
  "judge",
  "seed",
  "split",
  "accuracy",
  "balanced_accuracy",
  "seconds",
)
PICTURES = "pictures"


def write_report(
  out: epath.PathLike,
  settings: Mapping[str, Any],
  results: Sequence[Mapping[str, Any]],
  gates: Sequence[Mapping[str, Any]],
  choices: Mapping[str, Any],
  sheets: Mapping[str, UInt8[np.ndarray, "h w *c"]],
  class_names: Sequence[str],
  test_read: str | None,
  multiplier: float,
):
  """Writes the report of a study; each file is whole or absent.

  Args:
    out: the folder; pictures go to `pictures/` in it.
    settings: of the study, and of the machine it ran on.
    results: of every run: arm, generator, multiplier, judge, seed, split, and
      accuracy, balanced_accuracy, auroc and recall of each class as shares, and
      seconds.
    gates: what the generated sets are like, by generator and seed.
    choices: what was chosen on validation images, by name: `chosen`, and
      `among` what, with the figure of each; may be nested.
    sheets: pages of images by title.
    class_names: in the order of the labels.
    test_read: when the test images were read; None if they were not.
    multiplier: the study's own, outside of a sweep.

  Raises:
    ValueError: if a run is in the results twice.
  """
  out = epath.Path(out)
  (out / PICTURES).mkdir(parents=True, exist_ok=True)
  blocks = make_blocks(
    settings,
    results,
    gates,
    choices,
    sheets,
    class_names,
    test_read,
    multiplier,
  )
  replace(out / "results.csv", _csv(results).encode())
  for block in blocks:
    if isinstance(block, Picture):
      replace(out / PICTURES / block.name, block.png)
  replace(out / "report.md", to_markdown(blocks, PICTURES).encode())
  replace(out / "report.html", to_html(blocks).encode())


def make_blocks(
  settings: Mapping[str, Any],
  results: Sequence[Mapping[str, Any]],
  gates: Sequence[Mapping[str, Any]],
  choices: Mapping[str, Any],
  sheets: Mapping[str, UInt8[np.ndarray, "h w *c"]],
  class_names: Sequence[str],
  test_read: str | None,
  multiplier: float,
) -> list[Block]:
  """The report from top to bottom; see `write_report`."""
  split = "test" if test_read else "validation"
  primary = Primary(
    f"classical+{settings['primary']}", judge=settings["judges"][0]
  )
  rows = summarise(results, split, multiplier, primary)
  judges = dict.fromkeys(row.judge for row in rows)
  return [
    Heading(f"Does it help? {settings['dataset']}", 1),
    Paragraph(answer(rows, split, primary), answer=True),
    Heading("How to read it"),
    *_how(settings, rows, split, test_read, primary),
    *[
      block
      for judge in judges
      for block in _judge(
        [row for row in rows if row.judge == judge],
        split,
        class_names,
      )
    ],
    *_gates(gates),
    *_choices(choices),
    *_sheets(sheets),
    Heading("Seconds by arm"),
    Paragraph(
      "Of one run: training its generator and drawing from it, where it has "
      "one, and training the judge. Arms of one generator share its part, so "
      "the sum over arms is more than the study took."
    ),
    tables.seconds_table(rows),
    Heading("Settings"),
    tables.settings_table(settings),
  ]


def answer(rows: Sequence[Row], split: str, primary: Primary) -> str:
  """The primary comparison in one sentence."""
  arm, other, judge = primary
  row = find(rows, arm, judge)
  where = f"judge {judge}, {split} images"
  compared = row.comparison if row else None
  if compared is None or not compared.difference.seeds:
    return (
      f"No answer: {arm} and {other} have no seed in common ({where}), and "
      "their difference is the primary comparison."
    )
  found = compared.difference
  sentence = (
    f"{arm} against {other} ({where}): {100 * found.mean:+.2f} percentage "
    "points of accuracy"
  )
  if not math.isnan(found.low):
    sentence += (
      f", 95 % interval {100 * found.low:+.2f} to {100 * found.high:+.2f}, "
      f"paired over {found.seeds} seeds"
    )
  return f"{sentence}: {compared.verdict}."


def _how(settings, rows, split, test_read, primary):
  seeds = settings["seeds"]
  real = (
    f"Each seed has its own {settings['num_real']} real images of "
    f"{settings['dataset']}"
    if settings["num_real"]
    else f"All seeds have all real images of {settings['dataset']} but those "
    "of the test, so that intervals do not tell how much hangs on the choice "
    "of images"
  )
  yield Paragraph(
    f"{real}; a fifth of them validates, which each seed chooses anew, or the "
    "data set's own validation images. Each seed has its own generators and "
    "judges, which see no other images. "
    f"{seeds} {'seed' if seeds == 1 else 'seeds'}; "
    f"{settings['num_synthetic']} generated images of each generator."
  )
  if test_read:
    yield Paragraph(
      f"This study read the test images once, at {test_read}, after all of its "
      "choices. The "
      "numbers below are of test images; those of validation images are in "
      "results.csv."
    )
  else:
    yield Paragraph(
      "The test images have not been read. The numbers below are of validation "
      "images, on which choices were made: they flatter what was chosen."
    )
  yield Paragraph(
    "Arms: real (the real images), classical (the same with classical "
    "augmentation), repeated (the real ones, until they are as many as real "
    "and generated ones together), a generator's name (generated images "
    "alone), real+ and classical+ (either with generated images). All get the "
    "same number of optimizer steps. Multiplier: generated or repeated images "
    "over real ones."
  )
  corrected = sum(
    not math.isnan(row.comparison.adjusted) for row in rows if row.comparison
  )
  arm, other, judge = primary
  yield Paragraph(
    "Brackets hold 95 % intervals over seeds (Student's t). Differences are "
    "paired: seed by seed, of the seeds that both arms have. One comparison "
    f"was named primary beforehand: {arm} against {other}, judge {judge}. The "
    f"p-values of the other {corrected} of this report are corrected for their "
    "number by Holm's method. Verdicts: no gain where the interval includes "
    "zero, which is no proof that there is none; gain or loss where it does "
    "not, and, except for the primary comparison, the corrected p is at most "
    f"{SIGNIFICANCE}. One seed gives no interval and no verdict."
  )


def _judge(rows, split, class_names):
  judge = rows[0].judge
  yield Heading(f"Arms, judge {judge}, {split} images")
  shown = [row for row in rows if row.main or not row.generator]
  yield tables.arms_table(shown, class_names)
  yield Picture(
    f"arms_{judge}.png",
    arms_plot(shown),
    f"Accuracy by arm, judge {judge}, {split} images: mean over seeds and 95 % "
    "interval; a point without a bar is of one seed",
  )
  yield Heading(f"Recall by class, %, judge {judge}", 3)
  yield tables.recall_table(shown, class_names)
  swept = sweeps(rows)
  if swept:
    yield Heading(f"Accuracy against multiplier, judge {judge}", 3)
    yield Picture(
      f"sweep_{judge}.png",
      sweep_plot(rows),
      f"Accuracy against multiplier, judge {judge}, {split} images: mean over "
      "seeds and 95 % interval",
    )
    yield tables.arms_table(
      [r for of_arm in swept for r in of_arm], class_names
    )


def _gates(gates):
  if not gates:
    return
  yield Heading("Gates on generated sets")
  yield Paragraph(report_gates.SETS_TEXT)
  yield report_gates.sets_table(gates)
  yield Paragraph(report_gates.NEAREST_TEXT)
  yield report_gates.nearest_table(gates)
  yield Paragraph(report_gates.DISTRIBUTION_TEXT)
  yield report_gates.distribution_table(gates)


def _choices(choices):
  yield Heading("Choices made on validation images")
  if not choices:
    yield Paragraph("None.")
    return
  yield tables.choices_table(choices)


def _sheets(sheets):
  if not sheets:
    return
  yield Heading("Samples and nearest neighbours")
  files = file_names(list(sheets))
  for name, (title, pixels) in zip(files, sheets.items(), strict=True):
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    yield Picture(f"sheet_{name}.png", png(pixels), title)


def _csv(results):
  text = io.StringIO()
  writer = csv.DictWriter(
    text, COLUMNS, extrasaction="ignore", lineterminator="\n"
  )
  writer.writeheader()
  writer.writerows(results)
  return text.getvalue()
