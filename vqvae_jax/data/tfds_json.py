"""Checked values from the JSON files of a TFDS set.

Each function raises `DataError`, naming the file and the key, if a value is
missing or of the wrong kind.
"""

import os
import re
from collections.abc import Mapping
from typing import Any

from vqvae_jax.errors import DataError

Values = Mapping[str, Any]
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+\-]*")


def get(values: Values, path: os.PathLike, key: str) -> Any:
  """Returns a value that must be there."""
  if key not in values:
    raise DataError(f"{path} cannot be read: {key!r} is not in it")
  return values[key]


def list_of(values: Values, key: str, path: os.PathLike) -> list:
  """Returns a list, which is empty if there is none."""
  return checked(values.get(key) or [], list, path, key)


def checked(value: Any, kind: type, path: os.PathLike, key: str) -> Any:
  """Returns a value that must be of a type."""
  if not isinstance(value, kind):
    raise DataError(
      f"{path} cannot be read: {key} is a {type(value).__name__}, not a "
      f"{kind.__name__}"
    )
  return value


def plain_name(value: Any, path: os.PathLike, key: str) -> str:
  """Returns a name that can be a part of a file name, but is not a path."""
  if not isinstance(value, str) or not _NAME.fullmatch(value):
    raise DataError(
      f"{path} has the {key} {str(value)[:100]!r}; letters, digits, '_', '-', "
      "'+' and '.' are allowed"
    )
  return value


def whole_number(value: Any, path: os.PathLike, key: str, limit: int) -> int:
  """Returns a number from 0 to `limit`, which may be text in the JSON."""
  text = str(value)
  if isinstance(value, bool) or not re.fullmatch(r"\d{1,15}", text, re.ASCII):
    raise DataError(
      f"{path} has {text[:100]!r} in {key}; a whole number is needed"
    )
  if int(text) > limit:
    raise DataError(f"{path} has {text} in {key}, more than {limit:,}")
  return int(text)
