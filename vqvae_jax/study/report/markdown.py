"""Writes the blocks of a report as Markdown."""

import html
import re
from collections.abc import Iterable, Sequence

from vqvae_jax.study.report import blocks
from vqvae_jax.study.report.blocks import CODE, clean, escape


def to_markdown(content: Sequence[blocks.Block], folder: str) -> str:
  """Returns Markdown with links to the pictures in a folder beside it."""
  return "\n\n".join(_markdown(block, folder) for block in content) + "\n"


def _markdown(block: blocks.Block, folder: str) -> str:
  match block:
    case blocks.Heading(text, level):
      return f"{'#' * level} {_words(text)}"
    case blocks.Paragraph(text):
      return _words(text)
    case blocks.Answer(headline, text):
      return f"## {_words(headline)}\n\n{_words(text)}"
    case blocks.Links(text, names):
      links = ", ".join(f"[{name}]({name})" for name in names)
      return f"{_words(text)} {links}"
    case blocks.Table(header, rows):
      return _table(map(_words, header), [map(_words, row) for row in rows])
    case blocks.Plot(name, title):
      return f"![{_words(title)}]({folder}/{name}.svg)\n\n{_words(title)}"
    case blocks.Pictures([picture]):
      return f"{_caption(picture)}\n\n{_image(picture, folder)}"
    case blocks.Pictures(pictures):
      images = [_image(picture, folder) for picture in pictures]
      return _table(map(_caption, pictures), [images])
    case blocks.Details(title, inner):
      return (
        f"<details>\n<summary>{escape(title)}</summary>\n\n"
        f"{to_markdown(inner, folder)}\n</details>"
      )


def _caption(picture: blocks.Picture) -> str:
  return _words(": ".join(filter(None, (picture.title, picture.text))))


def _image(picture: blocks.Picture, folder: str) -> str:
  return f"![{_words(picture.alt)}]({folder}/{picture.name}.png)"


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
  header = list(header)
  lines = [header, ["---"] * len(header), *rows]
  return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _words(text: str) -> str:
  text = html.escape(clean(text), quote=False)
  return CODE.sub(r"`\1`", re.sub(r"[\\`*_\[\]|~$#]", r"\\\g<0>", text))
