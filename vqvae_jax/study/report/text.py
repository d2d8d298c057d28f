"""The prose of the report."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from vqvae_jax.study.report.blocks import Paragraph
from vqvae_jax.study.report.numbers import SIGNIFICANCE, Primary, Row
from vqvae_jax.study.report.tables import readable_time

SECONDS = (
  "The seconds of a run are those of training its generator and drawing images "
  "from it, if the arm has a generator, and of training the classifier. Arms "
  "of one generator share its part, so the sum over arms is more than the time "
  "that the study took."
)


def title(settings: Mapping[str, Any]) -> str:
  """Returns the question of the study."""
  return f"Do generated images help? {dataset_name(settings['dataset'])}"


def dataset_name(dataset: str) -> str:
  """Returns the name of a data set without the folders that contain it."""
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
  """Returns what the arms are, and what the figures mean."""
  texts = [_images(settings, rows), _split(test_read), _ARMS]
  texts += [_intervals(rows, primary), _VERDICTS]
  return [Paragraph(text) for text in texts]


_ARMS = (
  "An arm is a training set of a classifier. `real` contains the real images, "
  "`classical` the real images with classical augmentation, and `repeated` the "
  "real images, repeated until they are as many as real and generated images "
  "together. An arm with the name of a generator contains generated images "
  "only; `real+` and `classical+` stand before the name of a generator whose "
  "images are added. All arms are trained for the same number of steps. Arms "
  "with `classical+` are compared with `classical`, all others with `real`."
)
_VERDICTS = (
  "The verdict is no gain if the interval of the difference includes zero, "
  "which does not prove that there is no gain. It is a gain or a loss if the "
  "interval excludes zero and, except for the primary comparison, the "
  f"corrected p-value is at most {SIGNIFICANCE}. One seed gives no interval "
  "and no verdict."
)


def _images(settings: Mapping[str, Any], rows: Sequence[Row]) -> str:
  seeds, name = settings["seeds"], dataset_name(settings["dataset"])
  if settings["num_real"]:
    real = (
      f"Each seed has its own {settings['num_real']:,} real images of {name}"
    )
  else:
    real = (
      f"All seeds share all real images of {name} except for the test images, "
      "so intervals do not show how much depends on the choice of images"
    )
  sizes = {row.multiplier for row in rows if row.main} - {0.0}
  times = "".join(f", {size:,.4g} times the real images" for size in sizes)
  return (
    f"{real}. A fifth of them, or the validation images of the data set, are "
    "held out for validation. Each seed trains its own generators and "
    "classifiers, which see no other images. The study has "
    f"{seeds} {'seed' if seeds == 1 else 'seeds'} and "
    f"{settings['num_synthetic']:,} generated images of each generator"
    f"{times if len(sizes) == 1 else ''}."
  )


def _split(test_read: str | None) -> str:
  if test_read is None:
    return (
      "The test images have not been read. All figures are those of validation "
      "images. Choices were made on these images, so the figures flatter what "
      "was chosen."
    )
  return (
    f"The test images were read once, on {readable_time(test_read)}, after all "
    "choices had been made. All figures are those of test images; results.csv "
    "contains those of validation images, too."
  )


def _intervals(rows: Sequence[Row], primary: Primary) -> str:
  corrected = sum(
    not math.isnan(row.comparison.adjusted) for row in rows if row.comparison
  )
  return (
    "Brackets contain 95 % intervals over seeds (Student's t). They are cut "
    "where no value is possible: accuracy stays between 0 and 100 %, AUROC "
    "between 0 and 1. Differences are paired: they are taken seed by seed, "
    "over the seeds that both arms have. One comparison was named primary "
    f"beforehand: `{primary.arm}` against `{primary.other}`, for the "
    f"classifier {primary.classifier}. The p-values of the other {corrected:,} "
    "comparisons are corrected for their number by Holm's method."
  )
