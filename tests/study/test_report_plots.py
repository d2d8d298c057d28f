"""The plots and the sample grids of the report show the right numbers."""

import math
import re

import numpy as np
import pytest
from report_cases import results, swept

from vqvae_jax.study.intervals import Estimate
from vqvae_jax.study.report import grids, plots, svg
from vqvae_jax.study.report.numbers import Primary, summarise

MNIST = {
  "real": 95.90,
  "repeated": 95.84,
  "classical": 97.52,
  "vqvae": 96.57,
  "real+vqvae": 96.87,
  "classical+vqvae": 97.59,
  "vae": 95.26,
  "real+vae": 96.20,
  "classical+vae": 97.58,
  "dcgan": 83.84,
  "real+dcgan": 95.77,
  "classical+dcgan": 97.25,
}


def estimates(means, half=0.3):
  return [
    Estimate(m / 100, (m - half) / 100, (m + half) / 100, 3) for m in means
  ]


def rows_of(scores):
  found = results(scores)
  for result in found:
    plain = ("real", "repeated", "classical")
    arm = result["arm"]
    result["generator"] = "" if arm in plain else arm.rpartition("+")[2]
  return summarise(found, "test", 10.0, Primary("classical+vqvae"))


def around(mean):
  return (mean - 0.1, mean, mean + 0.1)


def test_an_outlier_does_not_rule_the_axis():
  (low, high), cut = plots.axis_range(estimates(MNIST.values()))
  assert cut
  # All others, from vae's lower end to classical+vqvae's upper one.
  assert low == pytest.approx(94.96 - 0.04 * 2.93)
  assert high == pytest.approx(97.89 + 0.04 * 2.93)
  others = [mean for mean in MNIST.values() if mean != 83.84]
  assert plots.axis_range(estimates(others)) == ((low, high), False)


@pytest.mark.parametrize("place", [0, 5, 11])
@pytest.mark.parametrize("far", [20.0, 60.0, 80.0])
def test_outliers_anywhere(place, far):
  means = list(MNIST.values())
  means[9] = 96.0
  means[place] = far
  (low, _), cut = plots.axis_range(estimates(means))
  assert cut and low > 94


@pytest.mark.parametrize(
  ("means", "half", "span"),
  [
    # A spread that is everybody's cuts nobody.
    ((60, 70, 80, 90), 1, (57.72, 92.28)),
    # Wide intervals of all are no outliers.
    ((75, 76, 77), 15, (58.72, 93.28)),
    # Ends at what an accuracy can be; one value has room, too.
    ((99.9, 99.95, 100), 0, (99.85, 100)),
    ((50,), 0, (49.95, 50.05)),
  ],
)
def test_what_is_no_outlier_stays(means, half, span):
  found, cut = plots.axis_range(estimates(means, half))
  assert found == pytest.approx(span) and not cut


def test_one_wide_interval_does_not_rule_the_axis():
  found = estimates((95, 95.5, 96, 96.5, 97))
  found[2] = found[2]._replace(low=0.4, high=0.98)
  (low, high), cut = plots.axis_range(found)
  assert cut and 94 < low < 95 and 98 < high < 98.5


def test_marks_lie_at_their_values():
  rows = rows_of({arm: around(mean) for arm, mean in MNIST.items()})
  plot = plots.arms_plot(rows, "arms", "Accuracy")
  assert "The axis is cut" in plot.title
  for drawing in (plot.wide, plot.narrow):
    groups = re.findall(r'<g class="(\w+)">(.*?)</g>', drawing)
    assert len(groups) == len(rows)
    ticks = {
      float(value): float(x)
      for x, value in re.findall(
        r'<text x="([\d.]+)"[^>]*class="soft" text-anchor="middle">'
        r"([\d.]+)</text>",
        drawing,
      )
    }
    (v1, x1), *_, (v2, x2) = ticks.items()
    for row, (_, group) in zip(rows, groups, strict=True):
      mean = 100 * row.accuracy.mean
      if row.arm == "dcgan":
        # An arrow at the left edge, and the value beside it.
        assert ">83.84</text>" in group and "<line" in group
        assert "l9 -6v12Z" in group
        continue
      (x,) = re.findall(r'class="mark" transform="translate\(([\d.]+)', group)
      expected = x1 + (mean - v1) / (v2 - v1) * (x2 - x1)
      assert float(x) == pytest.approx(expected, abs=0.2)
      ends = re.search(r'<line x1="([\d.]+)".*?x2="([\d.]+)"', group).groups()
      per_point = (x2 - x1) / (v2 - v1)
      half = 100 * (row.accuracy.high - row.accuracy.low) / 2
      width = float(ends[1]) - float(ends[0])
      assert width == pytest.approx(2 * half * per_point, abs=0.3)


def test_a_plot_without_numbers_is_none():
  assert plots.arms_plot([], "a", "t") is None
  rows = rows_of({"real": (math.nan,) * 3})
  assert plots.arms_plot(rows, "a", "t") is None
  assert plots.sweep_plot(rows, "a", "t") is None
  rows = rows_of({"real": (math.nan,) * 3, "vqvae": (50, math.nan, math.nan)})
  plot = plots.arms_plot(rows, "a", "t")
  assert "nan" not in plot.wide and "inf" not in plot.wide
  assert ">50.00</text>" in plot.wide


def test_sweeps_have_a_line_for_each_multiplier():
  rows = summarise(swept(), "test", 10.0, Primary("classical+vqvae"))
  plot = plots.sweep_plot(rows, "sweep", "t")
  for drawing in (plot.wide, plot.narrow):
    names = re.findall(r">(\u00d7\d+)</text>", drawing)
    assert names == ["\u00d71", "\u00d710", "\u00d750"]
    found = re.findall(r'class="mark" transform="translate\(([\d.]+)', drawing)
    low, middle, high = (float(x) for x in found)
    # 61.3 of x1, 95.5 of x10, 71.3 of x50: more is further to the right.
    assert low < high < middle
    share = (71.33 - 61.33) / (95.47 - 61.33)
    assert (high - low) / (middle - low) == pytest.approx(share, abs=0.01)
    assert ">classical+vqvae</text>" in drawing and "accuracy, %" in drawing


@pytest.mark.parametrize(
  ("span", "most", "expected"),
  [
    ((94.9, 98.1), 8, [95, 95.5, 96, 96.5, 97, 97.5, 98]),
    ((94.9, 98.1), 5, [95, 96, 97, 98]),
    ((0, 100), 6, [0, 20, 40, 60, 80, 100]),
    ((99.85, 100), 4, [99.85, 99.9, 99.95, 100]),
  ],
)
def test_ticks_are_round(span, most, expected):
  assert svg.Axis(*span, 0, 1).ticks(most) == pytest.approx(expected)


def test_ticks_are_never_too_many():
  rng = np.random.default_rng(0)
  for low, width in zip(
    rng.uniform(0, 99, 200), 10 ** rng.uniform(-1, 2, 200), strict=True
  ):
    found = svg.Axis(low, low + width, 0, 1).ticks(6)
    assert 1 <= len(found) <= 6
    assert low - 1e-6 <= min(found) and max(found) <= low + width + 1e-6


def test_sheets_have_a_row_for_each_class():
  images = np.arange(9, dtype=np.uint8).reshape(9, 1, 1, 1).repeat(2, 1)
  # Two of class 0, none of class 1, seven of class 2.
  labels = np.array([0, 0] + [2] * 7)
  sheet = grids.by_class("t", images, labels, ["a", "b", "c"])
  assert sheet.row_names == ["a", "b", "c"]
  assert sheet.images[..., 0, 0, 0].tolist() == [
    [0, 1, 255, 255, 255, 255],
    [255] * 6,
    [2, 3, 4, 5, 6, 7],
  ]
  many = [str(i) for i in range(1200)]
  sheet = grids.by_class("t", images, labels, many)
  assert len(sheet.images) == 10 and "first 10 of 1,200" in sheet.text


def test_copies_stand_above_their_training_images():
  images = np.arange(20, dtype=np.uint8).reshape(20, 1, 1, 1)
  real = 100 + images
  nearest = np.arange(20)[::-1]
  distance = np.abs(np.arange(20) - 7.2)
  sheet = grids.copies("t", images, real, distance, nearest)
  shown = sheet.images[..., 0, 0, 0].astype(int)
  assert shown[0].tolist() == [7, 8, 6, 9, 5, 10, 4, 11]
  assert (shown[0] + shown[1] == 119).all()
  assert (shown[2] + shown[3] == 119).all()
  assert sheet.row_names == ("generated", "nearest real") * 2
  # Fewer images than places.
  few = grids.copies("t", images[:3], real, distance[:3], nearest[:3])
  assert few.images.shape[:2] == (2, 8)
  assert (few.images[:, 3:] == 255).all()
