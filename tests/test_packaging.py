"""The package's metadata, and the links of its pages."""

import pathlib
import re
import tomllib

import pytest

import vqvae_jax

ROOT = pathlib.Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PAGES = sorted(
  page.relative_to(ROOT).as_posix()
  for folder in (ROOT, ROOT / "docs")
  for page in folder.glob("*.md")
)


def requirements(lines):
  """Lines without comments, in one spelling."""
  return {
    re.sub(r"\s", "", line).replace("'", '"')
    for line in lines
    if line.strip() and not line.startswith("#")
  }


def anchors(text):
  """The anchors that a forge makes of a page's headings."""
  headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
  return {
    re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
    for heading in headings
  }


def test_requirements_are_those_of_the_package_and_three_extras():
  extras = PROJECT["optional-dependencies"]
  wanted = requirements(PROJECT["dependencies"])
  for name in ("tfds", "study", "test"):
    wanted |= requirements(extras[name])
  assert wanted == requirements(
    (ROOT / "requirements.txt").read_text().splitlines()
  )


def test_the_version_is_the_same_everywhere():
  citation = (ROOT / "CITATION.cff").read_text()
  assert f"\nversion: {vqvae_jax.__version__}\n" in citation
  changes = (ROOT / "CHANGELOG.md").read_text()
  assert re.search(r"^## (\S+)", changes, re.MULTILINE)[1] == (
    vqvae_jax.__version__
  )


def test_scripts_name_functions():
  for target in PROJECT["scripts"].values():
    module, name = target.split(":")
    __import__(module)
    assert callable(getattr(__import__("sys").modules[module], name))


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
  text = (ROOT / page).read_text()
  prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
  found = re.findall(r"\]\(([^)\s]+)\)", prose)
  for link in found:
    if "://" in link or link.startswith("mailto:"):
      continue
    path, _, anchor = link.partition("#")
    target = (ROOT / page).parent / path if path else ROOT / page
    assert target.exists(), f"{page} links to {link}"
    if anchor:
      assert anchor in anchors(target.read_text()), f"{page}: {link}"


def test_the_readme_is_one_screen_of_a_repository():
  assert len((ROOT / "README.md").read_text().splitlines()) <= 150
