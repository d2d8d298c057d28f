"""The arms of the study: what a judge learns from."""

import dataclasses
import hashlib
from functools import cached_property

import numpy as np
from jaxtyping import Int, UInt8

from vqvae_jax.study.parts import Part


@dataclasses.dataclass(frozen=True)
class Images:
  """Labelled images: uint8 [n, h, w, c] and int [n]."""

  images: UInt8[np.ndarray, "n h w c"]
  labels: Int[np.ndarray, " n"]

  def __len__(self) -> int:
    return len(self.labels)

  @cached_property
  def digest(self) -> str:
    """SHA-256 of the images and their labels."""
    found = hashlib.sha256(repr(self.images.shape).encode())
    found.update(np.ascontiguousarray(self.images))
    found.update(np.asarray(self.labels, "<i8").tobytes())
    return found.hexdigest()

  def take(self, rows) -> "Images":
    """Some of them, by index, slice or mask."""
    return Images(self.images[rows], self.labels[rows])


@dataclasses.dataclass(frozen=True)
class Arm:
  """One way to make a training set.

  Attributes:
    kind: "real", "classical" (real, classically augmented), "repeated" (real
      images until they are as many as real and generated ones together),
      "alone" (generated only), "real+" or "classical+" (either with generated
      ones).
    generator: of the last three; empty for the others.
    multiplier: generated (or repeated) images over real ones.
  """

  kind: str
  generator: str = ""
  multiplier: float = 0.0

  @property
  def name(self) -> str:
    """As reports call it: "classical+vqvae", say."""
    if self.kind == "alone":
      return self.generator
    return self.kind + self.generator

  @property
  def slug(self) -> str:
    """A file name of its own."""
    return f"{self.name}-x{self.multiplier:g}"


def arms(generators: list[str], multiplier: float) -> list[Arm]:
  """All arms at one multiplier."""
  plain = [Arm("real"), Arm("classical"), Arm("repeated", "", multiplier)]
  return plain + [
    Arm(kind, generator, multiplier)
    for generator in generators
    for kind in ("alone", "real+", "classical+")
  ]


def parts(
  arm: Arm,
  real: Images,
  generated: Images | None,
  strength: str,
  real_share: float,
  repeated: int,
) -> list[Part]:
  """The sources of an arm's batches.

  Args:
    arm: which.
    real: training images.
    generated: images of the arm's generator, None for arms without one.
    strength: of the classical augmentation.
    real_share: of each batch, where there are generated images, too.
    repeated: images in all of the arm that repeats the real ones.
  """
  augment = strength if arm.kind.startswith("classical") else "none"
  if arm.kind == "alone":
    return [Part(generated.images, generated.labels)]
  if arm.kind == "repeated":
    real = real.take(np.arange(repeated) % len(real))
  if generated is None:
    return [Part(real.images, real.labels, 1.0, augment)]
  return [
    Part(real.images, real.labels, real_share, augment),
    Part(generated.images, generated.labels, 1 - real_share, augment),
  ]
