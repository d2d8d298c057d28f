"""What readers say on the screen: each line once, names made safe to print."""

import functools
import os
import sys
import unicodedata
from collections.abc import Sequence

# Control characters, halves of a character, breaks of a line and a paragraph.
_UNSAFE = ("Cc", "Cs", "Zl", "Zp")


@functools.lru_cache(maxsize=1024)
def note(line: str):
  """Prints a line on stderr, unless this process has printed it already.

  A study opens one data set many times; what is to be said of it is the same.
  """
  print(line, file=sys.stderr, flush=True)


def amount(number: int, noun: str, plural: str | None = None) -> str:
  """A number with its noun: "1 class", "1,200 classes".

  Args:
    number: how many.
    noun: the noun for one.
    plural: the noun for several; by default with an s.
  """
  return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def is_safe(text: str) -> bool:
  """Whether a text has no control character and can be written as UTF-8."""
  return all(unicodedata.category(char) not in _UNSAFE for char in text)


def shown(path: str | os.PathLike) -> str:
  """A path or text for a message: in one line, nothing a terminal acts on."""
  text = os.fspath(path)
  if is_safe(text):
    return text
  return "".join(
    char if is_safe(char) else char.encode("unicode_escape").decode()
    for char in text
  )


def examples(names: Sequence[str], count: int = 3) -> str:
  """The first names, and dots if there are more."""
  more = ", ..." if len(names) > count else ""
  return ", ".join(map(shown, names[:count])) + more
