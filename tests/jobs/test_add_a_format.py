"""The recipe of docs/add-a-format.md, carried out as it is written."""

import dataclasses
import pathlib
import re
import types

import numpy as np
import pytest
import tiny

from vqvae_jax.config import SampleConfig
from vqvae_jax.errors import RunError
from vqvae_jax.jobs.formats import FORMATS

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "add-a-format.md"


def test_the_recipe_works(settings, tmp_path, monkeypatch):
  source, line = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
  module = types.ModuleType("raw")
  exec(source, module.__dict__)
  npz = dataclasses.replace(settings, format="npz", out=str(tmp_path / "npz"))
  tiny.sample(npz)
  # The choices of the setting are fixed, so the new format takes npz's name.
  name = re.search(r'"raw": (\w+)', line)[1]
  monkeypatch.setitem(FORMATS, "npz", getattr(module, name))
  out = tmp_path / "raw"
  tiny.sample(dataclasses.replace(npz, out=str(out)))
  assert sorted(p.name for p in out.glob("*.raw")) == [
    "00000.raw",
    "00001.raw",
    "00002.raw",
  ]
  stored = [np.fromfile(p, np.uint8) for p in sorted(out.glob("*.raw"))]
  expected = [
    np.load(path)["images"].ravel()
    for path in sorted((tmp_path / "npz").glob("*.npz"))
  ]
  np.testing.assert_array_equal(
    np.concatenate(stored), np.concatenate(expected)
  )
  assert "np.fromfile('00000.raw'" in (out / "README.md").read_text()
  verify = SampleConfig(out=str(out), verify=True)
  assert "40 images" in tiny.sample(verify)
  stored[1][7] ^= 1
  stored[1].tofile(out / "00001.raw")
  with pytest.raises(RunError, match="shard 1 is not what was written"):
    tiny.sample(verify)
