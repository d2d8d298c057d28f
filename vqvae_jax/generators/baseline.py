"""A trained baseline as an object on arrays."""

from collections.abc import Mapping, Sequence
from functools import cached_property, partial

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from jax.sharding import Mesh
from jaxtyping import Float, Int

from vqvae_jax.errors import ArgumentError, ConfigError
from vqvae_jax.generators.arguments import (
  checked_images,
  checked_labels,
  checked_number,
  checked_seed,
  checked_vectors,
  chosen_labels,
)
from vqvae_jax.generators.arrays import BATCH, draw_blocks, image_keys, map_rows
from vqvae_jax.generators.autoencoder.network import class_gaussians
from vqvae_jax.generators.autoencoder.walk import walk
from vqvae_jax.generators.baseline_tasks import as_applied, build_baseline
from vqvae_jax.generators.plan import Sources, run_images
from vqvae_jax.generators.trained import Trained
from vqvae_jax.generators.weights import load_baseline
from vqvae_jax.pixels import to_float, to_uint8
from vqvae_jax.sharding import make_mesh, split
from vqvae_jax.training import workdir as run_folder
from vqvae_jax.training.checkpoints import digest

WALK_STEPS = 10
STEP_SIZE = 0.3


class BaselineModel(Trained):
  """An autoencoder, a VAE or a DCGAN, ready for arrays; see `Trained`, too.

  Arrays may be of NumPy or JAX, or lists. Labels are names of classes, or their
  positions from 0 on.

  Attributes:
    network: Flax module.
    variables: variables of the best step; of a DCGAN, of the last one.
    step: that step.
  """

  def __init__(
    self,
    workdir: epath.PathLike,
    mesh: Mesh | None = None,
    steps: Mapping[str, int] | None = None,
  ):
    """Loads the weights; see `load` and `Trained`."""
    super().__init__(workdir, mesh, steps)
    self.network = build_baseline(self.config, self.spec)
    loaded, self.step = load_baseline(
      self._workdir,
      self.config,
      self.spec,
      self.mesh,
      self._steps.get(run_folder.BASELINE),
    )
    self.variables = (
      as_applied(loaded)
      if self.config.model == "dcgan"
      else {"params": loaded["params"]}
    )
    rows = split(self.mesh)
    self._encode = jax.jit(
      lambda *args: self.network.apply(*args, method="encode")[0],
      out_shardings=rows,
    )
    self._decode = jax.jit(
      partial(self.network.apply, method=self._to_pixels), out_shardings=rows
    )

  @property
  def trained_steps(self) -> int:
    return self.step

  def _described(self):
    return f"{self.described} with {self.network.latent_dim} latents"

  @property
  def _to_pixels(self):
    return "generate" if self.config.model == "dcgan" else "pixels"

  @cached_property
  def digest(self) -> str:
    """Hex digest of the model's arrays."""
    return digest(self.variables)

  @property
  def described(self) -> str:
    """What it is, for messages: "an ae", "a vae"."""
    name = self.config.model
    return f"{'an' if name == 'ae' else 'a'} {name}"

  def encode(
    self, images, labels: Int[np.ndarray, " n"]
  ) -> Float[np.ndarray, "n d"]:
    """The latents of images; of a VAE, the means of their posteriors.

    Args:
      images: pixels [n, h, w, c], uint8, or float in [0, 1].
      labels: class of each image, which an autoencoder's latents do not depend
        on.

    Raises:
      ArgumentError: if the arrays do not fit.
      ConfigError: if the model has no encoder.
    """
    self.need_encoder("encode")
    images = checked_images(images, self.spec)
    labels = checked_labels(labels, self.spec, len(images))
    return map_rows(self._encode, self.mesh, self.variables, images, labels)

  def decode(
    self, latents: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"]
  ) -> Float[np.ndarray, "n h w c"]:
    """Latents, or a DCGAN's noise, to images in [0, 1].

    Raises:
      ArgumentError: if the arrays do not fit.
    """
    latents = checked_vectors(latents, self.network.latent_dim, "latents")
    labels = checked_labels(labels, self.spec, len(latents))
    return map_rows(self._decode, self.mesh, self.variables, latents, labels)

  def reconstruct(
    self, images, labels: Int[np.ndarray, " n"]
  ) -> Float[np.ndarray, "n h w c"]:
    """Images encoded and decoded; see `encode`."""
    return self.decode(self.encode(images, labels), labels)

  def sample(
    self,
    labels: Int[np.ndarray, " n"] | Sequence[str],
    seed: int = 0,
    *,
    temperature: float = 1.0,
  ) -> Float[np.ndarray, "n h w c"]:
    """New images of these classes, float in [0, 1].

    Image i depends on the weights, the seed, i and its label only.

    Args:
      labels: class of each image: names, or positions from 0 on.
      seed: whole number from 0 on; another one gives other images.
      temperature: factor of the latents' standard deviation.

    Raises:
      ArgumentError: if a label is not a class, could mean two of them, or
        another argument is out of range.
      UserError: if an autoencoder's training images cannot be read.
    """
    labels = chosen_labels(labels, self.spec)
    seed = checked_seed(seed)
    draw = self.sampler(temperature)
    return draw_blocks(draw, self.mesh, labels, seed, self.spec.image_shape)

  def sampler(self, temperature: float = 1.0):
    """A compiled function that draws blocks of images.

    Args:
      temperature: factor of the latents' standard deviation.

    Returns:
      `draw(seed, first, labels)`: uint8 images [b, h, w, c] on the devices,
      numbered from `first` on, for int32 labels [b]. All blocks should be of
      one size: another size compiles again, and rounds differently.

    Raises:
      ArgumentError: if the temperature is negative or not finite.
      UserError: if an autoencoder's training images cannot be read.
    """
    temperature = checked_number("temperature", temperature)
    if not 0 <= temperature < np.inf:
      raise ArgumentError(
        f"temperature {temperature} is not a finite number from 0 on"
      )
    rows = split(self.mesh)
    gaussians = self._gaussians if self.config.model == "ae" else None

    def draw(variables, gaussians, seed, first, labels):
      keys = image_keys(seed, first + jnp.arange(labels.shape[0]))
      keys = jax.lax.with_sharding_constraint(keys, rows)
      width = self.network.latent_dim
      noise = jax.vmap(lambda key: jax.random.normal(key, (width,)))(keys)
      latents = temperature * noise
      if gaussians is not None:
        means, factors = gaussians
        spread = jnp.einsum("bij,bj->bi", factors[labels], latents)
        latents = means[labels] + spread
      made = self.network.apply(
        variables, latents, labels, method=self._to_pixels
      )
      return to_uint8(made)

    compiled = jax.jit(draw, out_shardings=rows)

    def run(seed, first, labels):
      labels = jax.device_put(np.asarray(labels, np.int32), rows)
      return compiled(self.variables, gaussians, seed, first, labels)

    return run

  def walker(self, steps: int = WALK_STEPS, step_size: float = STEP_SIZE):
    """A compiled function that varies blocks of images; see `walk.walk`.

    Args:
      steps: of each walk.
      step_size: of each step, a distance in pixels.

    Returns:
      `draw(seed, numbers, images, labels)`: uint8 images [b, h, w, c] from
      uint8 ones, each by a walk of its own that its number decides.

    Raises:
      ConfigError: if the model is not a VAE.
    """
    if self.config.model not in ("vae", "beta_vae"):
      raise ConfigError(
        "--mode walk is for runs of --model=vae and beta_vae; this one is "
        f"{self.described}"
      )
    rows = split(self.mesh)
    network = self.network

    def draw(variables, seed, numbers, images, labels):
      means, _ = network.apply(
        variables, to_float(images), labels, method="encode"
      )

      def wander(row):
        start, label, key = row

        def pixels(latents):
          return network.apply(
            variables, latents[None], label[None], method="pixels"
          )[0]

        return pixels(walk(pixels, start, key, steps, step_size))

      # A few at a time: each holds a Jacobian.
      keys = image_keys(seed, numbers)
      made = jax.lax.map(wander, (means, labels, keys), batch_size=16)
      return to_uint8(made)

    compiled = jax.jit(draw, out_shardings=rows)

    def run(seed, numbers, images, labels):
      arrays = np.asarray(numbers, np.int32), images, labels
      arrays = [jax.device_put(x, rows) for x in arrays]
      return compiled(self.variables, seed, *arrays)

    return run

  @cached_property
  def _gaussians(self):
    """Means and factors of each class's latents, fitted to training images.

    On one device, so that workers with more of them find the same bytes.
    """
    train = run_images(self.config, self.spec, "train")
    # Two images of a class, or its covariance would be 0.
    Sources(train, self.spec, "prior", 2)
    device = make_mesh([self.mesh.devices.flat[0]])
    variables = jax.device_get(self.variables)
    encode = jax.jit(
      lambda *args: self.network.apply(*args, method="encode")[0]
    )
    found = []
    for start in range(0, len(train), BATCH):
      rows = train.gather(np.arange(start, min(start + BATCH, len(train))))
      images = checked_images(rows["image"], self.spec)
      found.append(
        map_rows(encode, device, variables, images, rows["label"], batch=BATCH)
      )
    fitted = class_gaussians(
      np.concatenate(found), train.labels, self.spec.num_classes
    )
    return jax.tree.map(lambda x: np.asarray(x, np.float32), fitted)

  def need_encoder(self, what: str):
    """Raises `ConfigError`, naming what needs one, if the model has none."""
    if self.config.model == "dcgan":
      raise ConfigError(f"{what} needs an encoder; a dcgan has none")
