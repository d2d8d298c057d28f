"""What every generator is: stages that are fitted, latents, samples, modes."""

import abc
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Array, Float, Int, Key, PyTree

from vqvae_jax.config import Config, StageConfig
from vqvae_jax.data import DataSpec
from vqvae_jax.errors import ArgumentError, ConfigError
from vqvae_jax.generators.plan import Plan
from vqvae_jax.training.state import Task

# A way in which a job makes images: a function of the trained generator and of
# the settings of the job.
Mode = Callable[..., Plan]


@dataclasses.dataclass(frozen=True)
class Stage:
  """A part of a generator that is fitted by itself.

  Attributes:
    name: name of its group of settings, of its folder in the run folder, and
      of its metrics.
    title: name on the screen.
    settings: settings of the stage, with nothing left to the generator.
    make_task: function from the weights of `built_upon`, or () without, to the
      task that fits the stage.
    built_upon: name of an earlier stage whose weights the task reads.
    weights: function from the variables in a checkpoint to what the functions
      of the generator read of them.
    charts: function from the sums over the validation split to pictures.
  """

  name: str
  title: str
  settings: StageConfig
  make_task: Callable[[PyTree], Task]
  built_upon: str | None = None
  weights: Callable[[PyTree], PyTree] = lambda variables: variables
  charts: Callable[[PyTree], dict[str, np.ndarray]] = lambda sums: {}


class Generator(abc.ABC):
  """A generator of a run: its networks and stages, without weights.

  The first stage learns to encode and to decode; the others, if there are any,
  learn its latents. `encode`, `decode`, `draw` and `log_prob` are pure, and can
  be traced. `trained.Trained` adds the weights and checks what users give.

  Attributes:
    config: settings of the run.
    spec: specification of the run's data.
    stages: stages in the order in which they are fitted.
    latent_shape: shape of the latents of one image.
    modes: ways of `sample.py --mode`, by name.
    sampling_settings: settings of `Trained.sample` that this generator has.
    has_encoder: whether images can be encoded.
    needs_labels: whether `encode` and `decode` depend on the labels.
    fits_latents: whether `draw` reads what `fit` makes of the latents of the
      training images.
  """

  stages: tuple[Stage, ...]
  latent_shape: tuple[int, ...]
  modes: ClassVar[Mapping[str, Mode]]
  sampling_settings: ClassVar[tuple[str, ...]] = ("temperature",)
  has_encoder: ClassVar[bool] = True
  needs_labels: ClassVar[bool] = False
  fits_latents: ClassVar[bool] = False

  def __init__(self, config: Config, spec: DataSpec):
    """Builds the networks.

    Args:
      config: settings of the run.
      spec: specification of the run's data.

    Raises:
      ConfigError: if a network cannot take images of their size.
    """
    self.config = config
    self.spec = spec

  @classmethod
  def check_image_size(cls, config: Config, size: int) -> None:
    """Refuses a size of images that cannot work, before any is read.

    Raises:
      ConfigError: naming a size that works.
    """
    del config, size

  def stage(self, name: str) -> Stage:
    """Returns the stage of this name."""
    return next(stage for stage in self.stages if stage.name == name)

  @property
  def called(self) -> str:
    """What messages call it: "an ae", "a vae"."""
    name = self.config.model
    return f"{'an' if name[0] in 'aeio' else 'a'} {name}"

  @property
  @abc.abstractmethod
  def described(self) -> str:
    """What it is, in a few words for `repr`."""

  @property
  @abc.abstractmethod
  def introduced(self) -> str:
    """What it makes of an image, in a few words for the screen."""

  def warning(self, platform: str) -> str | None:
    """Says what is amiss before the training on this platform, if anything."""
    del platform

  def shorter(self, stage: str) -> str | None:
    """Names a flag that makes a stage faster, besides fewer steps."""
    del stage

  def latent_pictures(self, latents: np.ndarray) -> dict[str, np.ndarray]:
    """Returns pictures of latents, uint8 and of the images' size, by name."""
    del latents
    return {}

  @abc.abstractmethod
  def check_latents(self, latents: Any) -> np.ndarray:
    """Returns latents that a user gave as an array.

    Raises:
      ArgumentError: if they are not latents of this generator.
    """

  def encode(
    self,
    variables: PyTree,
    images: Float[Array, "b h w c"],
    labels: Int[Array, " b"],
  ) -> Array:
    """Encodes images in [0, 1] to latents.

    Args:
      variables: weights of the first stage.
      images: images to encode.
      labels: class of each image.
    """
    raise NotImplementedError

  @abc.abstractmethod
  def decode(
    self, variables: PyTree, latents: Array, labels: Int[Array, " b"]
  ) -> Float[Array, "b h w c"]:
    """Decodes latents to images in [0, 1]; see `encode`."""

  @abc.abstractmethod
  def draw(
    self,
    weights: dict[str, PyTree],
    fitted: PyTree,
    keys: Key[Array, " b"],
    labels: Int[Array, " b"],
    settings: dict[str, Any],
  ) -> Float[Array, "b h w c"]:
    """Draws new images in [0, 1].

    Args:
      weights: weights of all stages by name.
      fitted: what `fit` made, or ().
      keys: one key for each image.
      labels: class of each image.
      settings: what `sampling` gave.
    """

  def fit(self, latents: np.ndarray, labels: Int[np.ndarray, " n"]) -> PyTree:
    """Fits what `draw` needs to latents of training images."""
    raise NotImplementedError

  def sampling(
    self, asked: Mapping[str, Any], flags: bool = False
  ) -> dict[str, Any]:
    """Returns the settings to sample with, checked and with defaults.

    Args:
      asked: values by name; a setting that is missing takes its default.
      flags: whether messages should name flags of `sample.py`.

    Raises:
      ArgumentError: if this generator does not have a setting that is not at
        its default, or if a value is out of range.
    """
    values = SAMPLING | dict(asked)
    for name, value in values.items():
      if name in self.sampling_settings or value == SAMPLING[name]:
        continue
      typed = f"--{name.replace('_', '-')}" if flags else name
      raise ArgumentError(
        f"{typed} {value} is not a setting of {self.called}; it has "
        f"{listed(self.sampling_settings)}"
      )
    return self.check_sampling(
      {name: values[name] for name in self.sampling_settings}
    )

  @abc.abstractmethod
  def check_sampling(self, values: dict[str, Any]) -> dict[str, Any]:
    """Checks values of all `sampling_settings` and fills in defaults.

    Raises:
      ArgumentError: if a value is out of range.
    """

  def mode(self, name: str) -> Mode:
    """Returns the mode of this name.

    Raises:
      ConfigError: if this generator does not have it.
    """
    if name not in self.modes:
      raise ConfigError(
        f"--mode {name} is not a mode of {self.called}; it has "
        f"{listed(self.modes)}"
      )
    return self.modes[name]

  def check_likelihood(self) -> None:
    """Refuses `log_prob` where there is no exact likelihood.

    Raises:
      ConfigError: naming what has one.
    """
    raise ConfigError(
      f"{self.called} has no exact likelihood; a vqvae has one with "
      "--prior.kind=transformer or pixelcnn"
    )

  def log_prob(
    self,
    weights: dict[str, PyTree],
    latents: Array,
    labels: Int[Array, " b"],
  ) -> Float[Array, " b"]:
    """Returns the log-probability of latents in nats; see `draw`."""
    raise NotImplementedError


# Settings of `Trained.sample` and their defaults; None is the generator's own.
SAMPLING = {
  "temperature": 1.0,
  "top_k": None,
  "top_p": 1.0,
  "guidance": None,
  "decode_steps": None,
}


def listed(names: Any) -> str:
  """Returns names as a list in words: "prior, walk and reconstruct"."""
  *before, last = names
  return f"{', '.join(before)} and {last}" if before else last
