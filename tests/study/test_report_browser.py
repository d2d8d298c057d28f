"""Reports in a browser: nothing overflows, no word is split, all is legible."""

import math

import browser
import pytest
from report_cases import (
  CHECKS,
  EVIL,
  NAMES,
  SETTINGS,
  make_samples,
  result,
  write,
)

WIDTHS = (1280, 400)
LONG = "x" * 60
WIDE = "W" * 60
WORDS = "a class of many words that are " * 2
HAN = "\u6f22" * 60

# What is wrong with a page, as a list of sentences.
MEASURE = r"""
(() => {
  const wrong = [];
  const say = (what, node) => wrong.push(
    what + ": " + (node.outerHTML || node.data).slice(0, 160));
  const root = document.documentElement;
  if (root.scrollWidth > innerWidth) wrong.push("page " + root.scrollWidth);
  document.querySelectorAll("details").forEach(d => { d.open = true; });
  if (root.scrollWidth > innerWidth) wrong.push("open " + root.scrollWidth);
  const shown = e => e.getClientRects().length > 0;
  const right = e => e.getBoundingClientRect().right;
  for (const e of document.body.querySelectorAll("*")) {
    if (!shown(e) || e.closest(".table") || e.closest("svg")) continue;
    if (right(e) > innerWidth + 0.5) say("right of the page", e);
    const hides = getComputedStyle(e).overflowX;
    if (e.scrollWidth > e.clientWidth + 1 && e.clientWidth
        && hides == "visible" && getComputedStyle(e).display != "inline")
      say("overflows", e);
  }
  for (const box of document.querySelectorAll(".table")) {
    if (innerWidth > 1000 && box.scrollWidth > box.clientWidth)
      say("scrolls " + box.scrollWidth, box);
    for (const cell of box.querySelectorAll("th, td")) {
      if (cell.scrollWidth > cell.clientWidth + 1) say("cell", cell);
      const end = box.getBoundingClientRect().left + box.scrollWidth;
      if (right(cell) > end + 0.5) say("out of its table", cell);
    }
  }
  // Words; those too long for any line are several texts.
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; node = walker.nextNode();) {
    if (node.parentElement.closest("svg, ol")) continue;
    const cell = node.parentElement.closest(".whole, code, td.number");
    // Signs and Han may be parted by any line's end.
    for (const word of node.data.matchAll(cell ? /\S+/g : /[\w+.,:]+/g)) {
      const range = document.createRange();
      range.setStart(node, word.index);
      range.setEnd(node, word.index + word[0].length);
      const tops = new Set([...range.getClientRects()].map(r => r.top));
      if (tops.size > 1) say("split " + word[0], node.parentElement);
    }
  }
  // Drawings: all text inside, large enough, and none over another.
  let drawings = 0;
  for (const svg of document.querySelectorAll("svg")) {
    if (!shown(svg)) continue;
    drawings++;
    const box = svg.getBoundingClientRect(), texts = [];
    const factor = svg.getScreenCTM().a;
    for (const text of svg.querySelectorAll("text")) {
      const r = text.getBoundingClientRect();
      const size = parseFloat(getComputedStyle(text).fontSize) * factor;
      if (size < 11) say("small " + size, text);
      if (r.left < box.left - 0.5 || r.right > box.right + 0.5
          || r.bottom > box.bottom + 0.5) say("out of its drawing", text);
      for (const o of texts)
        if (r.left < o.right - 1 && o.left < r.right - 1
            && r.top < o.bottom - 3 && o.top < r.bottom - 3)
          say("over another text", text);
      texts.push(r);
    }
  }
  const names = document.querySelectorAll(".named");
  for (const named of names) {
    const img = named.querySelector("img").getBoundingClientRect();
    const items = [...named.querySelectorAll("li")];
    items.forEach((li, i) => {
      const r = li.getBoundingClientRect();
      const middle = img.top + (i + 0.5) * img.height / items.length;
      if (Math.abs((r.top + r.bottom) / 2 - middle) > 3) say("off its row", li);
    });
  }
  return {wrong, drawings, grids: names.length};
})()
"""
# The least contrast of any text against the page, after WCAG 2.
CONTRAST = r"""
(() => {
  const light = color => {
    const [r, g, b] = color.match(/[\d.]+/g).slice(0, 3).map(v => {
      v /= 255;
      return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const ground = light(getComputedStyle(document.body).backgroundColor);
  const of = (what, property) => Math.min(
    ...[...document.querySelectorAll(what)].map(
      e => ratio(ground, light(getComputedStyle(e)[property]))));
  return {
    ground,
    text: of("h1, h2, p, td, th, li, a, summary, figcaption", "color"),
    drawn: of("svg text", "fill"),
    marks: of("svg .mark", "fill"),
    lines: of("svg .bar", "stroke"),
  };
})()
"""


def runs(generators, num_classes=2, seeds=3, splits=("test",), **changes):
  """Arms of several generators, one of them far below the others."""
  arms = {"real": 95.9, "classical": 97.5, "repeated": 95.8}
  for i, generator in enumerate(generators):
    arms[generator] = 96.5 - 0.2 * i if i != 1 else 83.84
    arms[f"real+{generator}"] = 96.9 - 0.1 * i
    arms[f"classical+{generator}"] = 97.6 - 0.1 * i
  return [
    result(arm, seed, mean + 0.1 * math.sin(7 * seed + i))
    | {"generator": arm.rpartition("+")[2] if i > 2 else ""}
    | {"multiplier": 10.0 if i > 1 else 0.0, "split": split}
    | {"recall": [0.9] * num_classes}
    | changes
    for split in splits
    for i, (arm, mean) in enumerate(arms.items())
    for seed in range(seeds)
  ]


def sweep(generator, num_classes=2):
  return [
    result(arm, seed, mean - 3 / size + 0.2 * seed)
    | {"generator": generator, "multiplier": float(size)}
    | {"recall": [0.9] * num_classes}
    for arm, mean in ((generator, 96), (f"classical+{generator}", 97))
    for size in (1, 2, 5, 9, 20, 50)
    for seed in range(3)
  ]


def case(generators, found, class_names=NAMES, **changes):
  """Arguments of a report."""
  checks = [CHECKS | {"generator": g, "count": 10000} for g in generators]
  return {
    "settings": SETTINGS | {"primary": generators[0]},
    "found": found,
    "checks": checks,
    "samples": make_samples(class_names, generators),
    "class_names": class_names,
  } | changes


ALL = (
  "vqvae vqvae-perturb vqvae-mix vqvae-inpaint ae vae vae-walk beta_vae dcgan"
)
SOME = ["vqvae", "dcgan", "vae"]


def cases():
  everything = ALL.split()
  many = [f"class number {i}" for i in range(60)]
  long = [LONG, WIDE, WORDS, HAN, "a/b-c_d.e+f" * 6, EVIL]
  balanced = {"balanced_accuracy": 0.5}
  yield "usual", case(SOME, runs(SOME))
  yield (
    "every generator, two classifiers",
    case(
      everything,
      runs(everything) + runs(everything, classifier="tuned") + sweep("vqvae"),
    ),
  )
  yield "many classes", case(SOME, runs(SOME, 60), many)
  yield "long classes", case(SOME, runs(SOME, 6, **balanced), long)
  names = [LONG, WIDE, EVIL, HAN]
  yield "long generators", case(names, runs(names) + sweep(LONG) + sweep(WIDE))
  yield (
    "one class, one seed",
    case(SOME, runs(SOME, 1, 1, auroc=math.nan), ["cat"]),
  )
  yield (
    "no test images",
    case(SOME, runs(SOME, splits=("validation",)), test_read=None),
  )
  nothing = {"accuracy": math.nan, "balanced_accuracy": math.nan}
  nothing |= {"auroc": math.nan, "recall": [math.nan] * 2}
  yield "no numbers", case(SOME, runs(SOME, **nothing))
  yield "no runs", case(SOME, [], checks=[], samples={}, choices={})


@pytest.fixture(scope="module")
def page(tmp_path_factory):
  program = browser.find()
  if program is None:
    pytest.skip("there is no Chromium to open the report in")
  try:
    found = browser.Browser(program, tmp_path_factory.mktemp("profile"))
  except (OSError, RuntimeError) as error:
    pytest.skip(f"{program} does not start: {error}")
  yield found
  found.close()


CASES = dict(cases())


@pytest.mark.parametrize("name", CASES)
def test_reports_fit(page, tmp_path, name):
  write(tmp_path, **CASES[name])
  url = (tmp_path / "report.html").as_uri()
  for width in WIDTHS:
    page.open(url, width)
    found = page.run(MEASURE)
    assert found["wrong"] == []
    assert page.complaints() == [f"request: {url}"]
    if name == "usual":
      # What is measured is there.
      assert (found["drawings"], found["grids"]) == (1, 9)


def test_reports_are_legible_by_day_and_by_night(page, tmp_path):
  write(tmp_path, **CASES["usual"])
  url = (tmp_path / "report.html").as_uri()
  for dark in (False, True):
    page.open(url, 1280, dark)
    found = page.run(CONTRAST)
    assert (found["ground"] < 0.02) == dark
    assert found["text"] >= 4.5 and found["drawn"] >= 4.5
    assert found["marks"] >= 3 and found["lines"] >= 3
  # On paper it is day, and what is folded is printed.
  page.open(url, 800, dark=True, media="print")
  assert page.run(CONTRAST)["ground"] == 1
  height = "document.querySelector('details p').getBoundingClientRect().height"
  assert page.run(height) > 10
  # The drawing that stands beside the Markdown.
  page.open((tmp_path / "pictures/arms_simple.svg").as_uri(), 1280, True)
  assert page.complaints()[1:] == []
  ground = "getComputedStyle(document.querySelector('rect')).fill"
  assert page.run(ground) == "rgb(23, 24, 27)"


def test_what_does_not_fit_is_found(page, tmp_path):
  # Else the tests above would tell nothing.
  write(tmp_path, **CASES["long classes"])
  text = (tmp_path / "report.html").read_text()
  for change, word in (
    ((".table { overflow-x: auto", ".table { overflow-x: visible"), "page"),
    (("td { max-width: 30rem; }", "td { overflow-wrap: anywhere; }"), "split"),
    (("<wbr>", ""), "scrolls"),
  ):
    assert change[0] in text
    (tmp_path / "broken.html").write_text(text.replace(*change))
    url = (tmp_path / "broken.html").as_uri()
    found = []
    for width in WIDTHS:
      page.open(url, width)
      found += page.run(MEASURE)["wrong"]
    assert any(sentence.startswith(word) for sentence in found), word
