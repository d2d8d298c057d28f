"""Generators: what learns images and makes new ones.

Each has a folder with its networks, the task of each of its stages and a class
that derives from `base.Generator`; `GENERATORS` finds the class by name. What
is trained is a `Trained` object. See docs/add-a-generator.md.
"""

from vqvae_jax.generators.base import Generator, Stage
from vqvae_jax.generators.registry import GENERATORS, build
from vqvae_jax.generators.trained import Trained, load

__all__ = ["GENERATORS", "Generator", "Stage", "Trained", "build", "load"]
