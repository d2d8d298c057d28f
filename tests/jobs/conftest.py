"""The batch job that several files of tests start from."""

import pytest
import tiny
from job_cases import files

from vqvae_jax.config import SampleConfig


@pytest.fixture(scope="module")
def settings(tiny_run, tmp_path_factory) -> SampleConfig:
  """A job of the tiny run, in a folder of the file that asks."""
  out = tmp_path_factory.mktemp("jobs") / "whole"
  # Blocks of 2 on each of the 8 devices: 40 images are two and a half.
  return SampleConfig(
    workdir=str(tiny_run[0]),
    out=str(out),
    num_images=40,
    batch_size=2,
    shard_size=15,
  )


@pytest.fixture(scope="module")
def whole(settings) -> dict[str, bytes]:
  """The images of that job, by path."""
  tiny.sample(settings)
  return files(settings.out)
