"""Quantizers: Flax modules that take latents to ids of codes and back.

`Quantizer` is their interface. `QUANTIZERS` has a class for each value of the
setting of that name, and `build` makes one from settings.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from vqvae_jax.quantizers.base import Quantizer, QuantizerOutput
from vqvae_jax.quantizers.composite import ProductQuantizer, ResidualQuantizer
from vqvae_jax.quantizers.gumbel import GumbelQuantizer
from vqvae_jax.quantizers.nearest import EMAQuantizer, SimVQ, VectorQuantizer
from vqvae_jax.quantizers.projected import Projected
from vqvae_jax.quantizers.scalar import FSQ, LFQ
from vqvae_jax.quantizers.search import nearest_code

QUANTIZERS: dict[str, type[Quantizer]] = {
  "ema": EMAQuantizer,
  "vq": VectorQuantizer,
  "simvq": SimVQ,
  "residual": ResidualQuantizer,
  "product": ProductQuantizer,
  "fsq": FSQ,
  "lfq": LFQ,
  "gumbel": GumbelQuantizer,
}


def build(name: str, settings: Mapping[str, Any]) -> Quantizer:
  """Returns a quantizer whose attributes are the settings of the same names.

  `build("fsq", {"levels": (8, 5, 5, 5), "bits": 10})` is `FSQ((8, 5, 5, 5))`.

  Args:
    name: a key of `QUANTIZERS`.
    settings: settings of any quantizers. Those that this one does not have are
      left out, and those that are None stay at its own default.

  Raises:
    ValueError: if the name is unknown or the settings are impossible.
  """
  if name not in QUANTIZERS:
    raise ValueError(
      f"quantizer {name!r} is not one of {', '.join(QUANTIZERS)}"
    )
  kind = QUANTIZERS[name]
  # Flax adds the attributes `parent` and `name`.
  names = {field.name for field in dataclasses.fields(kind)} - {
    "parent",
    "name",
  }
  given = {key: settings[key] for key in names & settings.keys()}
  return kind(**{k: v for k, v in given.items() if v is not None})


__all__ = [
  "EMAQuantizer",
  "FSQ",
  "GumbelQuantizer",
  "LFQ",
  "ProductQuantizer",
  "Projected",
  "QUANTIZERS",
  "Quantizer",
  "QuantizerOutput",
  "ResidualQuantizer",
  "SimVQ",
  "VectorQuantizer",
  "build",
  "nearest_code",
]
