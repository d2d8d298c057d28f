"""The range of 16-bit values that becomes 0 to 255, found from the images.

Cameras and X-ray detectors give 10, 12 or 14 bits, stored in files of 16 bits.
The upper 8 of the 16 bits alone would be almost black.
"""

import numpy as np
from jaxtyping import Int

from vqvae_jax.data.notes import note
from vqvae_jax.data.parallel import in_order
from vqvae_jax.data.source import Source
from vqvae_jax.errors import DataError

# An image that uses at most this share of the range is almost black.
_DARK = 1 / 16
# If at least this share of the images is dark, they have fewer bits.
_TOO_MANY = 0.1


def find_range(
  source: Source, indices: Int[np.ndarray, " n"]
) -> tuple[int, int] | None:
  """Finds the range of the 16-bit images among some, and prints it.

  Args:
    source: source of the images.
    indices: indices of the training images.

  Returns:
    The values (low, high) that become 0 and 255, or None if no image has 16
    bits.

  Raises:
    DataError: if many images are far darker than others, as if their values
      had fewer bits.
  """
  counts, tops, eights = np.zeros(65536, np.int64), {}, 0
  found = in_order(
    lambda i: _count(source.image(int(indices[i]))),
    len(indices),
    "looking for the range of 16-bit values",
  )
  for index, (places, numbers) in zip(indices, found, strict=True):
    if places is None:
      eights += 1
    elif len(places):
      counts[places] += numbers
      tops[int(index)] = int(places[-1])
  if eights == len(indices):
    return None
  low, high = choose_range(counts)
  if eights and high <= 255:
    low, high = 0, 255  # The range of the images of 8 bits beside them.
  _check_dark(source, tops, low, high)
  least, largest = np.flatnonzero(counts)[[0, -1]] if tops else (0, 0)
  note(
    f"16-bit images with values from {least:,} to {largest:,}: {low:,} to "
    f"{high:,} become 0 to 255, values outside are clipped; "
    "--intensity-range LOW HIGH sets another range"
  )
  _warn_of_outliers(counts, low, high)
  return low, high


def choose_range(counts: Int[np.ndarray, "65536"]) -> tuple[int, int]:
  """Returns the range for 16-bit values.

  The range holds all values of as many bits as the largest value has, at least
  8, so that it rarely depends on the choice of images. If the values lie within
  less than a quarter of it, the range goes from the least to the largest.

  Args:
    counts: number of times that each value occurs.
  """
  present = np.flatnonzero(counts)
  if not len(present):
    return 0, 65535
  least, largest = int(present[0]), int(present[-1])
  high = 2 ** max(8, largest.bit_length()) - 1
  if least < largest and largest - least < (high + 1) // 4:
    return least, largest
  return 0, high


def warn_of_darkness(name: str, counts: Int[np.ndarray, "256"]) -> None:
  """Prints a warning if 8-bit pixels use the darkest quarter of values only.

  Args:
    name: name of the data set.
    counts: number of times that each value occurs.
  """
  largest = int(np.flatnonzero(counts)[-1])
  if largest < 64:
    note(
      f"warning: no training pixel of {name} is above {largest} of 255: the "
      f"images are almost black; --intensity-range 0 {max(1, largest)} makes "
      f"{largest} white"
    )


def _count(pixels):
  """Returns the values of pixels that are not transparent, and their counts.

  Both are None for an image of 8 bits.
  """
  if pixels.dtype == np.uint8:
    return None, None
  channels = pixels.shape[-1]
  if channels in (2, 4):
    pixels = pixels[..., :-1][pixels[..., -1] > 255]
  counts = np.bincount(pixels.reshape(-1))
  places = np.flatnonzero(counts)
  return places, counts[places]


def _check_dark(source, tops, low, high):
  dark = {
    index: top
    for index, top in tops.items()
    if top - low < (high - low) * _DARK
  }
  if not dark:
    return
  # These images may be black, or may have fewer bits.
  index, top = max(dark.items(), key=lambda item: item[1])
  brightest = max(tops, key=tops.get)
  images = (
    f"{len(dark):,} of {len(tops):,} 16-bit training images have no value "
    f"above {top:,} ({source.describe(index)}), others reach "
    f"{tops[brightest]:,} ({source.describe(brightest)})"
  )
  bits = 2 ** max(8, top.bit_length()) - 1
  if len(dark) >= _TOO_MANY * len(tops):
    raise DataError(
      f"{images}: the former would become almost black; bring all to the same "
      f"number of bits, or set one range with --intensity-range 0 {bits} "
      f"(clips the latter) or --intensity-range {low} {high} (as they are)"
    )
  note(
    f"warning: {images}: the former become almost black; --intensity-range 0 "
    f"{bits} clips the latter instead"
  )


def _warn_of_outliers(counts, low, high):
  shares = np.cumsum(counts) / max(1, counts.sum())
  most = int(np.searchsorted(shares, 0.99))
  if most - low < (high - low) * _DARK:
    note(
      f"warning: 99 % of the 16-bit values are at most {most:,} and become "
      f"almost black; --intensity-range {low} {max(low + 1, most)} shows them "
      "and clips the others"
    )
