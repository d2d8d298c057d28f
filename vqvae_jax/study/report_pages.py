"""A report as blocks, and the blocks as one HTML file.

Names come from users' folders: all text of pages and drawings is escaped here,
that of Markdown in `report_markdown`.
"""

import base64
import dataclasses
import html
import re
from collections.abc import Iterator, Sequence

from vqvae_jax.study.report_style import STYLE

# Nothing is loaded or run, whatever a name may hold.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
NUMBER = re.compile(r"[+\-<]?[\d.,]+( %| \[.*\]| \(.*\))?|n/a|-|")
# A name in backticks, such as that of an arm, if it needs no escaping.
CODE = re.compile(r"\\?`([\w+.=-]+)\\?`")
# Words up to this long stay whole, in a table on a phone, too.
LONGEST_WORD = 30
PIECE = 12


@dataclasses.dataclass(frozen=True)
class Heading:
  """Of a section; level 1 is the title."""

  text: str
  level: int = 2


@dataclasses.dataclass(frozen=True)
class Paragraph:
  """Plain text, with names of arms in backticks."""

  text: str


@dataclasses.dataclass(frozen=True)
class Answer:
  """What the study found: a few large words, and sentences below them."""

  headline: str
  text: str


@dataclasses.dataclass(frozen=True)
class Links:
  """To files in the folder of the report."""

  text: str
  names: Sequence[str]


@dataclasses.dataclass(frozen=True)
class Table:
  """Columns whose cells are all numbers are set to the right."""

  header: Sequence[str]
  rows: Sequence[Sequence[str]]


@dataclasses.dataclass(frozen=True)
class Plot:
  """A drawing for wide pages and one for phones, as elements of SVG.

  Attributes:
    name: of its file, without the suffix.
    title: what it shows.
    wide, narrow: drawings from `report_plots`.
    file: the wide one as a file of its own.
  """

  name: str
  title: str
  wide: str
  narrow: str
  file: str


@dataclasses.dataclass(frozen=True)
class Picture:
  """Rows of images.

  Attributes:
    name: of its file, without the suffix.
    title: what it is, in a few words.
    text: what to see in it; may be empty.
    alt: the same for those who cannot see it.
    png: the images alone, all rows of the same height.
    named_png: with the names of the rows drawn beside them.
    row_names: of each row, from top to bottom.
  """

  name: str
  title: str
  text: str
  alt: str
  png: bytes
  named_png: bytes
  row_names: Sequence[str]


@dataclasses.dataclass(frozen=True)
class Beside:
  """Pictures side by side, where there is room."""

  pictures: Sequence[Picture]


@dataclasses.dataclass(frozen=True)
class Details:
  """What is folded until somebody asks for it."""

  title: str
  blocks: Sequence["Block"]


Block = (
  Heading
  | Paragraph
  | Answer
  | Links
  | Table
  | Plot
  | Picture
  | Beside
  | Details
)


def to_html(blocks: Sequence[Block]) -> str:
  """One file that needs no other: pictures are in it, scripts are not."""
  title = next(block.text for block in blocks if isinstance(block, Heading))
  body = "\n".join(_html(block) for block in blocks)
  return (
    '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
    '<meta name="viewport" content="width=device-width">\n'
    '<meta name="color-scheme" content="light dark">\n'
    f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
    f"<body>\n{body}\n</body>\n</html>\n"
  )


def picture_files(blocks: Sequence[Block]) -> Iterator[tuple[str, bytes]]:
  """Names and contents of the files that the Markdown shows."""
  for block in blocks:
    match block:
      case Details(_, inner) | Beside(inner):
        yield from picture_files(inner)
      case Plot():
        yield f"{block.name}.svg", block.file.encode()
      case Picture():
        yield f"{block.name}.png", block.named_png


def clean(text: str) -> str:
  """On one line; what cannot be shown, or hides other text, is replaced."""
  line = " ".join(str(text).split())
  return "".join(c if c.isprintable() else "\ufffd" for c in line)


def escape(text: str) -> str:
  """Text that means nothing to HTML and SVG, in attributes, too."""
  return html.escape(clean(text), quote=True)


def _html(block):
  match block:
    case Heading(text, level):
      return f"<h{level}>{_words(text)}</h{level}>"
    case Paragraph(text):
      return f"<p>{_words(text)}</p>"
    case Answer(headline, text):
      return (
        f'<div class="answer"><p class="headline">{_words(headline)}</p>'
        f"<p>{_words(text)}</p></div>"
      )
    case Links(text, names):
      links = ", ".join(f'<a href="{n}">{n}</a>' for n in map(escape, names))
      return f'<p class="files">{_words(text)} {links}</p>'
    case Plot(_, title, wide, narrow):
      return (
        f'<figure class="plot">{wide}{narrow}'
        f"<figcaption>{_words(title)}</figcaption></figure>"
      )
    case Picture():
      return _html_picture(block)
    case Beside(pictures):
      return '<div class="beside">' + "".join(map(_html, pictures)) + "</div>"
    case Details(title, blocks):
      inner = "\n".join(map(_html, blocks))
      return (
        f"<details>\n<summary>{_words(title)}</summary>\n{inner}\n</details>"
      )
    case Table(header, rows):
      return _html_table(header, rows)


def _html_picture(picture):
  data = base64.b64encode(picture.png).decode()
  names = "".join(
    f'<li title="{escape(name)}">{escape(name)}</li>'
    for name in picture.row_names
  )
  text = f" {_words(picture.text)}" if picture.text else ""
  return (
    '<figure class="sheet"><figcaption>'
    f"<strong>{_words(picture.title)}</strong>{text}</figcaption>"
    f'<div class="named"><ol>{names}</ol>'
    f'<img src="data:image/png;base64,{data}" alt="{escape(picture.alt)}">'
    "</div></figure>"
  )


def _html_table(header, rows):
  kinds = [
    ' class="number"' if all(map(_is_number, column)) else ""
    for column in zip(*rows, strict=True)
  ] or [""] * len(header)
  kinds[0] = ' class="name"'
  if all(len(row[0]) <= LONGEST_WORD for row in rows):
    kinds[0] = ' class="name whole"'
  lines = [_row("th", header, kinds)] + [_row("td", row, kinds) for row in rows]
  table = "\n".join(
    ["<thead>", lines[0], "</thead>", "<tbody>", *lines[1:], "</tbody>"]
  )
  # To be scrolled without a mouse, too.
  return f'<div class="table" tabindex="0"><table>\n{table}\n</table></div>'


def _row(tag, cells, kinds):
  return (
    "<tr>"
    + "".join(
      f"<{tag}{kind}>{_words(cell)}</{tag}>"
      for cell, kind in zip(cells, kinds, strict=True)
    )
    + "</tr>"
  )


def _is_number(cell):
  return NUMBER.fullmatch(cell) is not None


def _words(text):
  """Escaped; words too long for a line may be broken, others may not."""
  words = re.sub(r"(?<=\d) %", "\u00a0%", clean(text)).split(" ")
  return CODE.sub(r"<code>\1</code>", " ".join(map(_word, words)))


def _word(word):
  if len(word) <= LONGEST_WORD:
    return html.escape(word)
  pieces = [word[i : i + PIECE] for i in range(0, len(word), PIECE)]
  return "<wbr>".join(html.escape(piece) for piece in pieces)
