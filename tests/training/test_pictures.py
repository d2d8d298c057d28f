"""Geometry of picture grids, and that PNG files hold the very pixels."""

import io

import numpy as np
import pytest
from PIL import Image

from vqvae_jax import pictures
from vqvae_jax.generators import stage_pictures

GAP = pictures.GAP


def drawn(count, height, width, channels=1):
  rng = np.random.default_rng(0)
  shape = (count, height, width, channels)
  return rng.integers(0, 255, shape).astype(np.uint8)


def cell(page, row, column, height, width):
  top = GAP + row * (height + GAP)
  left = GAP + column * (width + GAP)
  return page[top : top + height, left : left + width]


@pytest.mark.parametrize(
  "height, width, channels, factor",
  [(28, 28, 1, 2), (32, 32, 3, 2), (8, 14, 1, 4), (64, 100, 3, 1)],
)
def test_grid_enlarges_by_a_whole_factor(height, width, channels, factor):
  images = drawn(7, height, width, channels)
  page = pictures.grid(images, columns=3)
  h, w = height * factor, width * factor
  assert page.shape == (3 * (h + GAP) + GAP, 3 * (w + GAP) + GAP, channels)
  for i, image in enumerate(images):
    shown = cell(page, i // 3, i % 3, h, w)
    # Every pixel is a square of its own, nothing is blurred.
    for dy in range(factor):
      for dx in range(factor):
        np.testing.assert_array_equal(shown[dy::factor, dx::factor], image)


def test_grid_is_white_around_the_images():
  images = np.zeros((5, 28, 28, 1), np.uint8)
  page = pictures.grid(images, columns=3)
  assert (page == 0).sum() == 5 * 56 * 56
  assert (page[page != 0] == 255).all()
  assert (cell(page, 1, 2, 56, 56) == 255).all()
  for line in (page[:GAP], page[-GAP:], page[:, :GAP], page[:, -GAP:]):
    assert (line == 255).all()


def test_pairs_stand_below_each_other():
  originals, others = drawn(5, 56, 56), 255 - drawn(5, 56, 56)
  page = pictures.pairs(originals, others, columns=3)
  for i in range(5):
    row, column = 2 * (i // 3), i % 3
    np.testing.assert_array_equal(cell(page, row, column, 56, 56), originals[i])
    np.testing.assert_array_equal(
      cell(page, row + 1, column, 56, 56), others[i]
    )
  assert page.shape[0] == 4 * (56 + GAP) + GAP
  for row in (2, 3):
    assert (cell(page, row, 2, 56, 56) == 255).all()


@pytest.mark.parametrize("channels, mode", [(1, "L"), (3, "RGB")])
def test_png_round_trip(channels, mode):
  pixels = drawn(1, 9, 13, channels)[0]
  image = Image.open(io.BytesIO(pictures.png(pixels)))
  assert (image.format, image.mode) == ("PNG", mode)
  back = np.asarray(image).reshape(pixels.shape)
  np.testing.assert_array_equal(back, pixels)


@pytest.mark.parametrize("counts", [[5, 0, 100, 1], [0, 0, 3]])
def test_usage_plot_shows_the_codes_in_use(counts):
  plot = pictures.usage_plot(np.array(counts, np.float32))
  assert plot.dtype == np.uint8
  assert plot.shape[-1] == 3
  # White ground, black text, and bars where a code is used.
  colours = {tuple(c) for c in plot.reshape(-1, 3)}
  assert {(255, 255, 255), (0, 0, 0)} <= colours
  coloured = (plot.max(axis=-1) - plot.min(axis=-1) > 50).sum()
  assert coloured > 500


@pytest.mark.parametrize("height, width", [(28, 28), (8, 90), (90, 8), (1, 1)])
@pytest.mark.parametrize("channels", [1, 3])
def test_names_stand_in_margins_of_their_own(height, width, channels):
  images = drawn(6, height, width, channels)
  names = [
    "cat",
    "a dog of a breed with a name that goes on and on",
    "\u00e9\u0436",
  ]
  bare = pictures.grid(images, 2)
  page = pictures.grid(images, 2, names, ["left", "right"], title="some")
  assert page.shape[-1] == 3
  # No image is covered: all pixels are there, in the same order.
  found = page[(page != 255).any(axis=-1)]
  colours = {
    tuple(c) for c in np.broadcast_to(bare, (*bare.shape[:2], 3)).reshape(-1, 3)
  }
  assert colours - {(255, 255, 255)} <= {tuple(c) for c in found}
  # A name stands beside its own row.
  rows = pictures.grid(np.full_like(images, 255), 2, ["", "cat", ""])
  dark = np.flatnonzero((rows < 128).any(axis=(1, 2)))
  assert rows.shape[0] / 3 <= dark.min() <= dark.max() <= rows.shape[0] * 2 / 3


def test_a_name_without_letters_in_the_font_is_a_number():
  lacking = [
    "\u732b",
    "\u0645\u0631\u062d\u0628\u0627",
    "\U0001f436",
    "a\ud800",
    "x\u001b[1m",
  ]
  for name in lacking:
    assert pictures.legible(["cat", name]) == ["cat", "class 1"]
  drawn_names = [
    "cat",
    "\u00e4pfel",
    "\u043a\u043e\u0442",
    "\u03b3",
    "1 % & <b>",
    "_",
  ]
  assert pictures.legible(drawn_names) == drawn_names
  # A letter with its accent apart, as macOS writes file names.
  assert pictures.legible(["a\u0308pfel"]) == ["\u00e4pfel"]


def test_a_long_name_is_wrapped_and_shortened():
  lines = pictures._lines("first_second_third_" * 9, 100, 3)
  assert len(lines) == 3
  assert lines[-1].endswith("\u2026")
  assert all(pictures._font().getlength(line) <= 100 for line in lines)
  assert pictures._lines("cat", 100, 3) == ["cat"]


def test_code_map_has_a_square_for_each_id():
  ids = np.array([[[0, 1, 2], [3, 4, 255]], [[0, 0, 0], [0, 0, 1]]])
  page = pictures.code_map(ids, 8, 12)
  assert page.shape == (2, 8, 12, 3)
  squares = page.reshape(2, 2, 4, 3, 4, 3)
  assert (squares == squares[:, :, :1, :, :1]).all()
  # Equal ids have equal colours, others differ.
  colours = squares[:, :, 0, :, 0].reshape(-1, 3)
  for a, first in zip(ids.ravel(), colours, strict=True):
    for b, second in zip(ids.ravel(), colours, strict=True):
      assert (a == b) == bool((first == second).all())


def test_validation_pictures_show_every_class():
  labels = np.array([2] * 40 + [0] * 3 + [1] * 9)
  rows = stage_pictures.of_each_class(labels, 3, 8)
  assert [len(row) for row in rows] == [3, 8, 8]
  for label, row in enumerate(rows):
    assert (labels[row] == label).all()
    assert len(set(row)) == len(row)
  # Spread over the class, not its first files alone.
  assert rows[2][0] == 0
  assert rows[2][-1] == 39
  # A class may be absent.
  assert [len(r) for r in stage_pictures.of_each_class(labels, 4, 8)][3] == 0
