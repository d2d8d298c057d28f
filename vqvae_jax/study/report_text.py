"""The prose of the report."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from vqvae_jax.study.report_numbers import SIGNIFICANCE, Primary, Row
from vqvae_jax.study.report_pages import Paragraph
from vqvae_jax.study.report_tables import readable_time

SECONDS = (
  "Seconds of one run: training its generator and drawing from it, where it "
  "has one, and training the classifier. Arms of one generator share its part, "
  "so the sum over arms is more than the study took."
)


def title(settings: Mapping[str, Any]) -> str:
  """What the study asks."""
  return f"Do generated images help? {dataset_name(settings['dataset'])}"


def dataset_name(dataset: str) -> str:
  """A data set's own name, without the folders that it lies in."""
  kind, colon, path = dataset.partition(":")
  if not colon or kind not in ("folder", "npz", "tfds-dir"):
    return dataset
  parts = [part for part in re.split(r"[/\\]", path) if part]
  return parts[-1] if parts else dataset


def how_to_read(
  settings: Mapping[str, Any],
  rows: Sequence[Row],
  test_read: str | None,
  primary: Primary,
) -> list[Paragraph]:
  """What the arms are, and what the figures mean."""
  seeds, name = settings["seeds"], dataset_name(settings["dataset"])
  real = (
    f"Each seed has its own {settings['num_real']:,} real images of {name}"
    if settings["num_real"]
    else f"All seeds share all real images of {name} except the test images, "
    "so intervals do not show how much depends on the choice of images"
  )
  if test_read:
    test = (
      f"The test images were read once, on {readable_time(test_read)}, after "
      "all choices had been made. The figures are of test images; those of "
      "validation images are in results.csv."
    )
  else:
    test = (
      "The test images have not been read. The figures are of validation "
      "images, on which choices were made: they flatter what was chosen."
    )
  corrected = sum(
    not math.isnan(row.comparison.adjusted) for row in rows if row.comparison
  )
  arm, other, judge = primary
  sizes = sorted({row.multiplier for row in rows if row.main} - {0.0})
  times = " and ".join(f"{size:,.4g}" for size in sizes)
  texts = [
    f"{real}; a fifth of them, or the data set's own validation images, is "
    "held out for validation. Each seed trains its own generators and "
    "classifiers, which see no other images. "
    f"{seeds} {'seed' if seeds == 1 else 'seeds'}; "
    f"{settings['num_synthetic']:,} generated images of each generator"
    + (f", {times} times the real ones." if len(sizes) == 1 else "."),
    test,
    "Arms: real (the real images), classical (the same with classical "
    "augmentation), repeated (the real images, repeated until they are as many "
    "as real and generated images together), a generator's name (generated "
    "images alone), real+ and classical+ (either with generated images). All "
    "arms are trained for the same number of steps. Arms with classical+ are "
    "compared with classical, all others with real.",
    "Brackets hold 95 % intervals over seeds (Student's t), cut where no value "
    "can be: accuracy stays between 0 and 100 %, AUROC between 0 and 1. "
    "Differences are paired: seed by seed, over the seeds that both arms have. "
    f"One comparison was named primary beforehand: `{arm}` against `{other}`, "
    f"classifier {judge}. The p-values of the other {corrected:,} are "
    "corrected for their number by Holm's method.",
    "Verdicts: no gain where the interval includes zero, which does not prove "
    "that there is none; gain or loss where it does not and, except for the "
    f"primary comparison, the corrected p is at most {SIGNIFICANCE}. One seed "
    "gives no interval and no verdict.",
  ]
  return [Paragraph(text) for text in texts]
