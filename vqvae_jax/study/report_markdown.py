"""The blocks of a report as Markdown, for forges that show such files."""

import html
import re
from collections.abc import Sequence

from vqvae_jax.study.report_pages import (
  CODE,
  Answer,
  Beside,
  Block,
  Details,
  Heading,
  Links,
  Paragraph,
  Picture,
  Plot,
  Table,
  clean,
  escape,
)


def to_markdown(blocks: Sequence[Block], folder: str) -> str:
  """Markdown with links to the pictures in a folder beside it."""
  return "\n\n".join(_markdown(block, folder) for block in blocks) + "\n"


def _markdown(block, folder):
  match block:
    case Heading(text, level):
      return f"{'#' * level} {_escape_markdown(text)}"
    case Paragraph(text):
      return _escape_markdown(text)
    case Answer(headline, text):
      return f"## {_escape_markdown(headline)}\n\n{_escape_markdown(text)}"
    case Links(text, names):
      links = ", ".join(f"[{name}]({name})" for name in names)
      return f"{_escape_markdown(text)} {links}"
    case Plot(name, title):
      text = _escape_markdown(title)
      return f"![{text}]({folder}/{name}.svg)\n\n{text}"
    case Picture():
      return f"{_caption(block)}\n\n{_link(block, folder)}"
    case Beside(pictures):
      return _markdown_table(
        map(_caption, pictures), [[_link(p, folder) for p in pictures]]
      )
    case Details(title, blocks):
      inner = to_markdown(blocks, folder)
      return (
        f"<details>\n<summary>{escape(title)}</summary>\n\n{inner}\n</details>"
      )
    case Table(header, rows):
      return _markdown_table(
        map(_escape_markdown, header),
        [list(map(_escape_markdown, row)) for row in rows],
      )


def _caption(picture):
  text = f"{picture.title}: {picture.text}" if picture.text else picture.title
  return _escape_markdown(text)


def _link(picture, folder):
  return f"![{_escape_markdown(picture.alt)}]({folder}/{picture.name}.png)"


def _markdown_table(header, rows):
  header = list(header)
  lines = [header, ["---"] * len(header), *rows]
  return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _escape_markdown(text):
  text = html.escape(clean(text), quote=False)
  return CODE.sub(r"`\1`", re.sub(r"[\\`*_\[\]|~$#]", r"\\\g<0>", text))
