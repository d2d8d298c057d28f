"""Names of the metrics of all stages, on the screen and in charts."""

import math
from collections.abc import Mapping
from typing import Any

VALIDATION = "validation_"


def describe(metrics: Mapping[str, Any]) -> list[str]:
  """Returns metrics in words with their units, the most important first.

  Args:
    metrics: metrics of a step or an evaluation of any stage; names of those on
      validation images start with `validation_`.

  Returns:
    Phrases such as `error 0.061 of the variance (validation 0.068)`, or `PSNR
    21.3 dB`, which is measured on validation images only.
  """
  found = []
  for name, (before, digits, after) in _WORDS.items():
    trained, held_out = metrics.get(name), metrics.get(VALIDATION + name)
    if trained is None and held_out is None:
      continue
    text = f"{before}{held_out if trained is None else trained:{digits}}{after}"
    if trained is not None and held_out is not None:
      text += f" (validation {held_out:{digits}})"
    found.append(text)
  for name, (before, digits, after) in _HELD_OUT.items():
    value = _held_out(metrics, name)
    if value is not None:
      found.append(f"{before}{value:{digits}}{after}")
  return found


def result(metrics: Mapping[str, Any]) -> str:
  """Returns the figures of a trained stage on validation images in a line."""
  held_out = {k: v for k, v in metrics.items() if k.startswith(VALIDATION)}
  return ", ".join(describe(held_out))


def with_units(metrics: Mapping[str, Any], likelihood: str) -> dict[str, Any]:
  """Returns the metrics, with the error named after the likelihood."""
  names = {"laplace": "absolute_error", "bernoulli": "cross_entropy"}
  name = names.get(likelihood)
  if name is None:
    return dict(metrics)
  return {k.replace("reconstruction", name): v for k, v in metrics.items()}


def chart(stage: str, name: str) -> tuple[str, str]:
  """Returns where TensorBoard draws a metric.

  Training and validation share a chart, stages do not.

  Args:
    stage: name of the stage or model on the screen.
    name: name of the metric.

  Returns:
    The run, `train` or `validation`, and the tag: group, stage and name.
  """
  run = "validation" if name.startswith(VALIDATION) else "train"
  name = name.removeprefix(VALIDATION)
  for group, names in _GROUPS.items():
    if name in names:
      return run, f"{group}/{stage}/{name}"
  return run, f"loss/{stage}/{name}"


def _held_out(metrics, name):
  value = metrics.get(VALIDATION + name)
  mse = metrics.get(f"{VALIDATION}mse")
  if value is None and name == "psnr" and mse:
    # Models without this figure of their own get that of the mean error.
    return -10 * math.log10(mse)
  return value


_SHARE = ".0%"
# For each name: words before the number, its format, words after it.
_WORDS = {
  "reconstruction": ("error ", ".3f", " of the variance"),
  "absolute_error": ("error ", ".3f", " standard deviations"),
  "cross_entropy": ("cross entropy ", ".4f", " nats per value"),
  "nats_per_image": ("", ".1f", " nats per image"),
  "nats_per_masked_id": ("", ".3f", " nats per masked id"),
  "elbo_nats": ("ELBO ", ",.1f", " nats per image"),
  "reconstruction_nats": ("reconstruction ", ",.1f", " nats per image"),
  "real_taken_for_real": ("taken for real: real images ", _SHARE, ""),
  "fake_taken_for_real": ("generated images ", _SHARE, ""),
}
_HELD_OUT = {
  "psnr": ("PSNR ", ".1f", " dB"),
  "ssim": ("SSIM ", "z.2f", ""),
}
_GROUPS = {
  "quality": (
    "psnr",
    "ssim",
    "mse",
    "mse_over_variance",
    "nats_per_image",
    "real_taken_for_real",
    "fake_taken_for_real",
  ),
  "codebook": ("usage", "perplexity"),
  "optimizer": ("gradient_norm", "learning_rate"),
  "speed": ("images_per_second",),
}
