"""The report's numbers against hand-made ones."""

import dataclasses
import math

import numpy as np
import pytest
from report_cases import CHECKS, EVIL, NAMES, SCORES, results, swept, write
from scipy import stats

from vqvae_jax.study.report import numbers, quality, tables

PRIMARY = numbers.Primary("classical+vqvae")


def summarise(found, split="test", multiplier=10.0):
  rows = numbers.summarise(found, split, multiplier, PRIMARY)
  return {row.arm: row for row in rows if row.main}, rows


def cells(table, arm):
  (row,) = [row for row in table.rows if row[0] == arm]
  return dict(zip(table.header, row, strict=True))


def t_interval(values):
  mean, error = np.mean(values), stats.sem(values)
  low, high = stats.t.interval(0.95, len(values) - 1, mean, error)
  return mean, low, high


def test_numbers_of_the_arms():
  rows, every = summarise(results())
  differences = np.subtract(SCORES["real+vqvae"], SCORES["real"])
  expected = stats.ttest_rel(SCORES["real+vqvae"], SCORES["real"])
  compared = rows["real+vqvae"].comparison
  assert compared.reference == "real" and compared.difference.seeds == 3
  np.testing.assert_allclose(
    [
      compared.difference.mean,
      compared.difference.low,
      compared.difference.high,
    ],
    np.array(t_interval(differences)) / 100,
  )
  assert compared.difference.p_value == pytest.approx(expected.pvalue)
  found = cells(tables.arms_tables(every, NAMES)[0], "real+vqvae")
  mean, low, high = t_interval(SCORES["real+vqvae"])
  assert found["accuracy, %"] == f"{mean:.2f} [{low:.2f}, {high:.2f}]"
  mean, low, high = t_interval(differences)
  assert found["difference, points"] == f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]"
  # Means over seeds, then the lowest: 0.81 of the second class.
  assert found["worst class, recall %"] == f"{EVIL}: 81.0"
  # All arms have three seeds, and classes are balanced.
  assert list(found) == [
    "arm",
    "verdict",
    "difference, points",
    "accuracy, %",
    "p-value",
    "worst class, recall %",
    "AUROC",
  ]
  assert found["verdict"] == "gain over real"
  table = tables.seconds_table(every, [CHECKS])
  seconds = cells(table, "real+vqvae")
  assert list(seconds.values())[1:] == ["\u00d710", "simple", "3", "11", "33"]
  checks = cells(table, "quality checks of vqvae")
  assert list(checks.values())[3:] == ["1", "2", "2"]
  order = [row.arm for row in every]
  assert order == [
    "real", "repeated", "classical", "vqvae", "real+vqvae", "classical+vqvae"
  ]  # fmt: skip
  references = [r.comparison and r.comparison.reference for r in every]
  assert references == [None, "real", "real", "real", "real", "classical"]


def test_all_but_the_primary_are_corrected_over_both_judges():
  tuned = {arm: SCORES[arm] for arm in ("classical", "classical+vqvae")}
  _, every = summarise(results() + results(tuned, classifier="tuned"))
  compared = {
    (r.classifier, r.arm): r.comparison for r in every if r.comparison
  }
  primary = compared.pop(("simple", "classical+vqvae"))
  assert primary.primary and math.isnan(primary.adjusted)
  # Five others: the other judge's comparison of the same arms is one.
  assert len(compared) == 5 and not any(c.primary for c in compared.values())
  p = sorted(c.difference.p_value for c in compared.values())
  expected = np.minimum(
    np.maximum.accumulate([(5 - i) * v for i, v in enumerate(p)]), 1
  )
  np.testing.assert_allclose(
    sorted(c.adjusted for c in compared.values()), expected
  )


def test_verdicts(tmp_path):
  rows, _ = summarise(results())
  # +0.4, +0.2, -0.2: the interval includes zero.
  assert rows["classical+vqvae"].comparison.verdict == "no gain over classical"
  assert rows["real+vqvae"].comparison.verdict == "gain over real"
  assert rows["vqvae"].comparison.verdict == "loss against real"
  found = write(tmp_path, results())
  assert found.headline == "No measurable gain."
  assert found.sentence == (
    "Adding generated images (`classical+vqvae` against `classical`) changed "
    "accuracy on test images by +0.13 points (95 % interval -0.63 to +0.89, 3 "
    "seeds)."
  )


def test_a_gain_that_correction_takes_away():
  # p 0.032 alone, twice that of two comparisons.
  scores = {
    "real": (90.0, 91.0, 92.0),
    "vqvae": (91.0, 91.6, 92.6),
    "repeated": (90.0, 91.2, 91.9),
  }
  rows, _ = summarise(results(scores))
  compared = rows["vqvae"].comparison
  assert (
    compared.difference.low > 0
    and compared.difference.p_value < 0.05 < compared.adjusted
  )
  assert compared.verdict == "no gain over real after correction"
  found = compared.difference
  fallen = found._replace(mean=-found.mean, low=-found.high, high=-found.low)
  lost = dataclasses.replace(compared, difference=fallen)
  assert lost.verdict == "loss against real, not certain after correction"
  # The same numbers as the primary comparison stand.
  scores = {"classical": scores["real"], "classical+vqvae": scores["vqvae"]}
  rows, _ = summarise(results(scores))
  assert rows["classical+vqvae"].comparison.verdict == "gain over classical"


def test_only_common_seeds_are_paired():
  found = [r for r in results() if (r["arm"], r["seed"]) != ("classical", 1)]
  rows, every = summarise(found)
  difference = rows["classical+vqvae"].comparison.difference
  assert difference.seeds == 2
  assert difference.mean == pytest.approx(0.001)
  row = cells(tables.arms_tables(every, NAMES)[0], "classical+vqvae")
  assert row["seeds"] == "3"
  assert row["difference, points"].endswith("] (2 of 3 seeds)")


def test_missing_auroc_and_recall():
  found = results({"real": (90, 91)})
  found[0] |= {"auroc": math.nan, "recall": [math.nan, math.nan]}
  found[1] |= {"auroc": 0.75, "recall": [0.5, math.nan]}
  _, every = summarise(found)
  row = cells(tables.arms_tables(every, NAMES)[0], "real")
  assert row["AUROC"] == "0.7500 (1 of 2 seeds)"
  assert row["worst class, recall %"] == "cat: 50.0"
  (table,) = tables.recall_tables(every, ["cat", "dog"])
  assert table.header == ["class", "real"]
  assert table.rows == [["cat", "50.0"], ["dog", "n/a"]]


def test_every_mean_has_its_interval():
  # t(0.975, 2) is 4.303: of 90, 91 and 92 the half width is 2.484.
  found = results({"real": (90, 91, 92)})
  for result, auroc in zip(found, (0.90, 0.91, 0.92), strict=True):
    result["auroc"] = auroc
  _, every = summarise(found)
  row = cells(tables.arms_tables(every, NAMES)[0], "real")
  assert row["accuracy, %"] == "91.00 [88.52, 93.48]"
  assert row["AUROC"] == "0.9100 [0.8852, 0.9348]"
  assert "balanced accuracy, %" not in row
  # Where classes are not balanced, that is another figure.
  found[0]["balanced_accuracy"] = 0.87
  _, every = summarise(found)
  row = cells(tables.arms_tables(every, NAMES)[0], "real")
  assert row["balanced accuracy, %"] == "90.00 [83.43, 96.57]"


def test_intervals_stay_where_values_can_be():
  # Half widths of 2 seeds are 12.7 standard errors: 38.1, 0.127, 76.2.
  found = results({"real": (37, 43), "repeated": (97, 91)})
  for result, auroc in zip(found, (0.98, 0.96) * 2, strict=True):
    result["auroc"] = auroc
  rows, every = summarise(found)
  row = cells(tables.arms_tables(every, NAMES)[0], "real")
  assert row["accuracy, %"] == "40.00 [1.88, 78.12]"
  assert row["AUROC"] == "0.9700 [0.8429, 1.0000]"
  row = cells(tables.arms_tables(every, NAMES)[0], "repeated")
  assert row["accuracy, %"] == "94.00 [55.88, 100.00]"
  assert row["difference, points"] == "+54.00 [-22.24, +100.00]"


def test_no_table_is_wider_than_seven_columns():
  found = swept()
  found[0] |= {"balanced_accuracy": 0.5}
  found.pop()
  _, every = summarise(found)
  main, further = tables.arms_tables(every, NAMES)
  assert main.header == [
    "arm",
    "multiplier",
    "verdict",
    "difference, points",
    "accuracy, %",
    "balanced accuracy, %",
    "p-value",
  ]
  assert further.header == [
    "arm",
    "multiplier",
    "seeds",
    "worst class, recall %",
    "AUROC",
  ]
  assert len(main.rows) == len(further.rows) == len(every)


def test_settings_are_as_people_write_them():
  settings = {
    "started": "2026-11-25T07:37:31+00:00",
    "data_dir": None,
    "steps": 20000,
    "quick": False,
    "levels": [8, 5, 5],
    "rate": 3e-4,
    "prior": {"name": "transformer"},
  }
  assert tables.settings_table(settings).rows == [
    ["started", "25 November 2026, 07:37 UTC"],
    ["data_dir", "not set"],
    ["steps", "20,000"],
    ["quick", "no"],
    ["levels", "8, 5, 5"],
    ["rate", "0.0003"],
    ["prior.name", "transformer"],
  ]


def test_gates_are_means_over_seeds():
  other = CHECKS | {"seed": 1, "label_agreement": 0.8, "duplicate_ids": 0.5}
  (row,) = quality.sets_table([CHECKS, other]).rows
  # No column for what is known of no generator.
  assert row == [
    "vqvae",
    "1,000",
    "85.0 % [80.0, 90.0]",
    "100.0 %",
    "50.0 %",
    "label 6, copy 2",
  ]
  pixels, features = quality.nearest_table([CHECKS]).rows
  assert pixels == [
    "vqvae",
    "pixels",
    "5.000",
    "6.000",
    "3.000",
    "4.000",
    "25.0 %",
  ]
  assert features[2:] == ["n/a"] * 5


def test_the_main_multiplier():
  found = swept()
  rows, every = summarise(found)
  # The arm with the study's own number of images is the one compared first.
  assert rows["classical+vqvae"].multiplier == 10
  assert sum(r.comparison.primary for r in every if r.comparison) == 1
  with pytest.raises(ValueError, match="there twice"):
    summarise(found + found[-1:])
