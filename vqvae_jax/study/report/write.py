"""Writes the report of a study: `report.html`, `report.md`, `results.csv`."""

import csv
import dataclasses
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from etils import epath

from vqvae_jax.files import replace
from vqvae_jax.jobs.folders import file_names
from vqvae_jax.study.report import blocks, grids, plots, quality, tables, text
from vqvae_jax.study.report.blocks import Block, Details
from vqvae_jax.study.report.html import to_html
from vqvae_jax.study.report.markdown import to_markdown
from vqvae_jax.study.report.numbers import Primary, Row, find, summarise
from vqvae_jax.study.verdict import Verdict, verdict

_COLUMNS = ("arm", "generator", "multiplier", "classifier", "seed", "split")
_COLUMNS += ("accuracy", "balanced_accuracy", "seconds")
_PICTURES = "pictures"
# Names in the records of a study that differ from the names used here.
_RENAMED = {
  "judge": "classifier",
  "judges": "classifiers",
  "fewest_kept": "fewest_left",
  "frechet_distance_judge_features": "frechet_distance",
  "frechet_distance_classifier_features": "frechet_distance",
}


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
  samples: Mapping[str, grids.SampleGrid]
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


class _Classifier(NamedTuple):
  """The blocks about one classifier.

  Attributes:
    plots: plots of the accuracy.
    table: the main table and its heading.
    folded: further tables, which stay folded.
  """

  plots: list[Block]
  table: list[Block]
  folded: list[Block]


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
  out, report = epath.Path(out), _renamed(report)
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


def _renamed(report: Report) -> Report:
  """Returns a report in which all records have the names used here."""

  def rename(record: Mapping[str, Any]) -> dict[str, Any]:
    return {_RENAMED.get(name, name): value for name, value in record.items()}

  return dataclasses.replace(
    report,
    settings=rename(report.settings),
    results=list(map(rename, report.results)),
    checks=list(map(rename, report.checks)),
  )


def _content(
  report: Report, rows: Sequence[Row], answer: Verdict
) -> list[Block]:
  first = _classifier(report, rows, report.primary.classifier)
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
    *first.plots,
    *samples,
    *first.table,
    blocks.Links("Files beside this report:", ["results.csv", "report.md"]),
    Details("How to read this report", explained),
    *first.folded,
    *_other_classifiers(report, rows),
    *_quality(report),
    *more_samples,
    Details("Choices made on validation images", choices),
    Details("All settings", [tables.settings_table(report.settings)]),
    Details("Time taken", [blocks.Paragraph(text.SECONDS), seconds]),
  ]


def _classifier(
  report: Report, rows: Sequence[Row], classifier: str
) -> _Classifier:
  rows = [row for row in rows if row.classifier == classifier]
  if not rows:
    return _Classifier([], [blocks.Paragraph("There are no results yet.")], [])
  shown = [row for row in rows if row.main or not row.generator]
  what = (
    f"classifier {classifier}, {report.split} images: mean over seeds and 95 % "
    "interval"
  )
  drawn = [
    plots.arms_plot(
      shown,
      f"arms_{classifier}",
      f"Accuracy by arm, {what}; a point without a bar comes from one seed",
    ),
    plots.sweep_plot(
      rows,
      f"sweep_{classifier}",
      f"Accuracy by the number of generated images, {what}",
    ),
  ]
  main, further = tables.arms_tables(shown, report.class_names)
  folded: list[Block] = []
  if further:
    folded.append(Details("Further figures of the arms", [further]))
  swept = [row for curve in plots.sweeps(rows) for row in curve]
  if swept:
    of_sweep = tables.arms_tables(swept, report.class_names)
    shown_of_sweep = [table for table in of_sweep if table]
    folded.append(Details("Accuracy by multiplier", shown_of_sweep))
  recall = tables.recall_tables(shown, report.class_names)
  folded.append(Details("Recall by class, %", recall))
  heading = blocks.Heading(f"Accuracy of every arm, {report.split} images")
  return _Classifier([p for p in drawn if p], [heading, main], folded)


def _other_classifiers(
  report: Report, rows: Sequence[Row]
) -> Iterator[Details]:
  first = report.primary.classifier
  for name in dict.fromkeys(row.classifier for row in rows):
    if name != first:
      parts = _classifier(report, rows, name)
      yield Details(f"Classifier {name}", [b for part in parts for b in part])


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
    name: grids.picture(file, report.samples[name], notes.get(name, ""))
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
