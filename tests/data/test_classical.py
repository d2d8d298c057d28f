"""Classical augmentation against pictures whose result is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqvae_jax.data.augment import STRENGTHS, Strength, classical

changed = jax.jit(classical)
NONE = STRENGTHS["none"]


def change(images, strength):
  magnitudes = np.repeat([strength], len(images), axis=0).astype(np.float32)
  return np.asarray(changed(jax.random.key(0), images, magnitudes))


def bright_square(n):
  return jnp.zeros((n, 28, 28, 1)).at[:, 10:18, 10:18].set(1.0)


def centres(images):
  grid = np.indices(images.shape[1:3])[..., None] - 13.5
  ink = images.sum(axis=(1, 2, 3))
  return (grid[:, None] * images).sum(axis=(2, 3, 4)) / ink, ink


def test_each_image_has_its_own_strength_and_none_changes_no_bit():
  images = jax.random.uniform(jax.random.key(1), (8, 13, 10, 3))
  strengths = [NONE, STRENGTHS["strong"]] * 4
  out = np.asarray(
    changed(jax.random.key(0), images, np.array(strengths, np.float32))
  )
  np.testing.assert_array_equal(out[::2], images[::2])
  assert np.abs(out - images)[1::2].max(axis=(1, 2, 3)).min() > 0.1
  assert out.min() >= 0
  assert out.max() <= 1


def test_an_image_depends_on_its_key_and_not_on_others():
  images = jax.random.uniform(jax.random.key(1), (8, 13, 10, 3))
  first = change(images, STRENGTHS["strong"])
  alone = change(images.at[1:].set(0.5), STRENGTHS["strong"])
  np.testing.assert_array_equal(first[0], alone[0])
  copies = change(
    jnp.broadcast_to(images[:1], images.shape), STRENGTHS["light"]
  )
  assert np.abs(copies[1:] - copies[:1]).max(axis=(1, 2, 3)).min() > 0.01


def test_shift_is_of_the_side():
  moved, ink = centres(change(bright_square(200), NONE._replace(shift=0.1)))
  np.testing.assert_allclose(ink, 64, rtol=1e-5)
  assert 2.6 < np.abs(moved).max() <= 2.8 + 1e-5
  # Uniform: a deviation of 2.8 / sqrt(3), in each direction on its own.
  np.testing.assert_allclose(moved.std(axis=1), 2.8 / 3**0.5, rtol=0.15)
  assert abs(np.corrcoef(moved)[0, 1]) < 0.2


def test_rotation_is_in_degrees():
  """A bar to the right of the centre turns by at most the angle."""
  bar = jnp.zeros((200, 41, 41, 1)).at[:, 19:22, 25:39].set(1.0)
  out = change(bar, NONE._replace(rotation=20.0))
  grid = np.indices((41, 41))[..., None] - 20
  y, x = (grid[:, None] * out).sum(axis=(2, 3, 4))
  angles = np.degrees(np.arctan2(y, x))
  assert 18 < np.abs(angles).max() < 20.5
  assert abs(angles.mean()) < 3
  np.testing.assert_allclose(angles.std(), 20 / 3**0.5, rtol=0.15)


def test_scale_makes_smaller_and_larger():
  moved, ink = centres(change(bright_square(200), NONE._replace(scale=0.2)))
  np.testing.assert_allclose(moved, 0, atol=1e-4)
  sides = np.sqrt(ink / 64)
  assert 0.78 < sides.min() < 0.84
  assert 1.16 < sides.max() < 1.22


def test_crop_enlarges_a_part_that_lies_anywhere_inside():
  """Of a ramp from 0 to 1, what is seen says where the crop lay."""
  ramp = jnp.broadcast_to(
    jnp.linspace(0, 1, 28)[None, None, :, None], (400, 28, 28, 1)
  )
  out = change(ramp, NONE._replace(crop=0.25))[:, 14, :, 0]
  left, right = out[:, 0], out[:, -1]
  width = right - left
  assert width.max() <= 1
  assert 0.72 < width.min() < 0.78
  np.testing.assert_allclose(width.mean(), 0.875, atol=0.02)
  # The crop is inside, up to the half pixel beyond the outermost centres.
  room = 1 - width
  place = left[room > 0.1] / room[room > 0.1]
  assert place.min() < 0.15
  assert place.max() > 0.85
  # And moves in both directions: upright ramps are the same turned.
  upright = change(ramp.swapaxes(1, 2), NONE._replace(crop=0.25))
  width = upright[:, -1, 14, 0] - upright[:, 0, 14, 0]
  assert 0.72 < width.min() < 0.78


def test_noise_is_gaussian_up_to_its_deviation():
  grey = jnp.full((200, 28, 28, 1), 0.5)
  deviations = change(grey, NONE._replace(noise=0.1)).std(axis=(1, 2, 3))
  assert 0.09 < deviations.max() < 0.11
  np.testing.assert_allclose(deviations.mean(), 0.05, rtol=0.15)


def test_the_border_is_repeated():
  white = jnp.ones((50, 12, 12, 1))
  out = change(white, STRENGTHS["strong"]._replace(noise=0.0))
  np.testing.assert_allclose(out, 1, atol=1e-5)


@pytest.mark.parametrize("kind", Strength._fields)
def test_strengths_ascend(kind):
  ladder = [getattr(strength, kind) for strength in STRENGTHS.values()]
  assert ladder[0] == 0
  assert (np.diff(ladder) > 0).all()
