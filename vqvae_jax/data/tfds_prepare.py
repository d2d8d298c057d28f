"""Downloads and prepares a TFDS set in a process of its own.

    python -m vqvae_jax.data.tfds_prepare NAME [--data-dir DIR]

Preparing takes TensorFlow, which would claim the accelerator's memory. So
`prepare` starts this module as another process that sees no accelerator. It
first checks the name and the network, because TFDS itself tries for minutes
before it says that there is no network.
"""

import argparse
import contextlib
import difflib
import importlib.util
import os
import queue
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterable
from pathlib import Path

from vqvae_jax.errors import DataError
from vqvae_jax.extras import TFDS, need

# Seconds for name look-up and connection.
_PATIENCE = 6.0
# Kinds of data sets that a path follows after a colon.
_KINDS = ("folder", "npz", "tfds-dir")


def prepare(name: str, data_dir: str) -> None:
  """Prepares a set as ArrayRecord, and returns when it is on disk.

  Raises:
    DataError: if TFDS or TensorFlow is not installed, TFDS does not know the
      set, there is no network, or the preparation failed.
  """
  _check_paths(name)
  tfds = need("tensorflow_datasets", f"--dataset={name}", TFDS)
  try:
    builder = tfds.builder_cls(name.partition(":")[0].partition("/")[0])
  except (tfds.core.DatasetNotFoundError, ValueError):
    known = tfds.list_builders(with_community_datasets=False)
    raise DataError(_unknown(name, known)) from None
  _check_config(name, builder)
  if importlib.util.find_spec("tensorflow") is None:
    raise DataError(
      f"preparing {name} needs tensorflow, which is not installed: "
      f"pip install {TFDS}"
    )
  hosts = {urllib.parse.urlsplit(url).hostname for url in builder.url_infos}
  if not online(hosts - {None} or {"storage.googleapis.com"}):
    raise DataError(
      f"{name} is not prepared in {data_dir}, and there is no network to "
      f"download it; without network these work: {_offline(data_dir)}"
    )
  print(
    f"{name} is not in {data_dir}: downloading and preparing it, once",
    file=sys.stderr,
    flush=True,
  )
  command = [sys.executable, "-m", "vqvae_jax.data.tfds_prepare", name]
  root = str(Path(__file__).resolve().parents[2])
  paths = [root, os.environ.get("PYTHONPATH", "")]
  result = subprocess.run(
    [*command, "--data-dir", data_dir],
    stdout=subprocess.PIPE,
    text=True,
    check=False,
    env=os.environ
    | {
      "CUDA_VISIBLE_DEVICES": "",
      "JAX_PLATFORMS": "cpu",
      "PYTHONPATH": os.pathsep.join(filter(None, paths)),
      "TF_CPP_MIN_LOG_LEVEL": "3",
    },
  )
  if result.returncode:
    lines = result.stdout.split("\n")
    why = lines[0] or f"the process ended with {result.returncode}"
    raise DataError(f"{name} could not be prepared in {data_dir}: {why}")


def online(hosts: Iterable[str]) -> bool:
  """Returns whether a host, or the proxy for them, accepts a connection."""
  proxy = urllib.request.getproxies().get("https")
  if proxy:
    url = urllib.parse.urlsplit(proxy if "//" in proxy else f"//{proxy}")
    addresses = [(url.hostname, url.port or 443)]
  else:
    addresses = [(host, 443) for host in sorted(hosts)]
  answers = queue.SimpleQueue()

  def connect(address):
    try:
      with socket.create_connection(address, timeout=_PATIENCE):
        answers.put(True)
    except (OSError, UnicodeError):
      answers.put(False)

  # A name look-up has no time limit; a daemon thread may be left behind.
  for address in addresses:
    threading.Thread(target=connect, args=[address], daemon=True).start()
  deadline = time.monotonic() + _PATIENCE
  with contextlib.suppress(queue.Empty):
    for _ in addresses:
      if answers.get(timeout=max(0.0, deadline - time.monotonic())):
        return True
  return False


def _check_config(name, builder):
  config = name.partition(":")[0].partition("/")[2]
  known = [config.name for config in builder.BUILDER_CONFIGS]
  if config and config not in known:
    raise DataError(
      f"{builder.name} has no configuration {config!r}; it has: "
      f"{', '.join(known) or 'none'}"
    )


def _check_paths(name):
  """Raises `DataError` where a name is a path, or of one of our own kinds."""
  hint = None
  if os.path.isdir(name):
    hint = f"for that folder: folder:{name}"
  elif name.endswith(".npz") and ":" not in name:
    hint = f"for that file: npz:{name}"
  elif os.path.isfile(f"{name}.npz"):
    hint = f"did you mean npz:{name}.npz?"
  elif _letters(name) == "mnist5k":
    hint = "did you mean mnist5k?"
  kind, colon, path = name.partition(":")
  near = difflib.get_close_matches(kind.lower(), _KINDS, n=1)
  if colon and near:
    hint = f"did you mean {near[0]}:{path}?"
  if hint:
    raise DataError(f"unknown data set {name!r}; {hint}")


def _unknown(name, names):
  """The message for a name, with up to three names that are near."""
  by_letters = {}
  for known in ("mnist5k", *names):
    by_letters.setdefault(_letters(known), []).append(known)
  letters = _letters(name)
  alike = difflib.get_close_matches(letters, by_letters, n=3)
  # A name that differs in case and punctuation only is the one that is meant.
  if letters in by_letters:
    alike = [letters]
  near = [known for key in alike for known in by_letters[key]][:3]
  hint = f"; did you mean {' or '.join(near)}?" if near else ""
  return (
    f"unknown data set {name!r}: it is not mnist5k, folder:DIR, npz:FILE, "
    f"tfds-dir:DIR or a name that TFDS knows{hint}"
  )


def _letters(name):
  return "".join(filter(str.isalnum, name.lower()))


def _offline(data_dir):
  """Names of the data sets that need no network."""
  root = Path(data_dir)
  found = {
    path.relative_to(root).parts[0]
    for pattern in ("*/*/dataset_info.json", "*/*/*/dataset_info.json")
    for path in root.glob(pattern)
  }
  return ", ".join(["mnist5k", "folder:DIR", "npz:FILE", *sorted(found)])


def main() -> None:
  """Prepares a set; on failure prints one line of why, and exits with 1."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("name")
  parser.add_argument("--data-dir", default=None)
  args = parser.parse_args()
  try:
    # Progress goes to the terminal, the last line to the parent process.
    with contextlib.redirect_stdout(sys.stderr):
      import tensorflow_datasets as tfds

      builder = tfds.builder(
        args.name, data_dir=args.data_dir, file_format="array_record"
      )
      builder.download_and_prepare()
  except Exception as error:  # Builders raise errors of any kind.
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    print((lines or [type(error).__name__])[0])
    sys.exit(1)


if __name__ == "__main__":
  main()
