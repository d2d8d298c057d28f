"""Geometry of picture grids, and that PNG files hold the very pixels."""

import io

import numpy as np
import pytest
from PIL import Image

from vqvae_jax.training import pictures

GAP = pictures.GAP


def drawn(count, height, width, channels=1):
  rng = np.random.default_rng(0)
  shape = (count, height, width, channels)
  return rng.integers(0, 255, shape).astype(np.uint8)


def cell(page, row, column, height, width):
  top = GAP + row * (height + GAP)
  left = GAP + column * (width + GAP)
  return page[top : top + height, left : left + width]


def test_to_uint8_rounds_and_clips():
  values = np.array([-1.0, 0.0, 0.4 / 255, 0.6 / 255, 0.5, 254.6 / 255, 1, 9])
  np.testing.assert_array_equal(
    pictures.to_uint8(values.reshape(1, 2, 4, 1)).ravel(),
    [0, 0, 0, 1, 128, 255, 255, 255],
  )
  every = np.arange(256).reshape(1, 16, 16, 1)
  np.testing.assert_array_equal(
    pictures.to_uint8((every / 255).astype(np.float32)), every
  )


@pytest.mark.parametrize(
  "height, width, channels, factor",
  [(28, 28, 1, 2), (32, 32, 3, 1), (8, 14, 1, 4), (64, 100, 3, 1)],
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
