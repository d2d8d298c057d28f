"""The commands that are advised, run as they stand by the user."""

import shlex

import pytest
import tyro

from vqvae_jax.config import Config, StudyConfig
from vqvae_jax.jobs.summary import study_command


@pytest.mark.parametrize(
  "settings",
  [
    {"dataset": "folder:a b's"},
    {"dataset": "folder:a", "image_size": 32, "channels": 1},
    {"dataset": "npz:a.npz", "num_train_images": 500},
    {"dataset": "folder:a", "group_regex": r"/(p\d+)_", "labels_csv": "a.csv"},
    {"dataset": "mnist", "data_dir": "/d", "intensity_range": (0, 4095)},
  ],
)
def test_the_study_reads_the_images_as_the_run_did(settings):
  words = shlex.split(study_command(Config(**settings)))
  assert words[:3] == ["python", "-m", "vqvae_jax.study"]
  study = tyro.cli(StudyConfig, args=words[3:])
  for name, value in settings.items():
    if name != "num_train_images":
      assert getattr(study, name) == value, name
  assert study.num_real == settings.get("num_train_images", 0)
