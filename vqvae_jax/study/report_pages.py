"""A report as blocks, and the blocks as Markdown and as one HTML file.

Names come from users' folders: all text is escaped here, and nowhere else.
"""

import base64
import dataclasses
import html
import re
from collections.abc import Sequence

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a;
  background: #fff; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; } h2 { font-size: 1.3rem; margin-top: 2.5rem; }
h3 { font-size: 1.05rem; margin-bottom: 0.3rem; }
p { max-width: 46rem; }
.answer { font-size: 1.2rem; border-left: 4px solid #0072b2;
  padding-left: 1rem; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.85rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.7rem; text-align: left; vertical-align: top;
  border-bottom: 1px solid #ddd; }
th { border-bottom: 2px solid #888; vertical-align: bottom; }
td { max-width: 30rem; overflow-wrap: anywhere; }
td.number { white-space: nowrap; text-align: right; }
th.number { text-align: right; }
figure { margin: 1rem 0; } img { max-width: 100%; height: auto; }
figcaption { font-size: 0.9rem; color: #444; }
"""
# Nothing is loaded or run, whatever a name may hold.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
NUMBER = re.compile(r"[+\-<]?[\d.]+( %| \[.*\]| \(.*\))?|n/a|-|")


@dataclasses.dataclass(frozen=True)
class Heading:
  """Of a section; level 1 is the title."""

  text: str
  level: int = 2


@dataclasses.dataclass(frozen=True)
class Paragraph:
  """Plain text; the answer stands out."""

  text: str
  answer: bool = False


@dataclasses.dataclass(frozen=True)
class Table:
  """Columns whose cells are all numbers are set to the right."""

  header: Sequence[str]
  rows: Sequence[Sequence[str]]


@dataclasses.dataclass(frozen=True)
class Picture:
  """A PNG file, its name in the folder of pictures, and what it shows."""

  name: str
  png: bytes
  title: str


Block = Heading | Paragraph | Table | Picture


def to_html(blocks: Sequence[Block]) -> str:
  """One file that needs no other: pictures are in it, scripts are not."""
  title = next(block.text for block in blocks if isinstance(block, Heading))
  body = "\n".join(_html(block) for block in blocks)
  return (
    '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
    '<meta name="viewport" content="width=device-width">\n'
    f"<title>{_escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
    f"<body>\n{body}\n</body>\n</html>\n"
  )


def to_markdown(blocks: Sequence[Block], folder: str) -> str:
  """Markdown with links to the pictures in a folder beside it."""
  return "\n\n".join(_markdown(block, folder) for block in blocks) + "\n"


def clean(text: str) -> str:
  """On one line; what cannot be shown, or hides other text, is replaced."""
  line = " ".join(str(text).split())
  return "".join(c if c.isprintable() else "\ufffd" for c in line)


def _html(block):
  match block:
    case Heading(text, level):
      return f"<h{level}>{_escape(text)}</h{level}>"
    case Paragraph(text, answer):
      kind = ' class="answer"' if answer else ""
      return f"<p{kind}>{_escape(text)}</p>"
    case Picture(_, png, title):
      data = base64.b64encode(png).decode()
      return (
        f'<figure><img src="data:image/png;base64,{data}" '
        f'alt="{_escape(title)}">'
        f"<figcaption>{_escape(title)}</figcaption></figure>"
      )
    case Table(header, rows):
      kinds = [
        ' class="number"' if all(map(_is_number, column)) else ""
        for column in zip(*rows, strict=True)
      ] or [""] * len(header)
      lines = [_row("th", header, kinds)] + [
        _row("td", row, kinds) for row in rows
      ]
      table = "\n".join(
        ["<thead>", lines[0], "</thead>", "<tbody>", *lines[1:], "</tbody>"]
      )
      return f'<div class="table"><table>\n{table}\n</table></div>'


def _row(tag, cells, kinds):
  return (
    "<tr>"
    + "".join(
      f"<{tag}{kind}>{_escape(cell)}</{tag}>"
      for cell, kind in zip(cells, kinds, strict=True)
    )
    + "</tr>"
  )


def _is_number(cell):
  return NUMBER.fullmatch(cell) is not None


def _escape(text):
  return html.escape(clean(text), quote=True)


def _markdown(block, folder):
  match block:
    case Heading(text, level):
      return f"{'#' * level} {_escape_markdown(text)}"
    case Paragraph(text, answer):
      text = _escape_markdown(text)
      return f"**{text}**" if answer else text
    case Picture(name, _, title):
      text = _escape_markdown(title)
      return f"![{text}]({folder}/{name})\n\n{text}"
    case Table(header, rows):
      lines = [_markdown_row(header), "|" + " --- |" * len(header)]
      return "\n".join(lines + [_markdown_row(row) for row in rows])


def _markdown_row(cells):
  return "| " + " | ".join(map(_escape_markdown, cells)) + " |"


def _escape_markdown(text):
  return re.sub(
    r"[\\`*_\[\]|~$]", r"\\\g<0>", html.escape(clean(text), quote=False)
  )
