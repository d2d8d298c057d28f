"""The report: does it help? As `report.html`, `report.md` and `results.csv`."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from etils import epath

from vqvae_jax.files import replace
from vqvae_jax.jobs.class_folders import file_names
from vqvae_jax.study import report_gates, report_text
from vqvae_jax.study import report_tables as tables
from vqvae_jax.study.report_markdown import to_markdown
from vqvae_jax.study.report_numbers import Primary, Row, find, summarise
from vqvae_jax.study.report_pages import (
  Answer,
  Beside,
  Block,
  Details,
  Heading,
  Links,
  Paragraph,
  picture_files,
  to_html,
)
from vqvae_jax.study.report_plots import arms_plot, sweep_plot, sweeps
from vqvae_jax.study.report_sheets import Sheet, picture
from vqvae_jax.study.verdict import Verdict, verdict

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
  sheets: Mapping[str, Sheet],
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
    sheets: images by the name of the set they are of: "real", "classical",
      a generator, or a generator and "-copies" for its likeliest copies.
    class_names: in the order of the labels.
    test_read: when the test images were read; None if they were not.
    multiplier: the study's own, outside of a sweep.

  Raises:
    ValueError: if a run is in the results twice.
  """
  out = epath.Path(out)
  split = "test" if test_read else "validation"
  primary = Primary(
    f"classical+{settings['primary']}", judge=settings["judges"][0]
  )
  rows = summarise(results, split, multiplier, primary)
  plots, figures, folded = _classifier(rows, primary.judge, split, class_names)
  samples, more_samples = _samples(sheets, gates, settings["primary"])
  blocks = [
    Heading(report_text.title(settings), 1),
    _answer(rows, split, primary),
    *plots,
    *samples,
    *figures,
    Links("Files beside this one:", ["results.csv", "report.md"]),
    Details(
      "How to read this report",
      report_text.how_to_read(settings, rows, test_read, primary),
    ),
    *folded,
    *_other_classifiers(rows, primary.judge, split, class_names),
    *_quality(gates),
    *more_samples,
    Details("Choices made on validation images", _choices(choices)),
    Details("All settings", [tables.settings_table(settings)]),
    Details(
      "Time taken",
      [Paragraph(report_text.SECONDS), tables.seconds_table(rows, gates)],
    ),
  ]
  replace(out / "results.csv", _csv(results).encode(errors="backslashreplace"))
  (out / PICTURES).mkdir(parents=True, exist_ok=True)
  for name, content in picture_files(blocks):
    replace(out / PICTURES / name, content)
  replace(out / "report.md", to_markdown(blocks, PICTURES).encode())
  replace(out / "report.html", to_html(blocks).encode())


def primary_verdict(
  rows: Sequence[Row], split: str, primary: Primary
) -> Verdict:
  """What the primary comparison says."""
  row = find(rows, primary.arm, primary.judge)
  found = row.comparison.difference if row and row.comparison else None
  if found is None:
    return verdict(primary.arm, primary.other, 0.0, 0.0, 0.0, 0)
  return verdict(
    primary.arm,
    primary.other,
    found.mean,
    found.low,
    found.high,
    found.seeds,
    f"{split} images",
  )


def _answer(rows, split, primary):
  found = primary_verdict(rows, split, primary)
  text = f"{found.sentence} {found.limit}".strip()
  if split == "validation":
    text += " The test images have not been read yet."
  return Answer(found.headline, text)


def _classifier(rows, judge, split, class_names) -> tuple[list, list, list]:
  """Plots, the main table and what is folded, of one classifier."""
  rows = [row for row in rows if row.judge == judge]
  if not rows:
    return [], [Paragraph("There are no results yet.")], []
  shown = [row for row in rows if row.main or not row.generator]
  end = "; a point without a bar comes from one seed"
  what = (
    f"classifier {judge}, {split} images: mean over seeds and 95 % interval"
  )
  swept = sweeps(rows)
  plots = [
    arms_plot(shown, f"arms_{judge}", f"Accuracy by arm, {what}{end}"),
    sweep_plot(
      rows,
      f"sweep_{judge}",
      f"Accuracy against the number of generated images, {what}",
    ),
  ]
  main, further = tables.arms_tables(shown, class_names)
  folded = []
  if further:
    folded.append(Details("Further figures of the arms", [further]))
  if swept:
    flat = [row for of_arm in swept for row in of_arm]
    table, rest = tables.arms_tables(flat, class_names)
    folded.append(
      Details("Accuracy against multiplier", [table, *([rest] if rest else [])])
    )
  folded.append(
    Details("Recall by class, %", tables.recall_tables(shown, class_names))
  )
  return (
    [plot for plot in plots if plot],
    [Heading(f"Accuracy of every arm, {split} images"), main],
    folded,
  )


def _other_classifiers(rows, first, split, class_names):
  judges = dict.fromkeys(row.judge for row in rows if row.judge != first)
  for judge in judges:
    parts = _classifier(rows, judge, split, class_names)
    yield Details(
      f"Classifier {judge}", [block for part in parts for block in part]
    )


def _samples(sheets, gates, primary) -> tuple[list[Block], list[Block]]:
  """Real images beside those of the primary generator; then all others."""
  if not sheets:
    return [], []
  files = dict(zip(sheets, file_names(list(sheets)), strict=True))
  blocks = {}
  for name, sheet in sheets.items():
    generator = name.removesuffix("-copies")
    share = report_gates.copied_share(gates, generator)
    note = ""
    if name != generator and share is not None:
      note = (
        f"{100 * share:.1f} % of the images of {generator} are nearer to a "
        "training image than 99 % of unseen real images are; new images of "
        "the same kind would give about 1 %."
      )
    blocks[name] = picture(files[name], sheet, note)
  first = [blocks.pop(n) for n in ("real", primary) if n in blocks]
  front = [Heading("Samples")] if first else []
  front += [Beside(first)] if first else []
  front += filter(None, [blocks.pop(f"{primary}-copies", None)])
  more = list(blocks.values())
  return front, [Details("More samples", more)] if more else []


def _quality(gates) -> Iterator[Details]:
  if not gates:
    return
  yield Details(
    "Quality checks of the generated images",
    [
      Paragraph(report_gates.SETS_TEXT),
      report_gates.sets_table(gates),
      Paragraph(report_gates.NEAREST_TEXT),
      report_gates.nearest_table(gates),
      Paragraph(report_gates.DISTRIBUTION_TEXT),
      report_gates.distribution_table(gates),
    ],
  )


def _choices(choices):
  if not choices:
    return [Paragraph("None.")]
  return [tables.choices_table(choices)]


def _csv(results):
  text = io.StringIO()
  writer = csv.DictWriter(
    text, COLUMNS, extrasaction="ignore", lineterminator="\n"
  )
  writer.writeheader()
  writer.writerows(results)
  return text.getvalue()
