"""Integers of fewer bits than their container are never turned black."""

import dataclasses
import json

import numpy as np
import pytest
from pictures import png, save

from vqvae_jax.config import Config
from vqvae_jax.data import DataSpec, check_test_split, load_data, notes
from vqvae_jax.errors import DataError

ALL = ("train", "validation", "test")


@pytest.fixture(autouse=True)
def say_again():
  notes.note.cache_clear()


def deep(low, high, count=12, seed=0, side=12):
  """Images of 16 bits that use all values between two, both ends included."""
  rng = np.random.default_rng(seed)
  values = rng.integers(low, high + 1, (count, side, side)).astype(np.uint16)
  values[:, 0, 0], values[:, 0, 1] = low, high
  return values


def write(root, images, labels=None):
  """An image file for each array, in a folder for each class."""
  for i, image in enumerate(images):
    name = "ab"[i % 2] if labels is None else labels[i]
    save(root / name / f"{i:03}.png", image[..., None])
  return f"folder:{root}"


def load(name, splits=ALL, **settings):
  return load_data(Config(dataset=name, **settings), splits)


@pytest.mark.parametrize("bits", range(9, 17))
@pytest.mark.parametrize("kind", ["folder", "npz"])
def test_images_of_fewer_bits_use_all_of_0_to_255(tmp_path, capsys, kind, bits):
  values = deep(0, 2**bits - 1)
  if kind == "folder":
    name = write(tmp_path, values)
  else:
    np.savez(tmp_path / "x.npz", images=values, labels=np.arange(12) % 2)
    name = f"npz:{tmp_path / 'x.npz'}"
  data = load(name)
  assert data.spec.intensity_range == (0, 2**bits - 1)
  found = {image.tobytes() for part in ALL for image in data[part].images}
  assert found == {(v >> (bits - 8)).astype(np.uint8).tobytes() for v in values}
  said = capsys.readouterr().err
  high = f"{2**bits - 1:,}"
  assert said.count("\n") == 1
  assert (
    f"16-bit images with values from 0 to {high}: 0 to {high} become 0 to 255"
    in said
  )


@pytest.mark.parametrize(
  ("low", "high", "expected"),
  [
    (0, 3987, (0, 4095)),  # 12 bits that are not all used.
    (0, 255, (0, 255)),  # 8 bits in 16 stay what they are.
    (0, 3, (0, 3)),  # Numbers of classes, say.
    (300, 4095, (0, 4095)),
    (31_000, 35_000, (31_000, 35_000)),  # Far above 0.
    (65_000, 65_535, (65_000, 65_535)),
    (20_000, 60_000, (0, 65_535)),
  ],
)
def test_the_range_fits_the_values(tmp_path, low, high, expected):
  data = load(write(tmp_path, deep(low, high)))
  assert data.spec.intensity_range == expected
  pixels = data["train"].images.astype(int)
  first, last = expected
  assert abs(pixels.min() - 255 * (low - first) / (last - first)) <= 1
  assert abs(pixels.max() - 255 * (high - first) / (last - first)) <= 1
  assert pixels.max() - pixels.min() >= 63


def test_only_training_images_choose_and_others_are_clipped(tmp_path):
  for part, high in (("train", 1023), ("val", 4095), ("test", 65535)):
    write(tmp_path / part, deep(0, high))
  data = load(f"folder:{tmp_path}")
  assert data.spec.intensity_range == (0, 1023)
  for part, high in (("validation", 4095), ("test", 65535)):
    expected = np.minimum(deep(0, high) >> 2, 255).astype(np.uint8)
    images = {image.tobytes() for image in data[part].images}
    assert images == {image.tobytes() for image in expected}
  check_test_split(Config(dataset=f"folder:{tmp_path}"), data.spec)


def test_sets_too_large_for_memory_scale_alike_and_have_one_digest(
  tmp_path, monkeypatch
):
  name = write(tmp_path, deep(0, 4095))
  whole = load(name)
  monkeypatch.setattr("vqvae_jax.data.split.MAX_MEMORY_BYTES", 0)
  lazy = load(name)
  assert lazy["train"].images is None
  assert lazy.spec == whole.spec
  for part in ALL:
    rows = np.arange(len(whole[part]))
    np.testing.assert_array_equal(
      lazy[part].gather(rows)["image"], whole[part].images
    )


def test_the_range_is_recorded_and_old_runs_have_none(tmp_path):
  spec = load(write(tmp_path, deep(0, 4095)), ("train",)).spec
  values = json.loads(json.dumps(spec.to_dict()))
  assert DataSpec.from_dict(values) == spec
  del values["intensity_range"]
  old = DataSpec.from_dict(values)
  assert old == dataclasses.replace(spec, intensity_range=None)


def test_a_range_by_hand_clips_what_is_outside(tmp_path, capsys):
  values = deep(0, 4095)
  name = write(tmp_path, values)
  data = load(name, intensity_range=(1000, 2000))
  assert data.spec.intensity_range == (1000, 2000)
  expected = np.clip((values.astype(int) - 1000) * 256 // 1000, 0, 255)
  found = {image.tobytes() for p in ALL for image in data[p].images}
  assert found == {image.astype(np.uint8).tobytes() for image in expected}
  assert not capsys.readouterr().err


def test_a_range_by_hand_on_8_bits(tmp_path, capsys):
  digits = (deep(0, 16) % 17).astype(np.uint8)
  np.savez(tmp_path / "x.npz", images=digits)
  name = f"npz:{tmp_path / 'x.npz'}"
  load(name)
  assert "--intensity-range 0 16 makes 16 white" in capsys.readouterr().err
  data = load(name, intensity_range=(0, 16))
  assert data["train"].images.max() == 255
  assert not capsys.readouterr().err
  with pytest.raises(DataError, match="0 4095 is for images of 16 bits"):
    load(name, intensity_range=(0, 4095))


def test_8_bit_images_among_others_stay_what_they_are(tmp_path):
  shallow = (deep(0, 255, seed=1)).astype(np.uint8)
  write(tmp_path, [*deep(0, 4095), *shallow])
  for settings in ({}, {"intensity_range": (0, 4095)}):
    data = load(f"folder:{tmp_path}", **settings)
    assert data.spec.intensity_range == (0, 4095)
    found = {image.tobytes() for p in ALL for image in data[p].images}
    assert {image.tobytes() for image in shallow} <= found
    assert {
      (image >> 4).astype(np.uint8).tobytes() for image in deep(0, 4095)
    } <= found


def test_8_bits_stored_in_16_go_with_those_in_8(tmp_path):
  shallow = deep(0, 255, seed=1).astype(np.uint8)
  write(tmp_path, [*deep(0, 20), *shallow])
  data = load(f"folder:{tmp_path}")
  assert data.spec.intensity_range == (0, 255)
  found = {image.tobytes() for p in ALL for image in data[p].images}
  expected = [*deep(0, 20).astype(np.uint8), *shallow]
  assert found == {image.tobytes() for image in expected}


@pytest.mark.parametrize("part", ["val", "test"])
def test_16_bits_that_no_training_image_has(tmp_path, part):
  for name in ("train", "val", "test"):
    high, kind = (4095, np.uint16) if name == part else (255, np.uint8)
    write(tmp_path / name, deep(0, high).astype(kind))
  with pytest.raises(DataError, match=rf"{part}/./\d+.png has 16 bits, but no"):
    load(f"folder:{tmp_path}")


def test_files_of_12_bits_among_files_of_16(tmp_path, capsys):
  mixed = [*deep(0, 4000, 6), *deep(0, 65535, 6, seed=1)]
  name = write(tmp_path, mixed)
  with pytest.raises(DataError) as caught:
    load(name)
  message = str(caught.value)
  assert "16-bit training images have no value above 4,000" in message
  assert "--intensity-range 0 4095 (clips the latter)" in message
  assert "\n" not in message
  for values in ((0, 4095), (0, 65535)):
    assert load(name, intensity_range=values).spec.intensity_range == values
  # One that is merely dark does not end the run.
  dark = [*deep(0, 200, 1), *deep(0, 65535, 23, seed=1)]
  for part in ("train", "val", "test"):
    write(tmp_path / "dark" / part, dark)
  capsys.readouterr()
  load(f"folder:{tmp_path / 'dark'}")
  assert "warning: 1 of 24 16-bit training images" in capsys.readouterr().err


def test_one_bright_mark_in_every_image_is_told(tmp_path, capsys):
  marked = deep(0, 4095, side=32)
  marked[:, 5, 5] = 65535
  load(write(tmp_path, marked))
  said = capsys.readouterr().err
  most = int(np.quantile(marked, 0.99))
  assert "warning: 99 % of the 16-bit values are at most 4,0" in said
  assert abs(most - 4060) < 30


def test_transparent_pixels_choose_no_range(tmp_path):
  for i, grey in enumerate(deep(0, 4095)):
    opacity = np.full_like(grey, 65535)
    opacity[-1], grey[-1] = 0, 65535
    file = tmp_path / "ab"[i % 2] / f"{i}.png"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(png(np.stack([grey, opacity], -1), 4, 16))
  data = load(f"folder:{tmp_path}")
  assert data.spec.intensity_range == (0, 4095)
  assert np.all(data["train"].images[:, -1] == 255)
  assert np.all(data["train"].images[:, 0, 0] == 0)


def test_colours_of_12_bits(tmp_path):
  rng = np.random.default_rng(0)
  values = rng.integers(0, 4096, (12, 9, 9, 3))
  for i, image in enumerate(values):
    file = tmp_path / "ab"[i % 2] / f"{i}.png"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(png(image, 2, 16))
  data = load(f"folder:{tmp_path}")
  assert data.spec.intensity_range == (0, 4095)
  assert data.spec.image_shape == (9, 9, 3)
  found = {image.tobytes() for p in ALL for image in data[p].images}
  assert found == {(v >> 4).astype(np.uint8).tobytes() for v in values}
