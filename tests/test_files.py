"""What `read_json` says of files that hold something else than an object."""

import json

import pytest

from vqvae_jax.errors import RunError
from vqvae_jax.files import read_json


@pytest.mark.parametrize(
  ("value", "name"),
  [
    (None, "null"),
    (True, "a truth value"),
    (3, "a number"),
    (0.5, "a number"),
    ("x", "a string"),
    ([1], "a list"),
  ],
)
def test_other_values_are_called_as_in_json(tmp_path, value, name):
  path = tmp_path / "config.json"
  path.write_text(json.dumps(value))
  with pytest.raises(RunError, match=f"holds {name}, not an object"):
    read_json(path)
