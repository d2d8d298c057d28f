"""Lines that readers print for the user, and how they write names in them."""

import functools
import os
import sys
import unicodedata
from collections.abc import Sequence

# Categories of Unicode: control characters, halves of characters, and breaks of
# lines and paragraphs.
_UNSAFE = ("Cc", "Cs", "Zl", "Zp")


@functools.lru_cache(maxsize=1024)
def note(line: str) -> None:
  """Prints a line on stderr, unless this process has printed it already.

  A study opens one data set many times, and each time the lines are the same.
  """
  print(line, file=sys.stderr, flush=True)


def amount(number: int, noun: str, plural: str | None = None) -> str:
  """Returns a number with its noun: "1 class", "1,200 classes".

  Args:
    number: the number.
    noun: the noun for one.
    plural: the noun for several; by default `noun` with an s.
  """
  return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def is_safe(text: str) -> bool:
  """Returns whether a text is UTF-8 without control characters."""
  return all(unicodedata.category(char) not in _UNSAFE for char in text)


def shown(path: str | os.PathLike) -> str:
  """Returns a path or text for a message, with control characters escaped."""
  text = os.fspath(path)
  if is_safe(text):
    return text
  return "".join(
    char if is_safe(char) else char.encode("unicode_escape").decode()
    for char in text
  )


def examples(names: Sequence[str], count: int = 3) -> str:
  """Returns the first names in one text, with dots if there are more."""
  more = ", ..." if len(names) > count else ""
  return ", ".join(map(shown, names[:count])) + more
