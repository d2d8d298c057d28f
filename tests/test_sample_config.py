"""The settings of a batch job: what does not fit is named before any work."""

import pytest

from vqvae_jax.config import PriorConfig, SampleConfig
from vqvae_jax.errors import ConfigError


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"workdir": None}, "--workdir is missing"),
    ({"worker": "4/4"}, "--worker 4/4: workers are numbered from 0 to 3"),
    ({"worker": "0/0"}, "--worker 0/0: workers are numbered"),
    ({"worker": "1"}, "--worker '1' is not of the form 0/4"),
    ({"worker": "-1/4"}, "is not of the form"),
    ({"worker": "0/2", "multihost": True}, "both share the shards"),
    ({"share": 0.0}, "--share 0.0 must be above 0 and at most 1"),
    ({"format": "tfds", "out": "gs://b/o"}, "writes to local folders only"),
  ],
)
def test_what_does_not_fit_is_named(changes, message):
  with pytest.raises(ConfigError, match=message):
    SampleConfig(**({"workdir": "run"} | changes))


def test_workers():
  assert SampleConfig(workdir="run").worker_share() == (0, 1)
  assert SampleConfig(workdir="run", worker="3/16").worker_share() == (3, 16)
  # Checking needs no checkpoint.
  assert SampleConfig(verify=True).workdir is None


def test_priors():
  with pytest.raises(ConfigError, match="--prior.kernel 4 is not odd"):
    PriorConfig(kernel=4)
  assert PriorConfig(kernel=5, kind="pixelcnn").kernel == 5
  with pytest.raises(ConfigError, match="--prior.width 10 is not divisible"):
    PriorConfig(width=10)
  assert PriorConfig(kind="pixelcnn", width=10).width == 10
