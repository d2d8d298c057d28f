"""What the numbers of a study depend on beside its data."""

import dataclasses
import datetime
import importlib.metadata
import os
import platform
from typing import Any

import jax

from vqvae_jax.config import StudyConfig
from vqvae_jax.study import generators
from vqvae_jax.study.classical import STRENGTHS
from vqvae_jax.study.fitting import CANDIDATES, JUDGES

# What may change when a study goes on.
CHANGEABLE = {"out", "data_dir", "test"}


def settings(config: StudyConfig) -> dict[str, Any]:
  """All that must be the same when a study goes on."""
  values = dataclasses.asdict(config)
  flags = {k: v for k, v in values.items() if k not in CHANGEABLE}
  return flags | method(config)


def method(config: StudyConfig) -> dict[str, Any]:
  """What no flag sets and every number depends on."""
  return {
    "prior_guidance": generators.GUIDANCE,
    "strengths": {k: v._asdict() for k, v in STRENGTHS.items()},
    "judge_settings": {
      name: [
        f"{judge.settings}, batch {judge.batch_size}, "
        f"learning rate {judge.learning_rate:g}"
        for judge in CANDIDATES.get(name, [JUDGES[name]])
      ]
      for name in config.judges
    },
    "jax": jax.__version__,
    "device": jax.devices()[0].device_kind,
  }


def machine() -> dict[str, Any]:
  """Where and when the study was begun."""
  packages = ("flax", "optax")
  now = datetime.datetime.now(datetime.UTC)
  return {
    "started": now.isoformat(timespec="seconds"),
    "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    "devices": len(jax.devices()),
    "versions": ", ".join(
      [f"Python {platform.python_version()}"]
      + [f"{name} {importlib.metadata.version(name)}" for name in packages]
    ),
  }
