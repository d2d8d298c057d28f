"""Writes the report of a study: `report.html`, `report.md`, `results.csv`."""

import csv
import dataclasses
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from etils import epath

from vqvae_jax.files import replace
from vqvae_jax.jobs.class_folders import file_names
from vqvae_jax.study.report import blocks, plots, quality, tables, text
from vqvae_jax.study.report.blocks import Block, Details
from vqvae_jax.study.report.grids import SampleGrid
from vqvae_jax.study.report.html import to_html
from vqvae_jax.study.report.markdown import to_markdown
from vqvae_jax.study.report.numbers import Primary, Row, find, summarise
from vqvae_jax.study.verdict import Verdict, verdict

_COLUMNS = ("arm", "generator", "multiplier", "classifier", "seed", "split")
_COLUMNS += ("accuracy", "balanced_accuracy", "seconds")
_FILES = ("results.csv", "report.md")
_PICTURES = "pictures"


@dataclasses.dataclass(frozen=True)
class Report:
  """What a report is made from.

  Attributes:
    settings: settings of the study and of the machine that it ran on.
    results: the results of all runs: arm, generator, multiplier, classifier,
      seed, split, accuracy, balanced_accuracy, auroc and recall of each class
      as shares, and seconds.
    checks: quality checks of the generated images, by generator and seed.
    choices: what was chosen on validation images, by name: `chosen`, and
      `among` which options, with the figure of each; may be nested.
    samples: sample grids by the name of the set of images: "real", "classical",
      a generator, or a generator and "-copies" for its likeliest copies.
    class_names: names of the classes in the order of the labels.
    test_read: when the test images were read; None if they were not.
    multiplier: generated images over real ones, outside of a sweep.
  """

  settings: Mapping[str, Any]
  results: Sequence[Mapping[str, Any]]
  checks: Sequence[Mapping[str, Any]]
  choices: Mapping[str, Any]
  samples: Mapping[str, SampleGrid]
  class_names: Sequence[str]
  test_read: str | None
  multiplier: float

  @property
  def split(self) -> str:
    """The split whose figures are shown."""
    return "test" if self.test_read else "validation"

  @property
  def primary(self) -> Primary:
    """The comparison that was named beforehand."""
    arm = f"classical+{self.settings['primary']}"
    return Primary(arm, classifier=self.settings["classifiers"][0])


def write_report(out: epath.PathLike, report: Report) -> Verdict:
  """Writes the report of a study; each file is whole or absent.

  Args:
    out: path of the folder of the study; pictures go to `pictures/` in it.
    report: what the report is made from.

  Returns:
    The answer to the question of the study.

  Raises:
    ValueError: if a run is in the results twice.
  """
  out = epath.Path(out)
  rows = summarise(
    report.results, report.split, report.multiplier, report.primary
  )
  answer = _answer(report, rows)
  content = _content(report, rows, answer)
  results = _csv(report.results).encode(errors="backslashreplace")
  replace(out / "results.csv", results)
  (out / _PICTURES).mkdir(parents=True, exist_ok=True)
  for name, picture in blocks.files(content):
    replace(out / _PICTURES / name, picture)
  replace(out / "report.md", to_markdown(content, _PICTURES).encode())
  replace(out / "report.html", to_html(content).encode())
  return answer


def _answer(report: Report, rows: Sequence[Row]) -> Verdict:
  """Returns the answer of the primary comparison."""
  arm, other, classifier = report.primary
  row = find(rows, arm, classifier)
  difference = row.comparison.difference if row and row.comparison else None
  return verdict(arm, other, difference, f"{report.split} images")


def _content(
  report: Report, rows: Sequence[Row], answer: Verdict
) -> list[Block]:
  by_classifier = {}
  for row in rows:
    by_classifier.setdefault(row.classifier, []).append(row)
  first = by_classifier.get(report.primary.classifier, [])
  table, folded = _tables(report, first)
  samples, more_samples = _samples(report)
  sentences = [answer.sentence, answer.limit]
  if not report.test_read:
    sentences.append("The test images have not been read yet.")
  choices: list[Block] = [blocks.Paragraph("No choices were made.")]
  if report.choices:
    choices = [tables.choices_table(report.choices)]
  explained = text.how_to_read(
    report.settings, rows, report.test_read, report.primary
  )
  seconds = tables.seconds_table(rows, report.checks)
  return [
    blocks.Heading(text.title(report.settings), 1),
    blocks.Answer(answer.headline, " ".join(filter(None, sentences))),
    *_plots(report, first, report.primary.classifier),
    *samples,
    *table,
    blocks.Paragraph("Files beside this report:", _FILES),
    Details("How to read this report", explained),
    *folded,
    *_other_classifiers(report, by_classifier),
    *_quality(report),
    *more_samples,
    Details("Choices made on validation images", choices),
    Details("All settings", [tables.settings_table(report.settings)]),
    Details("Time taken", [blocks.Paragraph(text.SECONDS), seconds]),
  ]


def _plots(report: Report, rows: Sequence[Row], classifier: str) -> list[Block]:
  """Returns the plots of the accuracy of one classifier."""
  what = (
    f"classifier {classifier}, {report.split} images: mean over seeds and 95 % "
    "interval"
  )
  arms = plots.arms_plot(
    _shown(rows),
    f"arms_{classifier}",
    f"Accuracy by arm, {what}; a point without a bar comes from one seed",
  )
  sweep = plots.sweep_plot(
    rows,
    f"sweep_{classifier}",
    f"Accuracy by generated images per real image (\u00d7), {what}",
  )
  return [plot for plot in (arms, sweep) if plot]


def _tables(
  report: Report, rows: Sequence[Row]
) -> tuple[list[Block], list[Block]]:
  """Returns the main table of one classifier, and tables that stay folded."""
  if not rows:
    return [blocks.Paragraph("There are no results yet.")], []
  shown = _shown(rows)
  swept = [row for curve in plots.sweeps(rows) for row in curve]
  main, *further = tables.arms_tables(shown, report.class_names)
  folded = {
    "Further figures of the arms": further,
    "Accuracy by multiplier": tables.arms_tables(swept, report.class_names),
    "Recall by class, %": tables.recall_tables(shown, report.class_names),
  }
  heading = blocks.Heading(f"Accuracy of every arm, {report.split} images")
  return [heading, main], [Details(*item) for item in folded.items() if item[1]]


def _shown(rows: Sequence[Row]) -> list[Row]:
  """Returns the rows without the points of a sweep."""
  return [row for row in rows if row.main or not row.generator]


def _other_classifiers(
  report: Report, by_classifier: Mapping[str, Sequence[Row]]
) -> Iterator[Details]:
  for classifier, rows in by_classifier.items():
    if classifier != report.primary.classifier:
      drawn = _plots(report, rows, classifier)
      table, folded = _tables(report, rows)
      yield Details(f"Classifier {classifier}", [*drawn, *table, *folded])


def _samples(report: Report) -> tuple[list[Block], list[Block]]:
  """Returns real beside generated images, and the other sample grids."""
  notes = {}
  for generator in dict.fromkeys(c["generator"] for c in report.checks):
    share = quality.copied_share(report.checks, generator)
    if share is not None:
      notes[f"{generator}-copies"] = (
        f"{100 * share:.1f} % of the images of {generator} are nearer to a "
        "training image than 99 % of unseen real images are; for new images of "
        "the same kind it would be about 1 %."
      )
  names = list(report.samples)
  pictures = {
    name: dataclasses.replace(
      report.samples[name],
      name=f"samples_{file}",
      text=f"{report.samples[name].text} {notes.get(name, '')}".strip(),
    )
    for name, file in zip(names, file_names(names), strict=True)
  }
  primary = report.settings["primary"]
  beside = [pictures.pop(n) for n in ("real", primary) if n in pictures]
  copies = pictures.pop(f"{primary}-copies", None)
  front: list[Block] = []
  if beside:
    front = [blocks.Heading("Samples"), blocks.Pictures(beside)]
  if copies:
    front.append(blocks.Pictures([copies]))
  more = [blocks.Pictures([picture]) for picture in pictures.values()]
  return front, [Details("More samples", more)] if more else []


def _quality(report: Report) -> list[Block]:
  if not report.checks:
    return []
  title = "Quality checks of the generated images"
  return [Details(title, quality.quality(report.checks))]


def _csv(results: Sequence[Mapping[str, Any]]) -> str:
  file = io.StringIO()
  writer = csv.DictWriter(
    file, _COLUMNS, extrasaction="ignore", lineterminator="\n"
  )
  writer.writeheader()
  writer.writerows(results)
  return file.getvalue()
