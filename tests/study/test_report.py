"""The report's files: what they say, hostile names, whole or absent."""

import csv
import html.parser
import io
import math
import re
import xml.etree.ElementTree as ElementTree

import pytest
from PIL import Image
from report_cases import CHECKS, EVIL, results, swept, write

from vqvae_jax.study.report import blocks, text
from vqvae_jax.study.report import write as writer
from vqvae_jax.study.report.html import to_html


@pytest.mark.parametrize(
  "scores, words",
  [
    ({"classical": (95,), "classical+vqvae": (96,)}, "(1 seed, no interval)."),
    # An interval of no width would make two equal differences certain.
    (
      {"classical": (95, 96), "classical+vqvae": (95.5, 96.5)},
      "(2 seeds, no interval).",
    ),
    ({"classical": (95, 96)}, "have no seed in common"),
    ({"classical+vqvae": (95, 96)}, "have no seed in common"),
    ({"classical": (95, math.nan), "classical+vqvae": (math.nan, 96)}, ""),
    ({}, "have no seed in common"),
  ],
)
def test_where_there_is_no_answer(tmp_path, scores, words):
  write(tmp_path, results(scores, auroc=math.nan))
  text = (tmp_path / "report.md").read_text()
  assert "## No answer." in text and words in text
  assert "nan" not in text and "inf" not in text.replace("info", "")
  page = (tmp_path / "report.html").read_text()
  assert ">nan" not in page and ">inf" not in page


def test_equal_arms_are_no_gain(tmp_path):
  write(tmp_path, results({"classical": (95, 96), "classical+vqvae": (95, 96)}))
  assert "## No measurable gain." in (tmp_path / "report.md").read_text()


def test_the_answer_comes_first_and_the_rest_is_folded(tmp_path):
  write(tmp_path, swept())
  for name, front in (("report.md", "# Do gen"), ("report.html", "<h1>Do gen")):
    text = (tmp_path / name).read_text()
    places = [
      text.index(words)
      for words in (
        front,
        "No measurable gain.",
        "Accuracy by arm, classifier simple",
        "Samples",
        "Accuracy of every arm",
        "How to read this report",
        "Quality checks",
        "All settings",
        "Time taken",
      )
    ]
    assert places == sorted(places)
    # One table stands open.
    table = "| arm |" if name == "report.md" else "<table>"
    assert text[: text.index("<details>")].count(table) == 1


def test_unread_test_images(tmp_path):
  found = results(split="validation")
  write(tmp_path, found, test_read=None)
  text = (tmp_path / "report.md").read_text()
  assert "The test images have not been read." in text
  assert "accuracy on validation images by +0.13 points" in text
  # Test scores count as soon as they were read, and no others.
  write(tmp_path, found + results({"classical": (1, 2)}))
  text = (tmp_path / "report.md").read_text()
  assert "read once, on 2 January 2025, 03:04 UTC, after all choices" in text
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
    "arm,generator,multiplier,classifier,seed,split,accuracy,balanced_accuracy,seconds"
  )
  rows = list(csv.DictReader(io.StringIO(text)))
  assert len(rows) == 18
  assert rows[-1] == {
    "arm": "classical+vqvae",
    "generator": "vqvae",
    "multiplier": "10.0",
    "classifier": "simple",
    "seed": "2",
    "split": "test",
    "accuracy": repr(94.8 / 100),
    "balanced_accuracy": repr(94.8 / 100),
    "seconds": "12.0",
  }


class Page(html.parser.HTMLParser):
  """Tags and attributes; every tag that opens must close in order."""

  VOID = {"meta", "img", "wbr"}

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

  def handle_startendtag(self, tag, attrs):
    self.handle_starttag(tag, attrs)
    self.handle_endtag(tag)

  def handle_endtag(self, tag):
    assert self._open.pop() == tag

  def handle_data(self, data):
    self.text += data


def test_html_holds_all_and_runs_nothing(tmp_path):
  write(tmp_path, swept())
  text = (tmp_path / "report.html").read_text()
  page = Page(text)
  known = """html head meta title style body h1 h2 p a div table thead tbody tr
    th td figure img figcaption ol li strong code details summary wbr svg g path
    line text"""
  assert set(page.tags) <= set(known.split())
  assert page.tags.count("img") == 5
  pictures = [link for link in page.links if link.startswith("data:image/png;")]
  assert len(pictures) == 5
  assert set(page.links) - set(pictures) == {"results.csv", "report.md"}
  assert "url(" not in text and "@import" not in text
  assert "default-src 'none'" in text
  # The hostile name is there to be read, on one line and in order.
  shown = (
    "<script>alert('x')</script>\"|`[a](http://evil.example)\ufffd\ufffd # b"
  )
  assert f"{shown}: 81.0" in page.text
  assert "\u202e" not in text


def test_drawings_are_files_of_their_own_and_run_nothing(tmp_path):
  found = swept() + results(
    {f"real+{EVIL}": (90, 91, 92), f"{EVIL}": (80, 91, 92)}, generator=EVIL
  )
  write(tmp_path, found)
  for name in ("arms_simple.svg", "sweep_simple.svg"):
    root = ElementTree.parse(tmp_path / "pictures" / name).getroot()
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert tags <= {"svg", "style", "rect", "g", "path", "line", "text"}
    for element in root.iter():
      assert not {"href", "onload", "onclick"} & set(element.attrib)
  words = " ".join(
    ElementTree.parse(tmp_path / "pictures/arms_simple.svg")
    .getroot()
    .itertext()
  )
  assert "real+<script>alert" in words


def test_markdown_keeps_its_tables(tmp_path):
  write(tmp_path, results())
  text = (tmp_path / "report.md").read_text()
  assert "<script>" not in text and "\n# b" not in text
  assert "](http://evil" not in re.sub(r"\\.", "", text)
  tables_found = re.findall(r"(?:^\|.*\n?)+", text, re.M)
  # Samples side by side, arms, recall, three of checks, choices, settings,
  # seconds.
  assert len(tables_found) == 9
  for table in tables_found:
    columns = {
      len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()
    }
    assert len(columns) == 1
  # HTML in Markdown holds Markdown only after an empty line.
  assert text.count("<details>") == text.count("</details>") == 7
  assert text.count("</summary>\n\n") == text.count("\n\n</details>") == 7
  links = re.findall(r"\]\((pictures/[\w.-]+)\)", text)
  assert len(links) == len(set(links)) == 6
  for link in links:
    if link.endswith(".svg"):
      ElementTree.parse(tmp_path / link)
    else:
      with Image.open(tmp_path / link) as image:
        image.load()


def test_sheets_are_named(tmp_path):
  write(tmp_path, results())
  page = (tmp_path / "report.html").read_text()
  head = page[: page.index("<details>")]
  # Real and generated images, then the copies; others are folded.
  assert head.count("<img") == 3 and page.count("<img") == 5
  alts = re.findall(r'alt="([^"]*)"', head)
  assert alts[0].startswith("Real images: 2 rows of 3 images, named cat, ")
  assert alts[2] == (
    "Likeliest copies of vqvae: 4 rows of 8 images, named generated, "
    "nearest real"
  )
  assert head.count(">nearest real</li>") == 2
  assert "25.0\u00a0% of the images of vqvae are nearer" in head


def test_files_are_renamed_into_place(tmp_path, monkeypatch):
  written = []
  replace = writer.replace
  monkeypatch.setattr(
    writer, "replace", lambda p, c: (written.append(p), replace(p, c))
  )
  write(tmp_path, results())
  there = {p for p in tmp_path.rglob("*") if p.is_file()}
  assert there == {
    tmp_path / p.relative_to(tmp_path) for p in map(type(tmp_path), written)
  }
  assert {p.name for p in there} >= {"results.csv", "report.md", "report.html"}


def test_pages_align_numbers():
  table = blocks.Table(["a", "b"], [["x", "-0.10 [-1.0, +2.0]"]])
  text = to_html([blocks.Heading("t", 1), table])
  assert '<td class="number">-0.10 [-1.0, +2.0]</td>' in text


def test_sweep_has_its_own_table(tmp_path):
  write(tmp_path, swept())
  text = (tmp_path / "report.md").read_text()
  arms, sweep = text.split("<summary>Accuracy by multiplier")
  assert "61.33" in sweep and "61.33" not in arms
  assert (tmp_path / "pictures/sweep_simple.svg").exists()


@pytest.mark.parametrize(
  ("dataset", "name"),
  [
    ("mnist", "mnist"),
    ("beans/x:1.0", "beans/x:1.0"),
    ("folder:photos", "photos"),
    ("folder:/home/me/my photos/", "my photos"),
    ("folder:~/photos", "photos"),
    ("folder:C:\\Users\\me\\photos", "photos"),
    ("npz:/home/me/x.npz", "x.npz"),
    ("tfds-dir:/home/me/beans/1.0.0", "1.0.0"),
    ("folder:/", "folder:/"),
  ],
)
def test_titles_do_not_tell_where_a_data_set_lies(dataset, name):
  assert text.dataset_name(dataset) == name


def test_large_numbers_have_separators(tmp_path):
  write(tmp_path, results(), checks=[CHECKS | {"count": 12345}])
  text = (tmp_path / "report.md").read_text()
  assert "| vqvae | 12,345 |" in text
  assert "| prior.steps | 2,000 |" in text
  assert "100 real images" in text and "1,000 generated images" in text
