"""Augmentation against pictures whose result is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqvae_jax import data
from vqvae_jax.data import resolve_augment
from vqvae_jax.data.augment import warp
from vqvae_jax.sharding import make_mesh, replicated, split

augment = jax.jit(data.augment, static_argnames="kind")
KINDS = ("none", "affine", "weak", "flip")


@pytest.fixture(scope="module")
def images():
  return jax.random.uniform(jax.random.key(5), (16, 12, 10, 3))


def test_warp_by_the_identity_changes_nothing(images):
  for outside in ("zero", "edge"):
    out = warp(images[0], jnp.eye(2), jnp.zeros(2), outside)
    np.testing.assert_allclose(out, images[0], atol=1e-6)


def test_warp_shifts_down_and_right_by_whole_pixels(images):
  image = np.asarray(images[0])
  black = warp(images[0], jnp.eye(2), jnp.array([2.0, 1.0]), "zero")
  expected = np.zeros_like(image)
  expected[2:, 1:] = image[:-2, :-1]
  np.testing.assert_allclose(black, expected, atol=1e-6)
  edge = warp(images[0], jnp.eye(2), jnp.array([2.0, 1.0]), "edge")
  padded = np.pad(image, ((2, 0), (1, 0), (0, 0)), mode="edge")
  np.testing.assert_allclose(edge, padded[:-2, :-1], atol=1e-6)


def test_warp_half_a_pixel_is_the_mean_of_neighbours(images):
  image = np.asarray(images[0])
  out = warp(images[0], jnp.eye(2), jnp.array([0.0, 0.5]), "zero")
  np.testing.assert_allclose(
    out[:, 1:], (image[:, 1:] + image[:, :-1]) / 2, atol=1e-6
  )
  np.testing.assert_allclose(out[:, 0], image[:, 0] / 2, atol=1e-6)


def test_warp_turns_by_a_quarter_about_the_centre():
  image = jax.random.uniform(jax.random.key(0), (9, 9, 1))
  quarter = jnp.array([[0.0, -1.0], [1.0, 0.0]])
  out = warp(image, quarter, jnp.zeros(2), "zero")
  # Result (y, x) is the image at (-x, y): a turn, about the very centre.
  expected = np.asarray(image)[::-1].transpose(1, 0, 2)
  np.testing.assert_allclose(out, expected, atol=1e-5)


def test_none_changes_nothing(images):
  assert data.augment(jax.random.key(0), images, "none") is images


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_stay_in_range_and_type(images, kind):
  out = augment(jax.random.key(0), images, kind)
  assert out.shape == images.shape
  assert out.dtype == images.dtype
  assert float(out.min()) >= 0
  assert float(out.max()) <= 1 + 1e-6


@pytest.mark.parametrize("kind", KINDS[1:])
def test_an_image_depends_on_its_key_and_not_on_others(images, kind):
  first = augment(jax.random.key(0), images, kind)
  again = augment(jax.random.key(0), images, kind)
  np.testing.assert_array_equal(first, again)
  other = augment(jax.random.key(1), images, kind)
  assert float(jnp.abs(first - other).max(axis=(1, 2, 3)).min()) > 0.01
  changed = images.at[1:].set(0.5)
  alone = augment(jax.random.key(0), changed, kind)
  np.testing.assert_array_equal(first[0], alone[0])
  # Copies of one image are each changed in their own way.
  copies = jnp.broadcast_to(images[:1], images.shape)
  out = augment(jax.random.key(0), copies, kind)
  assert float(jnp.abs(out[1:] - out[:1]).max(axis=(1, 2, 3)).min()) > 0.01


@pytest.mark.parametrize("kind", KINDS[1:])
def test_eight_devices_give_the_bytes_of_one(images, kind):
  key = jax.random.key(3)
  alone = augment(key, images, kind)
  mesh = make_mesh()
  assert mesh.size == 8
  spread = augment(
    jax.device_put(key, replicated(mesh)),
    jax.device_put(images, split(mesh)),
    kind,
  )
  np.testing.assert_allclose(spread, alone, atol=1e-6)


def test_affine_keeps_a_centred_digit_whole():
  """A 12-pixel square of ink: moved by at most 2 pixels, scaled by 10 %."""
  square = jnp.zeros((256, 28, 28, 1)).at[:, 8:20, 8:20].set(1.0)
  out = np.asarray(augment(jax.random.key(0), square, "affine"))[..., 0]
  ink = out.sum((1, 2))
  # Scaled by 0.92 to 1.08 along both sides; turning and shearing keep areas.
  assert ink.min() > 144 * 0.92**2 * 0.97
  assert ink.max() < 144 * 1.08**2 * 1.03
  assert ink.std() > 5
  y, x = np.indices((28, 28)) - 13.5
  for axis in (y, x):
    centre = (out * axis).sum((1, 2)) / ink
    assert np.abs(centre).max() <= 1.05
    # Uniform on [-1, 1]: a deviation of 0.58.
    assert 0.5 < centre.std() < 0.65
  # No ink reaches the border.
  assert out[:, 0].max() == out[:, -1].max() == 0


def test_weak_keeps_a_constant_picture_constant():
  grey = jnp.full((64, 10, 10, 1), 0.5)
  out = np.asarray(augment(jax.random.key(0), grey, "weak"))
  assert np.ptp(out, axis=(1, 2, 3)).max() < 1e-6
  brightness = out[:, 0, 0, 0] - 0.5
  assert np.abs(brightness).max() <= 0.05 + 1e-6
  assert brightness.std() > 0.02


def test_weak_never_mirrors_and_flip_mirrors_half():
  # Left half dark, right half bright.
  image = jnp.zeros((400, 16, 16, 1)).at[:, :, 8:].set(1.0)

  def mirrored(kind):
    out = np.asarray(augment(jax.random.key(0), image, kind))
    return (out[:, :, :8].mean((1, 2, 3)) > 0.5).mean()

  assert mirrored("weak") == 0
  assert 0.4 < mirrored("flip") < 0.6


def test_an_unknown_kind_is_an_error(images):
  with pytest.raises(ValueError, match="'mirror' is not one of"):
    augment(jax.random.key(0), images, "mirror")


@pytest.mark.parametrize(
  ("choice", "dataset", "kind"),
  [
    ("auto", "mnist5k", "affine"),
    ("auto", "mnist", "affine"),
    ("auto", "mnist:3.0.1", "affine"),
    ("auto", "emnist/letters", "affine"),
    ("auto", "fashion_mnist", "weak"),
    ("auto", "svhn_cropped", "weak"),
    ("auto", "folder:mnist", "weak"),
    ("none", "mnist5k", "none"),
    ("flip", "mnist5k", "flip"),
  ],
)
def test_auto_is_affine_for_centred_characters_alone(choice, dataset, kind):
  assert resolve_augment(choice, dataset) == kind
