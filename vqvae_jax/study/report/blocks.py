"""A report as a list of blocks, which are written as HTML and as Markdown.

Names come from users' folders. Blocks hold plain text, and each writer escapes
it.
"""

import dataclasses
import html
import re
from collections.abc import Iterator, Mapping, Sequence

# A name in backticks, such as the name of an arm, if it needs no escaping.
CODE = re.compile(r"\\?`([\w+.=-]+)\\?`")


@dataclasses.dataclass(frozen=True)
class Heading:
  """The title of the report (level 1) or of a section (level 2)."""

  text: str
  level: int = 2


@dataclasses.dataclass(frozen=True)
class Paragraph:
  """Plain text, with names of arms in backticks."""

  text: str


@dataclasses.dataclass(frozen=True)
class Answer:
  """The result of the study: a few large words, and sentences below them."""

  headline: str
  text: str


@dataclasses.dataclass(frozen=True)
class Links:
  """Links to files in the folder of the report."""

  text: str
  names: Sequence[str]


@dataclasses.dataclass(frozen=True)
class Table:
  """A table of text; columns whose cells are all numbers are right-aligned."""

  header: Sequence[str]
  rows: Sequence[Sequence[str]]

  @classmethod
  def of_columns(cls, columns: Mapping[str, Sequence[str]]) -> "Table":
    """Returns the table with these columns, by the name in the header."""
    rows = zip(*columns.values(), strict=True)
    return cls(list(columns), [list(row) for row in rows])


@dataclasses.dataclass(frozen=True)
class Plot:
  """A drawing for wide pages and one for phones, as SVG.

  Attributes:
    name: name of its file, without the suffix.
    title: what the plot shows.
    wide: the drawing for wide pages, as an element of a page.
    narrow: the drawing for phones, as an element of a page.
    file: the wide drawing as a file of its own.
  """

  name: str
  title: str
  wide: str
  narrow: str
  file: str


@dataclasses.dataclass(frozen=True)
class Picture:
  """A sample grid: rows of images with names.

  Attributes:
    name: name of its file, without the suffix.
    title: what the images are, in a few words.
    text: what the reader can see in them; may be empty.
    alt: a description for readers who cannot see the picture.
    png: the images alone; all rows have the same height.
    named_png: the images with the names of the rows beside them.
    row_names: the names of the rows, from top to bottom.
  """

  name: str
  title: str
  text: str
  alt: str
  png: bytes
  named_png: bytes
  row_names: Sequence[str]


@dataclasses.dataclass(frozen=True)
class Pictures:
  """Pictures side by side, where the page is wide enough."""

  pictures: Sequence[Picture]


@dataclasses.dataclass(frozen=True)
class Details:
  """Blocks that stay folded until the reader opens them."""

  title: str
  blocks: Sequence["Block"]


Block = Heading | Paragraph | Answer | Links | Table | Plot | Pictures | Details


def files(blocks: Sequence[Block]) -> Iterator[tuple[str, bytes]]:
  """Yields names and contents of the pictures that the Markdown links to."""
  for block in blocks:
    match block:
      case Details(_, inner):
        yield from files(inner)
      case Plot():
        yield f"{block.name}.svg", block.file.encode()
      case Pictures(pictures):
        for picture in pictures:
          yield f"{picture.name}.png", picture.named_png


def clean(text: str) -> str:
  """Returns text as one line, without characters that hide or reorder text."""
  line = " ".join(str(text).split())
  return "".join(c if c.isprintable() else "\ufffd" for c in line)


def escape(text: str) -> str:
  """Returns text without meaning to HTML and SVG, also inside attributes."""
  return html.escape(clean(text), quote=True)
