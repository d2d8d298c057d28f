"""What depends on the images, the data set or the model."""

import dataclasses
import re

import pytest

from vqvae_jax.config import (
  BaselineConfig,
  Config,
  TokenizerConfig,
  resolve_stride,
  tokenizer,
)
from vqvae_jax.errors import ConfigError
from vqvae_jax.quantizers import LFQ


@pytest.mark.parametrize(
  "model, options, message",
  [
    ("dcgan", {"patience": 3}, "--baseline.patience 3: no validation loss"),
    ("dcgan", {"schedule": "plateau"}, "--baseline.schedule plateau: no"),
    ("dcgan", {"weights_ema": 0.9}, "--baseline.weights-ema 0.9: the batch"),
  ],
)
def test_what_cannot_train_a_model_is_refused(model, options, message):
  with pytest.raises(ConfigError, match=message):
    Config(model=model, baseline=BaselineConfig(**options))


def test_a_baseline_has_one_stage():
  with pytest.raises(ConfigError, match="--stage prior is for --model=vqvae"):
    Config(model="vae", stage="prior")


def test_what_is_left_to_the_model():
  for model, rate, decay, beta in (
    ("ae", 3e-3, 0.9, None),
    ("vae", 3e-3, 0.9, None),
    ("beta_vae", 3e-3, 0.9, 4.0),
    # The decay: Radford et al. 2016, section 3.
    ("dcgan", 5e-4, 0.5, None),
  ):
    found = BaselineConfig().resolve(model)
    assert (found.learning_rate, found.adam_b1, found.beta) == (
      rate,
      decay,
      beta,
    )
  given = BaselineConfig(learning_rate=1e-2, adam_b1=0.0, beta=2.0)
  assert given.resolve("beta_vae") == given
  # A stored configuration may hold what another model does not use.
  assert given.resolve("vae") == dataclasses.replace(given, beta=None)
  assert [
    TokenizerConfig(quantizer=name).with_defaults().entropy
    for name in ("ema", "lfq")
  ] == [0.0, LFQ(8).entropy]


@pytest.mark.parametrize(
  "height, width, stride",
  [
    (28, 28, 4),
    (32, 32, 4),
    (64, 64, 8),
    (56, 56, 4),
    (68, 60, 4),
    (64, 32, 4),
    (128, 128, 8),
    (256, 256, 16),
    (512, 512, 32),
    (1024, 1024, 64),
    (30, 30, 2),
    (2, 2, 2),
    (96, 64, 8),
    (60, 68, 4),
    (72, 72, 8),
    (16, 24, 4),
  ],
)
def test_default_stride(height, width, stride):
  assert resolve_stride(None, height, width) == stride
  assert (height // stride) * (width // stride) <= 256


@pytest.mark.parametrize("side", [27, 1, 45, 100, 300, 500, 513, 2048])
def test_default_stride_says_what_image_size_works(side):
  with pytest.raises(ConfigError) as caught:
    resolve_stride(None, side, side)
  message = str(caught.value)
  assert f"{side}x{side}" in message
  suggested = int(re.search(r"--image-size=(\d+)", message)[1])
  # It works, and of the sizes that work it is the nearest.
  assert resolve_stride(None, suggested, suggested) >= 2
  away = abs(suggested - side)
  for nearer in range(max(side - away + 1, 1), side + away):
    # `resolve_stride` would refuse it, but only after another such search.
    assert tokenizer._default_stride(nearer, nearer) is None


def test_explicit_stride():
  # More than 256 ids are the user's choice.
  assert resolve_stride(2, 64, 64) == 2
  assert resolve_stride(8, 16, 24) == 8
  for height, width in ((28, 32), (32, 28)):
    with pytest.raises(
      ConfigError, match=f"--tokenizer.stride 8 .*{width}x{height}"
    ):
      resolve_stride(8, height, width)


@pytest.mark.parametrize(
  "dataset, workdir",
  [
    ("mnist5k", "runs/mnist5k"),
    ("fashion_mnist", "runs/fashion_mnist"),
    ("folder:photos", "runs/photos"),
    ("folder:/data/chest_xray/", "runs/chest_xray"),
    ("folder:a/b/c", "runs/c"),
    ("npz:digits.npz", "runs/digits"),
    ("npz:/data/blood.v2.npz", "runs/blood.v2"),
  ],
)
def test_default_workdir(dataset, workdir):
  assert Config(dataset=dataset).resolve_workdir() == workdir
  assert Config(dataset=dataset, workdir="w/").resolve_workdir() == "w/"
  baseline = Config(dataset=dataset, model="beta_vae")
  assert baseline.resolve_workdir() == f"{workdir}_beta_vae"
