"""A trained generator as an object that encodes, decodes and samples arrays."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, PyTree, UInt8

from vqvae_jax.config import SampleConfig
from vqvae_jax.errors import ArgumentError, ConfigError, RunError
from vqvae_jax.files import expand, is_remote
from vqvae_jax.generators.arguments import (
  checked_images,
  checked_labels,
  checked_seed,
  chosen_labels,
)
from vqvae_jax.generators.arrays import BATCH, draw_blocks, image_keys, map_rows
from vqvae_jax.generators.plan import Plan
from vqvae_jax.generators.registry import build
from vqvae_jax.generators.starts import check_enough, run_images
from vqvae_jax.generators.weights import load_stage
from vqvae_jax.pixels import to_uint8
from vqvae_jax.sharding import make_mesh, split
from vqvae_jax.training import workdir as run_folder
from vqvae_jax.training.digests import digest

T = TypeVar("T")
# Labels as users give them: names of classes, or positions from 0 on. What is
# `| Any` below is checked when it is used, with messages for users.
Labels = np.ndarray | Array | Sequence[Any]
# A function of a seed, the number of the first image and labels to images.
Draw = Callable[[int, int, Int[np.ndarray, " b"]], UInt8[Array, "b h w c"]]


def load(
  workdir: epath.PathLike,
  mesh: Mesh | None = None,
  from_step: int | str | None = None,
) -> "Trained":
  """Loads the trained generator of a run folder.

  Args:
    workdir: run folder of `train.py`; `~` is the home folder.
    mesh: devices to work on, by default all.
    from_step: step of the checkpoint to take, of the last stage, or with the
      stage's name, such as "tokenizer:200"; by default the newest.

  Raises:
    RunError: if it is not a run folder, if its first stage is not trained, or
      if a checkpoint is damaged. A later stage that is missing is an error only
      when it is used.
  """
  workdir = expand(workdir)
  model = run_folder.read(workdir).config.model
  text = None if from_step is None else str(from_step)
  return Trained(workdir, mesh, run_folder.steps_asked(workdir, model, text))


class Trained:
  """A trained generator, ready for arrays.

  Arrays may be of NumPy or JAX, or lists. Labels are names of classes, or their
  positions from 0 on. A generator is pickled as the name of its run folder, so
  that a worker process can carry it: the folder is read again there, on the
  devices of that process.

  Attributes:
    config: settings of the run.
    spec: what is known of its data: image shape, class names, ...
    mesh: devices that work is divided among.
    generator: networks and stages.
    weights: weights of each stage by name, loaded when they are first used.
    steps: training steps of the weights that are loaded.
    digests: hex digest of the weights of each stage, by name.
  """

  def __init__(
    self,
    workdir: epath.PathLike,
    mesh: Mesh | None = None,
    steps: Mapping[str, int] | None = None,
  ):
    """Loads the weights of the first stage; see `load`.

    Args:
      workdir: run folder of `train.py`.
      mesh: devices to work on, by default all.
      steps: steps of the checkpoints by stage, by default the newest.
    """
    # Another process may have another current folder.
    path = os.fspath(expand(workdir))
    self._workdir = path if is_remote(path) else os.path.abspath(path)
    self._asked = dict(steps or {})
    info = run_folder.read(self._workdir)
    self.config = info.config
    self.spec = info.spec
    self.mesh = mesh or make_mesh()
    self.generator = build(self.config, self.spec)
    names = [stage.name for stage in self.generator.stages]
    self.steps: dict[str, int] = {}
    self.weights = _Lazy(names, self._load)
    self.digests = _Lazy(names, lambda name: digest(self.weights[name]))
    self._first = self.weights[names[0]]
    self._fitted: PyTree = None
    rows = split(self.mesh)
    self._encode = jax.jit(self.generator.encode, out_shardings=rows)
    self._decode = jax.jit(self.generator.decode, out_shardings=rows)
    self._log_prob = jax.jit(self.generator.log_prob, out_shardings=rows)

  def _load(self, name):
    stage = self.generator.stage(name)
    weights, self.steps[name] = load_stage(
      self._workdir,
      stage,
      self.spec,
      self.mesh,
      self._asked.get(name),
      self.digests[stage.built_upon] if stage.built_upon else None,
    )
    return weights

  def __repr__(self) -> str:
    height, width, channels = self.spec.image_shape
    names = self.spec.class_names
    classes = (
      f"{len(names)} classes ({_listed(names)})" if names else "no labels"
    )
    return (
      f"<{type(self).__name__} of {self.spec.name}: images "
      f"{width}x{height}x{channels}, {classes}, {self.generator.described}, "
      f"step {self.steps[self.generator.stages[0].name]}, from "
      f"{self._workdir}>"
    )

  def __reduce__(self):
    return _reload, (self._workdir, self._asked, self.steps)

  def encode(self, images: Any, labels: Labels | None = None) -> np.ndarray:
    """Encodes images to latents.

    Args:
      images: pixels [n, h, w, c], uint8, or float in [0, 1].
      labels: class of each image, for generators whose latents depend on it.

    Returns:
      Latents: ids [n, i, j] of a VQ-VAE, or [n, i, j, m] where each position
      has m of them; vectors [n, d] of an autoencoder, or the means of a VAE's
      posteriors.

    Raises:
      ArgumentError: if the arrays do not fit.
      ConfigError: if the generator has no encoder.
    """
    if not self.generator.has_encoder:
      raise ConfigError(
        f"encode needs an encoder; {self.generator.called} has none"
      )
    images = checked_images(images, self.spec)
    labels = self._labels(labels, len(images))
    return map_rows(self._encode, self.mesh, self._first, images, labels)

  def decode(
    self, latents: Any, labels: Labels | None = None
  ) -> Float[np.ndarray, "n h w c"]:
    """Decodes latents, or the noise of a DCGAN, to images in [0, 1].

    Args:
      latents: what `encode` gives.
      labels: class of each image, for generators whose images depend on it.

    Raises:
      ArgumentError: if the arrays do not fit.
    """
    latents = self.generator.check_latents(latents)
    labels = self._labels(labels, len(latents))
    return map_rows(self._decode, self.mesh, self._first, latents, labels)

  def reconstruct(
    self, images: Any, labels: Labels | None = None
  ) -> Float[np.ndarray, "n h w c"]:
    """Encodes and decodes images; see `encode`."""
    return self.decode(self.encode(images, labels), labels)

  def sample(
    self,
    labels: Labels,
    seed: int | Any = 0,
    *,
    temperature: float | Any = 1.0,
    top_k: int | Any | None = None,
    top_p: float | Any = 1.0,
    guidance: float | Any | None = None,
    decode_steps: int | Any | None = None,
  ) -> Float[np.ndarray, "n h w c"]:
    """Draws new images of these classes, float in [0, 1].

    Image i depends on the weights, the seed, i, its label and the settings
    only. Generators other than the VQ-VAE have the temperature alone.

    Args:
      labels: class of each image: names, or positions from 0 on.
      seed: whole number from 0 on; another one gives other images.
      temperature: below 1 is safer, above 1 is wilder: of a VQ-VAE, the
        temperature of its prior; otherwise the factor of the latents' standard
        deviation.
      top_k: number of the likeliest codes to draw among, by default all.
      top_p: probability of the likeliest codes to draw among.
      guidance: how far to push each image towards its class, by default 0.3
        where there are classes.
      decode_steps: steps in which a maskgit prior draws an image.

    Raises:
      ArgumentError: if a label is not a class or could mean two of them, if
        the generator does not have a setting, or if one is out of range.
      UserError: if an autoencoder's training images cannot be read.
    """
    labels = chosen_labels(labels, self.spec)
    seed = checked_seed(seed)
    draw = self.sampler(
      temperature=temperature,
      top_k=top_k,
      top_p=top_p,
      guidance=guidance,
      decode_steps=decode_steps,
    )
    return draw_blocks(draw, self.mesh, labels, seed, self.spec.image_shape)

  def sampler(self, **settings: Any) -> Draw:
    """Returns a compiled function that draws blocks of images.

    Args:
      **settings: settings of `sample`.

    Returns:
      `draw(seed, first, labels)`: uint8 images [b, h, w, c] on the devices,
      numbered from `first` on, for int32 labels [b]. All blocks should be of
      one size: another size compiles again, and rounds differently.

    Raises:
      ArgumentError: as `sample` does.
    """
    generator, rows = self.generator, split(self.mesh)
    checked = generator.sampling(settings)
    if generator.fits_latents and self._fitted is None:
      self._fitted = self._fit()
    fitted, weights = self._fitted, dict(self.weights)

    def draw(weights, fitted, seed, first, labels):
      keys = image_keys(seed, first + jnp.arange(labels.shape[0]))
      keys = jax.lax.with_sharding_constraint(keys, rows)
      images = generator.draw(weights, fitted, keys, labels, checked)
      return to_uint8(images)

    compiled = jax.jit(draw, out_shardings=rows)

    def run(seed, first, labels):
      labels = jax.device_put(np.asarray(labels, np.int32), rows)
      return compiled(weights, fitted, seed, first, labels)

    return run

  def log_prob(
    self, images: Any, labels: Labels | None = None
  ) -> Float[np.ndarray, " n"]:
    """Returns the log-probability of the images' latents, in nats.

    Args:
      images: pixels, as for `encode`.
      labels: class of each image, which may be left out if there is only one.

    Raises:
      ArgumentError: if the arrays do not fit.
      ConfigError: if the generator has no exact likelihood.
    """
    self.generator.check_likelihood()
    images = checked_images(images, self.spec)
    labels = self._labels(labels, len(images), needed=True)
    latents = self.encode(images, labels)
    weights = dict(self.weights)
    return map_rows(self._log_prob, self.mesh, weights, latents, labels)

  def plan(self, config: SampleConfig) -> Plan:
    """Returns the plan of a job.

    Raises:
      UserError: if a setting does not fit the run, or if the images that a
        mode starts from are not available.
    """
    return self.generator.mode(config.mode)(self, config)

  def _labels(self, labels, count, needed=False):
    """Returns labels of a number of images, 0 where they do not matter."""
    if labels is not None:
      return checked_labels(labels, self.spec, count)
    needed = needed or self.generator.needs_labels
    if needed and self.spec.num_classes > 1:
      raise ArgumentError(
        f"labels are missing: {self.generator.called} needs the class of each "
        "image"
      )
    return np.zeros(count, np.int32)

  def _fit(self):
    """Fits what `draw` needs to the training images.

    This runs on one device, so that it gives the same bytes on any number.
    """
    train = run_images(self.config, self.spec, "train")
    # A Gaussian needs two images.
    check_enough(train.labels, self.spec, "prior", 2)
    device = make_mesh([self.mesh.devices.flat[0]])
    weights = jax.device_get(self._first)
    encode = jax.jit(self.generator.encode)
    latents = []
    for start in range(0, len(train), BATCH):
      batch = train.gather(np.arange(start, min(start + BATCH, len(train))))
      images = checked_images(batch["image"], self.spec)
      arrays = images, batch["label"]
      latents.append(map_rows(encode, device, weights, *arrays, batch=BATCH))
    return self.generator.fit(np.concatenate(latents), train.labels)


class _Lazy(Mapping[str, T]):
  """Values by name, each made when it is first asked for."""

  def __init__(self, names: Sequence[str], make: Callable[[str], T]):
    self._names = tuple(names)
    self._make = make
    self._made: dict[str, T] = {}

  def __getitem__(self, name: str) -> T:
    if name not in self._names:
      raise KeyError(name)
    if name not in self._made:
      self._made[name] = self._make(name)
    return self._made[name]

  def __iter__(self) -> Iterator[str]:
    return iter(self._names)

  def __len__(self) -> int:
    return len(self._names)


def _reload(
  workdir: str, asked: Mapping[str, int], steps: Mapping[str, int]
) -> Trained:
  """Loads the generator that was pickled.

  Raises:
    RunError: if the run folder holds other weights by now.
  """
  trained = Trained(workdir, steps=asked)
  for stage, step in steps.items():
    trained.weights[stage]
    now = trained.steps[stage]
    if now != step:
      raise RunError(
        f"{workdir} holds {stage} weights of step {now}, but the generator "
        f"was pickled at step {step}; load it again"
      )
  return trained


def _listed(names):
  if len(names) <= 6:
    return ", ".join(names)
  return f"{', '.join(names[:3])}, ..., {names[-1]}"
