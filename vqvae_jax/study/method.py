"""Records what the results of a study depend on beside its data."""

import dataclasses
import datetime
import importlib.metadata
import os
import platform
from typing import Any

import jax

from vqvae_jax.config import StudyConfig
from vqvae_jax.data.augment import STRENGTHS
from vqvae_jax.study import generators
from vqvae_jax.study.fitting import CANDIDATES, CLASSIFIERS

# Settings that may change when a study continues.
CHANGEABLE = {"out", "data_dir", "test"}


def settings(config: StudyConfig) -> dict[str, Any]:
  """Returns what has to be the same when a study continues."""
  values = dataclasses.asdict(config)
  flags = {k: v for k, v in values.items() if k not in CHANGEABLE}
  return flags | method(config)


def method(config: StudyConfig) -> dict[str, Any]:
  """Returns what all results depend on and no flag sets."""
  return {
    "prior_guidance": generators.GUIDANCE,
    "strengths": {k: v._asdict() for k, v in STRENGTHS.items()},
    "classifier_settings": {
      name: [
        f"{spec.settings}, batch {spec.batch_size}, "
        f"learning rate {spec.learning_rate:g}"
        for spec in CANDIDATES.get(name, (CLASSIFIERS[name],))
      ]
      for name in config.classifiers
    },
    "jax": jax.__version__,
    "device": jax.devices()[0].device_kind,
  }


def machine() -> dict[str, Any]:
  """Returns where and when the study was begun."""
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
