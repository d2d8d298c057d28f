"""DICOM to PNG, against values worked out from the standard by hand."""

import os

import numpy as np
import pytest

from vqvae_jax.config import Config
from vqvae_jax.data import dicom, images, load_data
from vqvae_jax.data.dicom import DicomConfig, convert
from vqvae_jax.data.dicom_pixels import read
from vqvae_jax.errors import ConfigError, DataError

pydicom = pytest.importorskip("pydicom")
VALUES = np.array([[0, 1000, 1500], [2000, 3000, 4095]], np.uint16)


def write(path, values=VALUES, syntax=None, preamble=True, **attributes):
  """A secondary capture with these stored values."""
  path.parent.mkdir(parents=True, exist_ok=True)
  meta = pydicom.dataset.FileMetaDataset()
  meta.MediaStorageSOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
  meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
  meta.TransferSyntaxUID = syntax or pydicom.uid.ExplicitVRLittleEndian
  dataset = pydicom.Dataset()
  dataset.file_meta = meta
  dataset.SOPClassUID = meta.MediaStorageSOPClassUID
  dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
  dataset.PatientName = "Doe^Jane"
  dataset.Modality = "DX"
  dataset.Rows, dataset.Columns = values.shape[:2]
  dataset.SamplesPerPixel = 3 if values.ndim == 3 else 1
  if values.ndim == 3:
    dataset.PlanarConfiguration = 0
  dataset.PhotometricInterpretation = "MONOCHROME2"
  dataset.BitsAllocated = 8 * values.dtype.itemsize
  dataset.BitsStored = (
    12 if values.dtype == np.uint16 else dataset.BitsAllocated
  )
  dataset.HighBit = dataset.BitsStored - 1
  dataset.PixelRepresentation = int(values.dtype.kind == "i")
  dataset.PixelData = values.tobytes()
  for name, value in attributes.items():
    setattr(dataset, name, value)
  dataset.save_as(path, enforce_file_format=preamble)
  return path


def table(first, bits, entries):
  item = pydicom.Dataset()
  item.LUTDescriptor = [len(entries), first, bits]
  item["LUTDescriptor"].VR = "US"
  item.add_new("LUTData", "OW", np.asarray(entries, "<u2").tobytes())
  return [item]


def linear(values, center, width):
  """C.11.2.1.2.1, word for word, to 0..255."""

  def one(x):
    if x <= center - 0.5 - (width - 1) / 2:
      return 0
    if x > center - 0.5 + (width - 1) / 2:
      return 255
    return ((x - (center - 0.5)) / (width - 1) + 0.5) * 255

  return np.vectorize(one, otypes=[float])(values)


SHIFTED = VALUES * 2.0 - 1024
CASES = {
  "window": (
    {"WindowCenter": 2000, "WindowWidth": 1500},
    linear(VALUES, 2000, 1500),
  ),
  "the first of two windows": (
    {"WindowCenter": [2000, 5], "WindowWidth": [1500, 9]},
    linear(VALUES, 2000, 1500),
  ),
  "slope, intercept, window": (
    {
      "RescaleSlope": 2,
      "RescaleIntercept": -1024,
      "WindowCenter": 3000,
      "WindowWidth": 4000,
    },
    linear(SHIFTED, 3000, 4000),
  ),
  "MONOCHROME1": (
    {
      "PhotometricInterpretation": "MONOCHROME1",
      "WindowCenter": 2000,
      "WindowWidth": 1500,
    },
    255 - linear(VALUES, 2000, 1500),
  ),
  "no window": ({}, VALUES / 4095 * 255),
  "no window, slope": (
    {"RescaleSlope": 2, "RescaleIntercept": -1024},
    VALUES / 4095 * 255,
  ),
  "no window, MONOCHROME1": (
    {"PhotometricInterpretation": "MONOCHROME1"},
    255 - VALUES / 4095 * 255,
  ),
  "LINEAR_EXACT": (
    {
      "WindowCenter": 2048,
      "WindowWidth": 4096,
      "VOILUTFunction": "LINEAR_EXACT",
    },
    VALUES / 4096 * 255,
  ),
  "SIGMOID": (
    {"WindowCenter": 2000, "WindowWidth": 1000, "VOILUTFunction": "SIGMOID"},
    255 / (1 + np.exp(-4 * (VALUES - 2000.0) / 1000)),
  ),
  "width 1 is a threshold": (
    {"WindowCenter": 2000, "WindowWidth": 1},
    (VALUES >= 2000) * 255,
  ),
  "VOI lookup table": (
    {"VOILUTSequence": table(1000, 12, np.arange(1001) * 4)},
    np.array([[0, 0, 2000], [4000, 4000, 4000]]) / 4095 * 255,
  ),
  "modality lookup table": (
    {
      "ModalityLUTSequence": table(0, 16, np.arange(4096)[::-1]),
      "WindowCenter": 2000,
      "WindowWidth": 1500,
    },
    linear(4095 - VALUES.astype(int), 2000, 1500),
  ),
  "padding is black": (
    {"PixelPaddingValue": 4095, "PhotometricInterpretation": "MONOCHROME1"},
    np.where(VALUES == 4095, 0, 255 - VALUES / 3000 * 255),
  ),
}


@pytest.mark.parametrize("case", CASES)
def test_grey_values_are_what_a_viewer_shows(tmp_path, case):
  attributes, expected = CASES[case]
  path = write(tmp_path / "x.dcm", **attributes)
  pixels, scaled = read(path)
  assert pixels.dtype == np.uint8
  assert np.abs(pixels - expected).max() <= 0.51
  assert scaled == (case.startswith(("no window", "padding")))
  deep, _ = read(path, bits=16)
  assert np.abs(deep / 257 - expected).max() <= 0.01


def test_hounsfield_units_are_signed(tmp_path):
  stored = np.array([[-1000, 0, 40, 400]], np.int16)
  path = write(tmp_path / "ct.dcm", stored, RescaleSlope=1, RescaleIntercept=0)
  pixels, scaled = read(path, window=(40, 400))
  assert not scaled
  assert np.abs(pixels - linear(stored, 40, 400)).max() <= 0.51
  assert pixels[0, 0] == 0 and pixels[0, 3] == 255 and pixels[0, 2] == 128


def test_colours_come_back(tmp_path):
  values = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
  path = write(tmp_path / "us.dcm", values, PhotometricInterpretation="RGB")
  np.testing.assert_array_equal(read(path)[0], values)


def test_rle_is_decoded_and_the_rest_is_named_with_its_cure(tmp_path):
  path = write(tmp_path / "x.dcm", WindowCenter=2000, WindowWidth=1500)
  plain, _ = read(path)
  dataset = pydicom.dcmread(path)
  dataset.compress(pydicom.uid.RLELossless)
  dataset.save_as(path)
  np.testing.assert_array_equal(read(path)[0], plain)
  syntax = pydicom.uid.JPEGLSLossless
  if not pydicom.pixels.get_decoder(syntax).is_available:
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path)
    with pytest.raises(DataError, match="x.dcm is compressed as JPEG-LS.*pip"):
      read(path)


def run(source, out, **settings):
  convert(DicomConfig(str(source), str(out), **settings))


def test_a_folder_keeps_its_classes_and_names(tmp_path, capsys):
  source, out = tmp_path / "in", tmp_path / "out"
  window = {"WindowCenter": 2000, "WindowWidth": 1500}
  rng = np.random.default_rng(0)
  for i in range(8):
    values = rng.integers(0, 4096, (6, 6)).astype(np.uint16)
    write(source / "ill" / f"p{i}" / "1.2.840.5", values, **window)
    write(source / "well" / f"{i}.DCM", values, **window)
  write(source / "DICOMDIR")
  (source / "readme.txt").write_text("no image")
  os.mkfifo(source / "pipe")
  run(source, out)
  assert "16 images are in" in capsys.readouterr().out
  names = sorted(str(p.relative_to(out)) for p in out.rglob("*.png"))
  assert names == sorted(
    [f"ill/p{i}/1.2.840.5.png" for i in range(8)]
    + [f"well/{i}.png" for i in range(8)]
  )
  assert b"Doe" not in b"".join(p.read_bytes() for p in out.rglob("*.png"))
  expected, _ = read(source / "well" / "3.DCM")
  made = images.decode(out / "well" / "3.png", "x")
  np.testing.assert_array_equal(made[..., 0], expected)
  spec = load_data(Config(dataset=f"folder:{out}")).spec
  assert spec.class_names == ("ill", "well")
  # The same again changes nothing; other settings overwrite nothing.
  before = {p: p.read_bytes() for p in out.rglob("*.png")}
  run(source, out)
  assert "(16 were there already)" in capsys.readouterr().out
  with pytest.raises(DataError, match="16 of 16 files, named above"):
    run(source, out, bits=16)
  assert "nothing is overwritten" in capsys.readouterr().err
  assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before


def test_files_that_fail_are_named_and_leave_nothing(tmp_path, capsys):
  source, out = tmp_path / "in", tmp_path / "out"
  write(source / "good.dcm")
  (source / "text.dcm").write_text("no DICOM")
  half = write(source / "half.dcm")
  half.write_bytes(half.read_bytes()[:-5])
  write(source / "huge.dcm", Rows=60_000, Columns=60_000)
  write(source / "film.dcm", NumberOfFrames=30)
  write(source / "odd.dcm", PhotometricInterpretation="HSV")
  write(source / "window.dcm", WindowCenter=5, WindowWidth=0)
  report = pydicom.dcmread(write(source / "report.dcm", Modality="SR"))
  del report.PixelData, report.Rows
  report.save_as(source / "report.dcm")
  deflated = pydicom.uid.DeflatedExplicitVRLittleEndian
  write(source / "deflated.dcm", syntax=deflated)
  with pytest.raises(DataError, match="8 of 9 files, named above"):
    run(source, out)
  said = capsys.readouterr().err.splitlines()
  rules = {
    "text.dcm": "cannot be converted: it is not DICOM",
    "half.dcm": "cannot be converted",
    "huge.dcm": "60000x60000 pixels",
    "film.dcm": "30 frames",
    "odd.dcm": "'HSV'",
    "window.dcm": "window 5 0",
    "report.dcm": "does not hold an image",
    "deflated.dcm": "deflated",
  }
  assert len(said) == len(rules)
  for name, rule in rules.items():
    assert any(name in line and rule in line for line in said), name
  assert [p.name for p in out.rglob("*")] == ["good.png"]


def test_folders_that_cannot_be_used(tmp_path):
  source = tmp_path / "in"
  with pytest.raises(DataError, match="in does not exist"):
    run(source, tmp_path / "out")
  source.mkdir()
  with pytest.raises(DataError, match="does not hold a DICOM file"):
    run(source, tmp_path / "out")
  write(source / "a.dcm")
  with pytest.raises(DataError, match="lies in"):
    run(source, source / "png")
  write(source / "a")
  with pytest.raises(DataError, match="would both become"):
    run(source, tmp_path / "out")
  assert not (tmp_path / "out").exists()
  for window in ((40, 0), (40, float("nan"))):
    with pytest.raises(ConfigError, match="--window 40"):
      DicomConfig("a", "b", window=window)


def test_without_pydicom_one_line_says_how_to_get_it(
  tmp_path, monkeypatch, capsys
):
  monkeypatch.setitem(__import__("sys").modules, "pydicom", None)
  monkeypatch.setattr("sys.argv", ["dicom", str(tmp_path), str(tmp_path / "o")])
  assert dicom.main() == 2
  said = capsys.readouterr().err
  assert said.count("\n") == 1 and "pip install pydicom" in said
