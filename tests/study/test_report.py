"""The report's files: what they say, hostile names, whole or absent."""

import csv
import html.parser
import io
import math
import re

import numpy as np
import pytest
from PIL import Image
from report_cases import EVIL, GATE, NAMES, results, swept

from vqvae_jax.study import report, report_pages

SETTINGS = {
  "dataset": "folder:" + EVIL,
  "num_real": 100,
  "num_synthetic": 1000,
  "seeds": 3,
  "primary": "vqvae",
  "judges": ["simple"],
  "prior": {"steps": 7},
}


def write(out, found, test_read="2025-01-02T03:04:05", **changes):
  sheets = {
    EVIL: np.zeros((8, 9), np.uint8),
    "../real": np.full((8, 9, 3), 7, np.uint8),
  }
  inputs = {
    "settings": SETTINGS,
    "gates": [GATE],
    "choices": {
      "seed 0": {"classical": {"chosen": "light", "among": {"light": 0.25}}}
    },
    "sheets": sheets,
    "class_names": NAMES,
    "multiplier": 10.0,
  } | changes
  report.write_report(out=out, results=found, test_read=test_read, **inputs)


@pytest.mark.parametrize(
  "scores, words",
  [
    (
      {"classical": (95,), "classical+vqvae": (96,)},
      "+1.00 percentage points of accuracy: one seed, no interval.",
    ),
    # An interval of no width would make two equal differences certain.
    (
      {"classical": (95, 96), "classical+vqvae": (95.5, 96.5)},
      "accuracy: same in every seed, no interval.",
    ),
    ({"classical": (95, 96), "classical+vqvae": (95, 96)}, "no gain."),
    ({"classical": (95, 96)}, "have no seed in common"),
    ({"classical+vqvae": (95, 96)}, "have no seed in common"),
    ({}, "have no seed in common"),
  ],
)
def test_where_there_is_no_answer(tmp_path, scores, words):
  write(tmp_path, results(scores, auroc=math.nan))
  text = (tmp_path / "report.md").read_text()
  assert words in text
  assert "nan" not in text


def test_unread_test_images(tmp_path):
  found = results(split="validation")
  write(tmp_path, found, test_read=None)
  text = (tmp_path / "report.md").read_text()
  assert "The test images have not been read." in text
  assert "(judge simple, validation images): +0.13" in text
  # Test scores count as soon as they were read, and no others.
  write(tmp_path, found + results({"classical": (1, 2)}))
  text = (tmp_path / "report.md").read_text()
  assert "images once, at 2025-01-02T03:04:05, after all of its choices" in text
  assert "95.33" not in text


def test_held_out_images_stand_beside_the_generated_ones(tmp_path):
  write(tmp_path, results())
  text = (tmp_path / "report.md").read_text()
  held_out = (
    "| held-out real images | 0.750 | n/a | 0.900 | n/a | 0.0200 | n/a |"
  )
  assert held_out in text
  assert "| vqvae | 0.500 | 0.500 | 1.000 | 0.500 | 0.0100 | 1.50 |" in text


def test_results_csv(tmp_path):
  write(tmp_path, results())
  text = (tmp_path / "results.csv").read_text()
  assert text.splitlines()[0] == (
    "arm,generator,multiplier,judge,seed,split,accuracy,balanced_accuracy,seconds"
  )
  rows = list(csv.DictReader(io.StringIO(text)))
  assert len(rows) == 18
  assert rows[-1] == {
    "arm": "classical+vqvae",
    "generator": "vqvae",
    "multiplier": "10.0",
    "judge": "simple",
    "seed": "2",
    "split": "test",
    "accuracy": repr(94.8 / 100),
    "balanced_accuracy": repr(94.8 / 100),
    "seconds": "12.0",
  }


class Page(html.parser.HTMLParser):
  """Tags and attributes; every tag that opens must close in order."""

  VOID = {"meta", "img"}

  def __init__(self, text):
    super().__init__()
    self.tags, self.links, self.text, self._open = [], [], "", []
    self.feed(text)
    assert not self._open

  def handle_starttag(self, tag, attrs):
    self.tags.append(tag)
    self.links += [v for k, v in attrs if k in ("src", "href", "srcset")]
    assert not [k for k, _ in attrs if k.startswith("on")]
    if tag not in self.VOID:
      self._open.append(tag)

  def handle_endtag(self, tag):
    assert self._open.pop() == tag

  def handle_data(self, data):
    self.text += data


def test_html_holds_all_and_runs_nothing(tmp_path):
  write(tmp_path, results())
  text = (tmp_path / "report.html").read_text()
  page = Page(text)
  known = "html head meta title style body h1 h2 h3 p div table thead tbody tr"
  assert set(page.tags) <= {
    *known.split(),
    "th",
    "td",
    "figure",
    "img",
    "figcaption",
  }
  assert page.tags.count("img") == len(page.links) == 3
  assert all(link.startswith("data:image/png;base64,") for link in page.links)
  assert "url(" not in text and "@import" not in text
  # The hostile name is there to be read, on one line and in order.
  shown = (
    "<script>alert('x')</script>\"|`[a](http://evil.example)\ufffd\ufffd # b"
  )
  assert f"{shown}: 81.0" in page.text
  assert "\u202e" not in text


def test_markdown_keeps_its_tables(tmp_path):
  write(tmp_path, results())
  text = (tmp_path / "report.md").read_text()
  assert "<script>" not in text and "\n# b" not in text
  tables_found = re.findall(r"(?:^\|.*\n?)+", text, re.M)
  assert len(tables_found) == 8
  for table in tables_found:
    columns = {
      len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()
    }
    assert len(columns) == 1
  links = re.findall(r"\]\((pictures/[\w.-]+)\)", text)
  assert len(links) == len(set(links)) == 3
  for link in links:
    with Image.open(tmp_path / link) as image:
      image.load()


def test_files_are_renamed_into_place(tmp_path, monkeypatch):
  written = []
  replace = report.replace
  monkeypatch.setattr(
    report, "replace", lambda p, c: (written.append(p), replace(p, c))
  )
  write(tmp_path, results())
  there = {p for p in tmp_path.rglob("*") if p.is_file()}
  assert there == {
    tmp_path / p.relative_to(tmp_path) for p in map(type(tmp_path), written)
  }
  assert {p.name for p in there} >= {"results.csv", "report.md", "report.html"}


def test_pages_align_numbers():
  table = report_pages.Table(["a", "b"], [["x", "-0.10 [-1.0, +2.0]"]])
  text = report_pages.to_html([report_pages.Heading("t", 1), table])
  assert '<td>x</td><td class="number">-0.10 [-1.0, +2.0]</td>' in text


def test_sweep_has_its_own_table(tmp_path):
  write(tmp_path, swept())
  text = (tmp_path / "report.md").read_text()
  arms, sweep = text.split("### Accuracy against multiplier")
  assert "61.33" in sweep and "61.33" not in arms
  assert (tmp_path / "pictures/sweep_simple.png").exists()
