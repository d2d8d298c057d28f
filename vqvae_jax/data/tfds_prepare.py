"""Downloads and prepares a TFDS set, in a process of its own.

    python -m vqvae_jax.data.tfds_prepare NAME [--data-dir DIR]

That takes TensorFlow, which would claim the accelerator's memory: so `prepare`
starts this module as another process that sees no accelerator. Whatever can
be told at once is told at once: TFDS itself tries for minutes before it says
that there is no network.
"""

import argparse
import contextlib
import difflib
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

# Seconds for name look-up and connection.
_PATIENCE = 6.0
# What stands before the colon of a path.
_KINDS = ("folder", "npz", "tfds-dir")


def prepare(name: str, data_dir: str):
  """Prepares a set as ArrayRecord and returns when it is on disk.

  Raises:
    DataError: if TFDS knows no such set, there is no network, or the
      preparation failed.
  """
  import tensorflow_datasets as tfds

  try:
    builder = tfds.builder_cls(name.partition(":")[0].partition("/")[0])
  except (tfds.core.DatasetNotFoundError, ValueError):
    raise DataError(_unknown(name, tfds)) from None
  _check_config(name, builder)
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
  """Whether any of the hosts, or the proxy set for them, takes a connection."""
  proxy = urllib.request.getproxies().get("https")
  if proxy:
    url = urllib.parse.urlsplit(proxy if "//" in proxy else f"//{proxy}")
    addresses = [(url.hostname, url.port or 443)]
  else:
    addresses = [(host, 443) for host in sorted(hosts)]
  answers = queue.SimpleQueue()
  for address in addresses:
    # A name look-up has no time limit of its own; a daemon may be left behind.
    threading.Thread(
      target=lambda address=address: answers.put(_connects(address)),
      daemon=True,
    ).start()
  deadline = time.monotonic() + _PATIENCE
  with contextlib.suppress(queue.Empty):
    for _ in addresses:
      if answers.get(timeout=max(0.0, deadline - time.monotonic())):
        return True
  return False


def _connects(address):
  try:
    with socket.create_connection(address, timeout=_PATIENCE):
      return True
  except (OSError, UnicodeError):
    return False


def _check_config(name, builder):
  config = name.partition(":")[0].partition("/")[2]
  known = [config.name for config in builder.BUILDER_CONFIGS]
  if config and config not in known:
    raise DataError(
      f"{builder.name} has no configuration {config!r}; it has: "
      f"{', '.join(known) or 'none'}"
    )


def _unknown(name, tfds):
  if os.path.isdir(name):
    return f"unknown data set {name!r}; for that folder: folder:{name}"
  if name.endswith(".npz") and ":" not in name:
    return f"unknown data set {name!r}; for that file: npz:{name}"
  if os.path.isfile(f"{name}.npz"):
    return f"unknown data set {name!r}; did you mean npz:{name}.npz?"
  names = ["mnist5k", *tfds.list_builders(with_community_datasets=False)]
  near = _similar(name, names)
  hint = f"; did you mean {' or '.join(near)}?" if near else ""
  return (
    f"unknown data set {name!r}: neither mnist5k, folder:DIR, npz:FILE, "
    f"tfds-dir:DIR nor a name that TFDS knows{hint}"
  )


def _similar(name, names):
  """Up to three names that are near, whatever the case and punctuation."""
  kind, colon, path = name.partition(":")
  kinds = difflib.get_close_matches(kind.lower(), _KINDS, n=1)
  if colon and kinds:
    return [f"{kinds[0]}:{path}"]
  plain = {}
  for known in names:
    plain.setdefault(_letters(known), []).append(known)
  wanted = _letters(name)
  near = difflib.get_close_matches(wanted, plain, n=3)
  # Alike but for case and punctuation, it is no guess any more.
  found = [wanted] if wanted in plain else near
  return [known for letters in found for known in plain[letters]][:3]


def _letters(name):
  return "".join(filter(str.isalnum, name.lower()))


def _offline(data_dir):
  """What can be learnt from with no network."""
  found = sorted(
    path.name
    for path in (Path(data_dir).iterdir() if Path(data_dir).is_dir() else ())
    if any(path.glob("*/dataset_info.json"))
    or any(path.glob("*/*/dataset_info.json"))
  )
  return ", ".join(["mnist5k", "folder:DIR", "npz:FILE", *found])


def main():
  """Prepares; on failure prints one line of why and exits with 1."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("name")
  parser.add_argument("--data-dir", default=None)
  args = parser.parse_args()
  try:
    # Progress goes to the terminal, the last word to the parent process.
    with contextlib.redirect_stdout(sys.stderr):
      import tensorflow_datasets as tfds

      builder = tfds.builder(
        args.name, data_dir=args.data_dir, file_format="array_record"
      )
      builder.download_and_prepare()
  except Exception as error:  # Builders raise anything.
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    print((lines or [type(error).__name__])[0])
    sys.exit(1)


if __name__ == "__main__":
  main()
