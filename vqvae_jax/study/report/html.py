"""Writes the blocks of a report as one HTML file."""

import base64
import html
import re
from collections.abc import Sequence

from vqvae_jax.study.report import blocks
from vqvae_jax.study.report.blocks import CODE, clean, escape
from vqvae_jax.study.report.style import STYLE

# The page loads nothing and runs nothing, whatever a name may contain.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_NUMBER = re.compile(r"[+\-<]?[\d.,]+( %| \[.*\]| \(.*\))?|n/a|-|")
# Words up to this length are not broken, even in a table on a phone.
_LONGEST_WORD = 30
_PIECE = 12


def to_html(content: Sequence[blocks.Block]) -> str:
  """Returns a page that needs no other file and contains no script."""
  title = next(
    block.text for block in content if isinstance(block, blocks.Heading)
  )
  body = "\n".join(map(_html, content))
  return (
    '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
    '<meta name="viewport" content="width=device-width">\n'
    '<meta name="color-scheme" content="light dark">\n'
    f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
    f"<body>\n{body}\n</body>\n</html>\n"
  )


def _html(block: blocks.Block) -> str:
  match block:
    case blocks.Heading(text, level):
      return f"<h{level}>{_words(text)}</h{level}>"
    case blocks.Paragraph(text):
      return f"<p>{_words(text)}</p>"
    case blocks.Answer(headline, text):
      return (
        f'<div class="answer"><p class="headline">{_words(headline)}</p>'
        f"<p>{_words(text)}</p></div>"
      )
    case blocks.Links(text, names):
      links = ", ".join(f'<a href="{n}">{n}</a>' for n in map(escape, names))
      return f'<p class="files">{_words(text)} {links}</p>'
    case blocks.Table():
      return _table(block)
    case blocks.Plot(_, title, wide, narrow):
      return (
        f'<figure class="plot">{wide}{narrow}'
        f"<figcaption>{_words(title)}</figcaption></figure>"
      )
    case blocks.Pictures(pictures):
      inner = "".join(map(_picture, pictures))
      return f'<div class="beside">{inner}</div>'
    case blocks.Details(title, inner):
      text = "\n".join(map(_html, inner))
      return (
        f"<details>\n<summary>{_words(title)}</summary>\n{text}\n</details>"
      )


def _picture(picture: blocks.Picture) -> str:
  data = base64.b64encode(picture.png).decode()
  names = "".join(
    f'<li title="{name}">{name}</li>' for name in map(escape, picture.row_names)
  )
  return (
    f'<figure class="samples"><figcaption><strong>{_words(picture.title)}'
    f"</strong> {_words(picture.text)}</figcaption>"
    f'<div class="named"><ol>{names}</ol>'
    f'<img src="data:image/png;base64,{data}" alt="{escape(picture.alt)}">'
    "</div></figure>"
  )


def _table(table: blocks.Table) -> str:
  columns = list(zip(*table.rows, strict=True)) or [()] * len(table.header)
  looks = [
    ' class="number"' if all(map(_NUMBER.fullmatch, column)) else ""
    for column in columns
  ]
  whole = all(len(name) <= _LONGEST_WORD for name in columns[0])
  looks[0] = ' class="name whole"' if whole else ' class="name"'
  body = "\n".join(_row("td", cells, looks) for cells in table.rows)
  # With a tab index it can be scrolled without a mouse.
  return (
    f'<div class="table" tabindex="0"><table>\n<thead>\n'
    f"{_row('th', table.header, looks)}\n</thead>\n"
    f"<tbody>\n{body}\n</tbody>\n</table></div>"
  )


def _row(tag: str, cells: Sequence[str], looks: Sequence[str]) -> str:
  inner = "".join(
    f"<{tag}{look}>{_words(cell)}</{tag}>"
    for cell, look in zip(cells, looks, strict=True)
  )
  return f"<tr>{inner}</tr>"


def _words(text: str) -> str:
  """Returns escaped text in which only words too long for a line break."""
  words = re.sub(r"(?<=\d) %", "\u00a0%", clean(text)).split(" ")
  return CODE.sub(r"<code>\1</code>", " ".join(map(_word, words)))


def _word(word: str) -> str:
  if len(word) <= _LONGEST_WORD:
    return html.escape(word)
  pieces = [word[i : i + _PIECE] for i in range(0, len(word), _PIECE)]
  return "<wbr>".join(map(html.escape, pieces))
