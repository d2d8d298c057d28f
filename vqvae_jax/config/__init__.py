"""Every setting of a run: typed, frozen, checked, and stored as JSON.

`vqvae_jax.commands` turns these dataclasses into flags. The comment above a
field is its text in `--help-all`, and its rule (see `fields`) adds the range,
the default and when the setting matters. A wrong value raises `ConfigError`
when the dataclass is made, long before any training.
"""

from vqvae_jax.config.baseline import BaselineConfig
from vqvae_jax.config.fields import Settings
from vqvae_jax.config.prior import PriorConfig
from vqvae_jax.config.sampling import SampleConfig
from vqvae_jax.config.stage import StageConfig
from vqvae_jax.config.study import StudyConfig
from vqvae_jax.config.tokenizer import (
  MAX_DEFAULT_IDS,
  MAX_QUICK_IDS,
  TokenizerConfig,
  resolve_stride,
)
from vqvae_jax.config.training import Config, from_dict

# Only type checkers that change classes as they are made read this mark. Later
# it would hide the types of the fields from `typing.get_type_hints`.
del Settings.__no_type_check__

__all__ = [
  "MAX_DEFAULT_IDS",
  "MAX_QUICK_IDS",
  "BaselineConfig",
  "Config",
  "PriorConfig",
  "SampleConfig",
  "StageConfig",
  "StudyConfig",
  "TokenizerConfig",
  "from_dict",
  "resolve_stride",
]
