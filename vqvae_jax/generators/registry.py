"""The classes of the generators by the names that settings know them by."""

import importlib
from collections.abc import Iterator, Mapping

from vqvae_jax.config import Config, generators
from vqvae_jax.data import DataSpec
from vqvae_jax.generators.base import Generator


class _Registry(Mapping[str, type[Generator]]):
  """Imports the class of a generator when it is asked for."""

  def __getitem__(self, name: str) -> type[Generator]:
    module, _, kind = generators.REGISTERED[name].code.partition(":")
    return getattr(importlib.import_module(module), kind)

  def __iter__(self) -> Iterator[str]:
    return iter(generators.REGISTERED)

  def __len__(self) -> int:
    return len(generators.REGISTERED)


GENERATORS = _Registry()


def build(config: Config, spec: DataSpec) -> Generator:
  """Returns the generator of a run, without weights.

  Raises:
    ConfigError: if it cannot take the images.
  """
  return GENERATORS[config.model](config, spec)
