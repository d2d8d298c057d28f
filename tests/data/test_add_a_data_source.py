"""The recipe of docs/add-a-data-source.md, carried out as it is written."""

import pathlib
import re
import types

import numpy as np
import pytest

from vqvae_jax.config import Config
from vqvae_jax.data import kinds, load_data
from vqvae_jax.errors import DataError

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "add-a-data-source.md"


def test_the_recipe_works(tmp_path, monkeypatch):
  text = PAGE.read_text()
  source, line, test = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
  module = types.ModuleType("raw")
  exec(source, module.__dict__)
  name, function = re.search(r'"(raw)": (\w+)', line).groups()
  monkeypatch.setitem(kinds.KINDS, name, getattr(module, function))
  names = {"np": np, "load_data": load_data, "Config": Config}
  exec(test, names)
  names["test_images_and_labels"](tmp_path)
  (tmp_path / "half.raw").write_bytes(b"half")
  for file, why in (("half", "does not consist"), ("none", "does not exist")):
    with pytest.raises(DataError, match=why):
      load_data(Config(dataset=f"raw:{tmp_path}/{file}.raw"))
