"""Every knob of a run: typed, frozen, checked, and stored as JSON.

`tyro` turns these dataclasses into flags, so the comment above a field is its
`--help` text: what it is, its unit, and what it may be. A bad value raises
`ConfigError` when the dataclass is made, long before any training.
"""

from vqvae_jax.config.sampling import SampleConfig
from vqvae_jax.config.training import (
  MAX_DEFAULT_IDS,
  Config,
  PriorConfig,
  StageConfig,
  TokenizerConfig,
  from_dict,
  resolve_stride,
)

__all__ = [
  "MAX_DEFAULT_IDS",
  "Config",
  "PriorConfig",
  "SampleConfig",
  "StageConfig",
  "TokenizerConfig",
  "from_dict",
  "resolve_stride",
]
