"""The notebook: it was executed without errors, and its code still runs."""

import json
import pathlib
import re
import sys
import types

import pytest

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "quickstart.ipynb"
CELLS = [
  cell
  for cell in json.loads(PAGE.read_text())["cells"]
  if cell["cell_type"] == "code"
]


def test_every_cell_was_executed_in_order():
  assert [cell["execution_count"] for cell in CELLS] == list(
    range(1, len(CELLS) + 1)
  )
  kinds = [out["output_type"] for cell in CELLS for out in cell["outputs"]]
  assert "error" not in kinds
  pictures = [
    out for cell in CELLS for out in cell["outputs"] if "image/png" in str(out)
  ]
  assert len(pictures) == 3


def test_its_code_runs(tmp_path, monkeypatch):
  shown = []
  display = types.SimpleNamespace(Image=shown.append)
  monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
  monkeypatch.setitem(sys.modules, "IPython.display", display)
  monkeypatch.chdir(tmp_path)
  code = "\n".join("".join(cell["source"]) for cell in CELLS)
  code, count = re.subn(r"STEPS = \d+", "STEPS = 2", code)
  assert count == 1
  code = code.replace("hidden=32", "hidden=8").replace("width=64", "width=8")
  # With the 8 devices of the tests, a block of the job is 2,000 images.
  code = code.replace("num_images=100", "num_images=10, batch_size=2")
  exec(compile(code, str(PAGE), "exec"), {})
  assert len(shown) == 3
  assert shown[1].startswith(b"\x89PNG")
  assert (tmp_path / "runs" / "quickstart-out" / "manifest.json").exists()


@pytest.mark.parametrize("cell", CELLS)
def test_no_output_names_a_place_of_the_machine(cell):
  text = json.dumps(cell["outputs"])
  assert "/home/" not in text and "/tmp/" not in text and "/root/" not in text
