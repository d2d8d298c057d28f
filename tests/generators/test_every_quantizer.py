"""The quantizers that no other test trains, from images to samples."""

import dataclasses

import jax
import numpy as np
import pytest
import tiny

import vqvae_jax
from vqvae_jax.data import load_data

SCHEMES = {
  "simvq": {
    "gradient": "rotation",
    "codebook_norm": "l2",
    "code_temperature": 0.1,
  },
  "residual": {"depth": 2, "quantizer_dropout": 0.5},
  "product": {"groups": 2},
  "fsq": {"levels": (4, 3)},
  "lfq": {"bits": 4},
  "gumbel": {"divergence": 1e-3},
}
# A prior sees ids alone: several at a position, or one.
WITH_PRIOR = "residual", "fsq"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_train_encode_decode_sample(scheme, dataset, tmp_path):
  stage = "all" if scheme in WITH_PRIOR else "tokenizer"
  config = tiny.config(dataset, tmp_path, stage=stage)
  tokenizer = dataclasses.replace(
    config.tokenizer, quantizer=scheme, **SCHEMES[scheme]
  )
  screen = tiny.run(dataclasses.replace(config, tokenizer=tokenizer))
  model = vqvae_jax.load(tmp_path)
  several = {"residual": (2,), "product": (2,)}.get(scheme, ())
  assert f"{4 * (several or (1,))[0]} ids per image" in screen
  images = load_data(model.config)["validation"].images[:6]
  ids = model.encode(images)
  assert ids.shape == (6, 2, 2, *several)
  tokenizer = model.generator.tokenizer
  assert ids.max() < tokenizer.quantizer.num_codes
  out = jax.jit(tokenizer.apply)(model.weights["tokenizer"], images / 255)
  expected = np.clip(np.asarray(out.outputs) + 0.5, 0, 1)
  np.testing.assert_allclose(model.decode(ids), expected, atol=1e-5)
  if stage == "tokenizer":
    return
  labels = np.array([0, 1, 2, 0])
  assert model.sample(labels).shape == (4, 8, 8, 1)
  nats = model.log_prob(images, np.zeros(6, int))
  assert np.isfinite(nats).all() and (nats < 0).all()
