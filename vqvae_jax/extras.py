"""Packages that only some uses need: each is imported when it is needed."""

import importlib
from types import ModuleType

from vqvae_jax.errors import DataError, UserError

# The extra that reads, prepares and writes TFDS sets.
TFDS = '"vqvae_jax[tfds]"'


def need(
  module: str, use: str, install: str, kind: type[UserError] = DataError
) -> ModuleType:
  """Imports a module that may not be installed.

  Args:
    module: name of the module.
    use: what needs it, as the subject of a sentence.
    install: what to give to `pip install`.
    kind: class of the error to raise.

  Raises:
    UserError: of class `kind`, in one line that says what to install, if the
      module or one that it needs is not installed.
  """
  try:
    return importlib.import_module(module)
  except ModuleNotFoundError as error:
    package = (error.name or module).partition(".")[0]
    raise kind(
      f"{use} needs {package}, which is not installed: pip install {install}"
    ) from None
