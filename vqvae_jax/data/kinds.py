"""The kinds of data sets: `--dataset` names one, and it becomes splits.

This is the only file that knows all kinds. A new kind is a module beside this
one and a line in `KINDS`: see docs/add-a-data-source.md.
"""

from collections.abc import Callable

from vqvae_jax.data.folder import open_folder
from vqvae_jax.data.mnist5k import open_mnist5k
from vqvae_jax.data.npz import open_npz
from vqvae_jax.data.source import SourceSplits
from vqvae_jax.data.tfds_source import open_tfds, open_tfds_dir
from vqvae_jax.errors import DataError

# How the path of --dataset=KIND:PATH is opened. Folders take further flags.
KINDS: dict[str, Callable[[str], SourceSplits]] = {
  "npz": open_npz,
  "tfds-dir": open_tfds_dir,
}


def open_dataset(
  name: str,
  data_dir: str | None = None,
  group_regex: str | None = None,
  labels_csv: str | None = None,
) -> SourceSplits:
  """Opens the data set that `--dataset` names, without decoding any image.

  Args:
    name: `mnist5k`, `folder:DIR`, `npz:FILE`, `tfds-dir:DIR`, or the name of
      a TFDS set.
    data_dir: folder of prepared TFDS sets, by default TFDS's own choice.
    group_regex: value of `--group-regex`, for `folder:DIR` alone.
    labels_csv: value of `--labels-csv`, for `folder:DIR` alone.

  Raises:
    DataError: if there is no such data set, or it cannot be used.
  """
  kind, _, path = name.partition(":")
  if kind == "folder":
    return open_folder(path, group_regex, labels_csv)
  if group_regex is not None:
    raise DataError(
      f"--group-regex works on file paths, so on folder:DIR, not on {name}"
    )
  if labels_csv is not None:
    raise DataError(
      f"--labels-csv holds the labels of files, so of folder:DIR, not of {name}"
    )
  if kind in KINDS:
    return KINDS[kind](path)
  if name == "mnist5k":
    return open_mnist5k()
  return open_tfds(name, data_dir)
