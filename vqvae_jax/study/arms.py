"""The arms of a study: the training sets that are compared."""

import dataclasses
from collections.abc import Iterable

import numpy as np

from vqvae_jax.study.images import Images
from vqvae_jax.study.parts import Part


@dataclasses.dataclass(frozen=True)
class GeneratorSpec:
  """A generator of the study: a model and how images are drawn from it.

  Attributes:
    model: name of the model.
    mode: mode of sampling.
  """

  model: str
  mode: str = "prior"

  @classmethod
  def parse(cls, name: str) -> "GeneratorSpec":
    """Returns the generator of a value of `--generators`, "vqvae-mix" say."""
    model, _, mode = name.partition("-")
    return cls(model, mode or "prior")

  @property
  def name(self) -> str:
    """The name of the generator in flags, records and reports."""
    return self.model if self.mode == "prior" else f"{self.model}-{self.mode}"


@dataclasses.dataclass(frozen=True)
class Arm:
  """One way to make a training set.

  Attributes:
    real: whether the real images are in it.
    strength: strength of the classical augmentation, a name of `STRENGTHS`.
    generator: generator whose images are in it; None without one.
    multiplier: number of generated images for each real one; without a
      generator, the real images are repeated as if those were real ones, too.
    real_share: share of real images in each batch of an arm with both.
  """

  real: bool = True
  strength: str = "none"
  generator: GeneratorSpec | None = None
  multiplier: float = 0.0
  real_share: float = 1.0

  @property
  def classical(self) -> bool:
    """Whether the images are augmented classically."""
    return self.strength != "none"

  @property
  def mixed(self) -> bool:
    """Whether there are both real and generated images."""
    return self.real and self.generator is not None

  @property
  def repeated(self) -> bool:
    """Whether the real images are repeated."""
    return self.generator is None and self.multiplier > 0

  @property
  def name(self) -> str:
    """The name of the arm in records and reports, "classical+vqvae" say."""
    generator = self.generator.name if self.generator else ""
    if not self.real:
      return generator
    if self.repeated:
      return "repeated"
    base = "classical" if self.classical else "real"
    return f"{base}+{generator}" if generator else base

  @property
  def slug(self) -> str:
    """The name of the arm's files, which no other arm of the study has."""
    slug = f"{self.name}-x{self.multiplier:g}"
    if self.classical:
      slug += f"@{self.strength}"
    if self.mixed:
      slug += f"@{self.real_share:g}"
    return slug

  def parts(
    self, real: Images, generated: Images | None, repeated: int
  ) -> list[Part]:
    """Returns the parts of the training set.

    Args:
      real: training images.
      generated: images of the generator; None for arms without one.
      repeated: number of images of the arm that repeats the real ones.
    """
    if self.repeated:
      real = real.take(np.arange(repeated) % len(real))
    if generated is None:
      return [Part(real.images, real.labels, 1.0, self.strength)]
    if not self.real:
      return [Part(generated.images, generated.labels)]
    share = self.real_share
    return [
      Part(real.images, real.labels, share, self.strength),
      Part(generated.images, generated.labels, 1 - share, self.strength),
    ]


def arms(
  generators: Iterable[GeneratorSpec], multiplier: float, strength: str
) -> list[Arm]:
  """Returns all arms of a study at one multiplier.

  Args:
    generators: generators of the study.
    multiplier: number of generated images for each real one.
    strength: strength of the classical augmentation.
  """
  found = [Arm(), Arm(strength=strength), Arm(multiplier=multiplier)]
  for generator in generators:
    mixed = Arm(generator=generator, multiplier=multiplier)
    found += [
      dataclasses.replace(mixed, real=False),
      mixed,
      dataclasses.replace(mixed, strength=strength),
    ]
  return found
