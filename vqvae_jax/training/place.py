"""The place of a run folder: whether it can be written to, and its lock."""

import contextlib
import os
from collections.abc import Iterator

from etils import epath

from vqvae_jax import files
from vqvae_jax.config.generators import all_stages
from vqvae_jax.errors import RunError
from vqvae_jax.files import is_remote

# Files and folders that a run writes.
_WRITTEN = (
  ".lock",
  "config.json",
  "config.json.partial",
  "metrics.jsonl",
  "metrics.jsonl.partial",
  "pictures",
  "tensorboard",
  *all_stages(),
)


@contextlib.contextmanager
def lock(workdir: epath.PathLike, flag: str = "--workdir") -> Iterator[None]:
  """Makes the run folder and locks it for this process.

  The system frees the lock if the process dies. Folders that were made here
  are removed again if they are empty at the end. Remote folders (`gs://...`)
  have no locks.

  Raises:
    RunError: if another process holds it, or if it cannot be made.
  """
  folder = epath.Path(workdir)
  if is_remote(workdir):
    folder.mkdir(parents=True, exist_ok=True)
    yield
    return
  missing = [p for p in (folder, *folder.parents) if not p.exists()]
  with contextlib.ExitStack() as stack:
    # This runs after the lock is freed, so that a refused command leaves no
    # folder behind that a later one would refuse.
    stack.callback(_remove_empty, missing)
    try:
      folder.mkdir(parents=True, exist_ok=True)
      free = stack.enter_context(files.lock(folder / ".lock"))
    except OSError as error:
      raise RunError(
        f"{flag} {str(workdir)[:200]}: {error.strerror or error}; use another"
      ) from None
    if not free:
      raise RunError(
        f"another run is at work in {workdir}; wait for it or use another "
        f"{flag}"
      )
    yield


def _remove_empty(folders):
  with contextlib.suppress(OSError):
    for folder in folders:
      os.rmdir(folder)


def check_place(workdir: epath.PathLike):
  """Refuses a folder that cannot be written to, before any work.

  Raises:
    RunError: if it is a file or inside one, if the disk is read-only, or if the
      folder holds links, which a run does not write through.
  """
  folder = epath.Path(workdir)
  if is_remote(workdir):
    return
  try:
    above = next(p for p in (folder, *folder.parents) if p.exists())
    if not above.is_dir():
      raise RunError(f"--workdir {workdir}: {above} is a file, not a folder")
    if not os.access(above, os.W_OK | os.X_OK):
      raise RunError(
        f"--workdir {workdir}: {above} cannot be written to (a read-only disk, "
        "or no permission); use another"
      )
    link = next(filter(os.path.islink, _written(folder)), None)
  except OSError as error:
    raise RunError(
      f"--workdir {str(workdir)[:200]}: {error.strerror or error}"
    ) from None
  if link:
    raise RunError(
      f"{link} is a link, and a run does not write through links inside its "
      "folder; replace it with what it points to, or make the whole run "
      "folder a link"
    )


def _written(folder):
  """Yields the paths that exist of those that a run writes."""
  for name in _WRITTEN:
    yield folder / name
    for place, folders, names in os.walk(folder / name):
      yield from (os.path.join(place, inner) for inner in (*folders, *names))
