"""The range of 16-bit values that becomes 0 to 255, found from the images.

Cameras and X-ray detectors give 10, 12 or 14 bits, stored in files of 16: their
upper 8 bits alone would be almost black.
"""

import functools
import sys

import numpy as np
from jaxtyping import Int

from vqvae_jax.data.source import Source
from vqvae_jax.data.split import in_order
from vqvae_jax.errors import DataError

# An image that uses no more of the range than this is almost black.
_DARK = 1 / 16
# From this share of dark images on, they are taken for images of fewer bits.
_TOO_MANY = 0.1


@functools.cache
def say(line: str):
  """Tells the user something once: a study opens the same images many times."""
  print(line, file=sys.stderr, flush=True)


def find_range(source: Source, indices: Int[np.ndarray, " n"]):
  """The range that the 16-bit images among some need, told in one line.

  Args:
    source: source of the images.
    indices: numbers of the images, those of the training split.

  Returns:
    The values (low, high) that become 0 and 255, or None if no image has 16
    bits.

  Raises:
    DataError: if many images are far darker than others, as if their values
      had fewer bits.
  """
  counts, tops, eights = np.zeros(65536, np.int64), {}, 0
  found = in_order(
    lambda i: _count(source[int(indices[i])]["image"]),
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
    low, high = 0, 255  # As the images of 8 bits beside them.
  _check_dark(source, tops, low, high)
  least, largest = np.flatnonzero(counts)[[0, -1]] if tops else (0, 0)
  say(
    f"16-bit images with values from {least:,} to {largest:,}: {low:,} to "
    f"{high:,} become 0 to 255, values outside are clipped; "
    "--intensity-range LOW HIGH says otherwise"
  )
  _warn_of_outliers(counts, low, high)
  return low, high


def choose_range(counts: Int[np.ndarray, "65536"]) -> tuple[int, int]:
  """The range for 16-bit values that occur so often.

  That is all values of as many bits as the largest one has, at least 8, so
  that it rarely depends on the choice of images; or, if the values lie within
  less than a quarter of it, from the least to the largest.

  Args:
    counts: how often each value occurs.
  """
  present = np.flatnonzero(counts)
  if not len(present):
    return 0, 65535
  least, largest = int(present[0]), int(present[-1])
  high = 2 ** max(8, largest.bit_length()) - 1
  if least < largest and largest - least < (high + 1) // 4:
    return least, largest
  return 0, high


def warn_of_darkness(name: str, counts: Int[np.ndarray, "256"]):
  """Says that 8-bit pixels use few of their values, as 0 to 16 of digits."""
  largest = int(np.flatnonzero(counts)[-1])
  if largest < 64:
    say(
      f"warning: no training pixel of {name} is above {largest} of 255: the "
      f"images are almost black; --intensity-range 0 {max(1, largest)} makes "
      f"{largest} white"
    )


def _count(pixels):
  """The values of a 16-bit image that are not transparent, and how many."""
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
  # They may be black, or of fewer bits.
  index, top = max(dark.items(), key=lambda item: item[1])
  brightest = max(tops, key=tops.get)
  told = (
    f"{len(dark):,} of {len(tops):,} 16-bit training images have no value "
    f"above {top:,} ({source.describe(index)}), others reach "
    f"{tops[brightest]:,} ({source.describe(brightest)})"
  )
  bits = 2 ** max(8, top.bit_length()) - 1
  if len(dark) >= _TOO_MANY * len(tops):
    raise DataError(
      f"{told}: the former would become almost black; bring all to the same "
      f"number of bits, or name one range with --intensity-range 0 {bits} "
      f"(clips the latter) or --intensity-range {low} {high} (as they are)"
    )
  say(
    f"warning: {told}: the former become almost black; --intensity-range 0 "
    f"{bits} clips the latter instead"
  )


def _warn_of_outliers(counts, low, high):
  shares = np.cumsum(counts) / max(1, counts.sum())
  most = int(np.searchsorted(shares, 0.99))
  if most - low < (high - low) * _DARK:
    say(
      f"warning: 99 % of the 16-bit values are at most {most:,} and become "
      f"almost black; --intensity-range {low} {max(low + 1, most)} shows them "
      "and clips the others"
    )
