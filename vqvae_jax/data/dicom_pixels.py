"""The pixels of a DICOM image as a viewer shows them first.

Stored values go through the file's modality transform (slope and intercept),
then through its first window or VOI lookup table, and MONOCHROME1 is inverted:
DICOM PS3.3, C.11.1, C.11.2 and C.7.6.3.1.2.
"""

import os
import warnings
from typing import Any

import numpy as np
from jaxtyping import Float, Num, UInt8, UInt16

from vqvae_jax.data import images
from vqvae_jax.errors import DataError
from vqvae_jax.extras import need

# Center and width of a window.
Window = tuple[float | int, float | int]
MAX_FILE_BYTES = 2**29
_GREY = ("MONOCHROME1", "MONOCHROME2")
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")


def need_pydicom() -> Any:
  """Returns the module pydicom.

  Raises:
    DataError: if it is not installed.
  """
  need("pydicom.pixels", "reading DICOM files", "pydicom")
  return need("pydicom", "reading DICOM files", "pydicom")


def read(
  path: os.PathLike, bits: int = 8, window: Window | None = None
) -> tuple[UInt8[np.ndarray, "..."] | UInt16[np.ndarray, "..."], bool]:
  """Reads the image of one DICOM file as a viewer shows it first.

  Args:
    path: path of the file.
    bits: bits of a grey value, 8 or 16.
    window: (center, width) of a window instead of the file's own.

  Returns:
    Pixels, grey [h, w] or RGB [h, w, 3], and whether they were scaled by their
    own least and largest value.

  Raises:
    DataError: in one line that names the file.
  """
  pydicom = need_pydicom()
  try:
    with warnings.catch_warnings():
      # pydicom warns of headers that do not follow the rules.
      warnings.simplefilter("ignore")
      _check(path, pydicom)
      dataset = pydicom.dcmread(path)
      values = pydicom.pixels.pixel_array(dataset)
      if dataset.PhotometricInterpretation not in _GREY:
        return _colours(values, dataset, path, pydicom), False
      grey, scaled = shown(values, dataset, window)
  except DataError:
    raise
  except pydicom.errors.InvalidDicomError:
    raise DataError(f"{path} cannot be converted: it is not DICOM") from None
  except Exception as error:  # pydicom raises errors of many kinds.
    line = (str(error).splitlines() or [type(error).__name__])[0][:200]
    raise DataError(f"{path} cannot be converted: {line}") from None
  largest = 2**bits - 1
  kind = np.uint8 if bits == 8 else np.uint16
  return np.rint(grey * largest).astype(kind), scaled


def shown(
  values: Num[np.ndarray, "h w"], dataset: Any, window: Window | None = None
) -> tuple[Float[np.ndarray, "h w"], bool]:
  """Brings stored values to grey values, from 0 (black) to 1 (white).

  Args:
    values: stored values.
    dataset: attributes of the image, a `pydicom.Dataset`.
    window: (center, width) of a window instead of the file's own.

  Returns:
    The grey values, and whether they were scaled by the least and largest.
  """
  padding = _padding(values, dataset)
  if dataset.get("ModalityLUTSequence"):
    values, _ = _look_up(values, dataset.ModalityLUTSequence[0])
  else:
    slope = float(dataset.get("RescaleSlope") or 1)
    values = values * slope + float(dataset.get("RescaleIntercept") or 0)
  center, width = (
    _first(dataset.get(name)) for name in ("WindowCenter", "WindowWidth")
  )
  scaled = False
  if window is not None:
    grey = _linear(values, *window)
  elif dataset.get("VOILUTSequence"):
    table, largest = _look_up(values, dataset.VOILUTSequence[0])
    grey = table / largest
  elif center is not None and width is not None:
    function = str(dataset.get("VOILUTFunction") or "LINEAR")
    grey = _windowed(values, center, width, function)
  else:
    inside = values[~padding] if not padding.all() else values
    low, high = inside.min(), inside.max()
    grey = np.clip((values - low) / max(high - low, 1e-300), 0, 1)
    scaled = True
  if dataset.PhotometricInterpretation == "MONOCHROME1":
    grey = 1 - grey
  return np.where(padding, 0.0, grey), scaled


def _windowed(values, center, width, function):
  """Applies a window as in DICOM PS3.3, C.11.2.1.2 and C.11.2.1.3."""
  if function == "LINEAR" and width >= 1:
    return _linear(values, center, width)
  if function == "LINEAR_EXACT" and width > 0:
    return np.clip((values - center) / width + 0.5, 0, 1)
  if function == "SIGMOID" and width > 0:
    return 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700)))
  raise ValueError(f"it has the window {center:g} {width:g} {function[:20]!r}")


def _linear(values, center, width):
  if width == 1:
    return (values > center - 0.5).astype(np.float64)
  return np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0, 1)


def _look_up(values, item):
  """Returns values from a lookup table, and its largest possible entry."""
  entries, first, bits = (int(n) for n in item.LUTDescriptor)
  entries = entries or 2**16
  data = item.LUTData
  if isinstance(data, bytes):
    # Entries of 8 bits may be stored without padding.
    kind = np.uint8 if len(data) < 2 * entries else "<u2"
    data = np.frombuffer(data, kind)
  table = np.asarray(data)[:entries].astype(np.float64)
  if not len(table) or not 1 <= bits <= 16:
    raise ValueError("it has a lookup table without entries")
  places = np.clip(np.rint(values) - first, 0, len(table) - 1)
  return table[places.astype(np.int64)], 2.0**bits - 1


def _padding(values, dataset):
  """Returns where there is no image, which becomes black."""
  value = _first(dataset.get("PixelPaddingValue"))
  if value is None:
    return np.zeros(values.shape, bool)
  limit = _first(dataset.get("PixelPaddingRangeLimit"))
  low, high = sorted((value, value if limit is None else limit))
  return (values >= low) & (values <= high)


def _first(value):
  """Returns the first value of an attribute as a number, or None."""
  if isinstance(value, (str, bytes)) or not hasattr(value, "__len__"):
    return None if value in (None, "", b"") else float(value)
  return float(value[0]) if len(value) else None


def _colours(values, dataset, path, pydicom):
  kind = str(dataset.PhotometricInterpretation)
  if kind == "PALETTE COLOR":
    values = pydicom.pixels.apply_color_lut(values, dataset)
    values = values if values.dtype == np.uint8 else values >> 8
  elif kind not in _COLOURS or values.dtype != np.uint8:
    raise DataError(
      f"{path} has the photometric interpretation {kind[:20]!r} with "
      f"{dataset.BitsStored} bits, which is not converted"
    )
  return values[..., :3].astype(np.uint8)


def _check(path, pydicom):
  """Checks the header before memory is allocated for pixels."""
  size = os.stat(path).st_size
  if size > MAX_FILE_BYTES:
    raise DataError(
      f"{path} has {size / 2**20:,.0f} MiB, more than the "
      f"{MAX_FILE_BYTES / 2**20:g} MiB that are read"
    )
  syntax = pydicom.filereader.read_file_meta_info(path).get("TransferSyntaxUID")
  # A small file may fill the memory when it is inflated.
  if syntax is not None and "Deflate" in syntax.name:
    raise DataError(f"{path} is deflated as a whole, which is not read")
  header = pydicom.dcmread(path, stop_before_pixels=True)
  for name in ("Rows", "Columns", "PhotometricInterpretation"):
    if header.get(name) is None:
      raise DataError(
        f"{path} does not hold an image: it has no {name} "
        f"({str(header.get('Modality'))[:16]!r})"
      )
  images.check_pixels(str(path), int(header.Rows), int(header.Columns))
  frames = int(header.get("NumberOfFrames") or 1)
  if frames != 1:
    raise DataError(
      f"{path} has {frames:,} frames; split it into files of one frame first"
    )
  if syntax is not None and syntax.is_compressed:
    decoder = pydicom.pixels.get_decoder(syntax)
    if not decoder.is_available:
      raise DataError(
        f"{path} is compressed as {syntax.name}, and no decoder for that is "
        "installed: pip install 'pylibjpeg[all]'"
      )
