"""A trained VQ-VAE and its prior as an object on arrays."""

from collections.abc import Mapping, Sequence
from functools import cached_property, partial

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from jax.sharding import Mesh
from jaxtyping import Float, Int, PyTree

from vqvae_jax.errors import ArgumentError, ConfigError
from vqvae_jax.generators.arguments import (
  checked_ids,
  checked_images,
  checked_labels,
  checked_number,
  checked_seed,
  chosen_labels,
)
from vqvae_jax.generators.arrays import draw_blocks, image_keys, map_rows
from vqvae_jax.generators.trained import Trained
from vqvae_jax.generators.vqvae.prior import (
  build_prior,
  can_be_guided,
  default_guidance,
)
from vqvae_jax.generators.vqvae.tokenizer import build_tokenizer
from vqvae_jax.generators.weights import load_prior, load_tokenizer
from vqvae_jax.pixels import to_uint8
from vqvae_jax.priors import Sampling, log_prob, sample
from vqvae_jax.sharding import split
from vqvae_jax.training.checkpoints import digest


class Model(Trained):
  """A tokenizer and a prior, ready for arrays; see `Trained`, too.

  Arrays may be of NumPy or JAX, or lists. Labels are names of classes, or their
  positions from 0 on.

  Attributes:
    tokenizer: Flax module of the VQ-VAE.
    prior: Flax module of the prior.
    tokenizer_variables: variables of the tokenizer's best step.
    tokenizer_step: that step.
  """

  def __init__(
    self,
    workdir: epath.PathLike,
    mesh: Mesh | None = None,
    steps: Mapping[str, int] | None = None,
  ):
    """Loads the weights; see `load` and `Trained`."""
    super().__init__(workdir, mesh, steps)
    self.tokenizer = build_tokenizer(self.config, self.spec)
    self.prior = build_prior(self.config, self.spec)
    self.tokenizer_variables, self.tokenizer_step = load_tokenizer(
      self._workdir,
      self.config,
      self.spec,
      self.mesh,
      self._steps.get("tokenizer"),
    )
    rows = split(self.mesh)
    self._encode = jax.jit(
      partial(self.tokenizer.apply, method="encode"), out_shardings=rows
    )
    self._decode = jax.jit(
      partial(self.tokenizer.apply, method="decode"), out_shardings=rows
    )
    self._log_prob = jax.jit(partial(log_prob, self.prior), out_shardings=rows)

  @property
  def trained_steps(self) -> int:
    return self.tokenizer_step

  def _described(self):
    ids = "x".join(map(str, self.prior.grid))
    return (
      f"{ids} ids of {self.prior.num_codes} codes "
      f"({self.config.tokenizer.quantizer}), {self.config.prior.kind} prior"
    )

  def _stages(self):
    # The prior is loaded at first use.
    return ("tokenizer", "prior")[: 1 + ("_prior" in vars(self))]

  def _step_of(self, stage):
    return self._prior[1] if stage == "prior" else self.tokenizer_step

  @cached_property
  def _prior(self):
    return load_prior(
      self._workdir,
      self.config,
      self.spec,
      self.mesh,
      self._steps.get("prior"),
      self.tokenizer_digest,
    )

  @property
  def prior_variables(self) -> PyTree:
    """The prior's best weights; loaded at first use."""
    return self._prior[0]["params"]

  @cached_property
  def tokenizer_digest(self) -> str:
    """Hex digest of the tokenizer's arrays."""
    return digest(self.tokenizer_variables)

  @cached_property
  def prior_digest(self) -> str:
    """Hex digest of the prior's arrays."""
    return digest(self.prior_variables)

  def encode(self, images) -> Int[np.ndarray, "n i j *m"]:
    """Images to ids: [n, i, j], or [n, i, j, m] where each place has m.

    Args:
      images: pixels [n, h, w, c], uint8, or float in [0, 1].

    Raises:
      ArgumentError: if they are not.
    """
    images = checked_images(images, self.spec)
    return map_rows(self._encode, self.mesh, self.tokenizer_variables, images)

  def decode(
    self, ids: Int[np.ndarray, "n i j *m"]
  ) -> Float[np.ndarray, "n h w c"]:
    """Ids to images [n, h, w, c], float in [0, 1].

    Raises:
      ArgumentError: if ids are not of the grid, or no ids of the codebook.
    """
    ids = checked_ids(ids, self.prior.grid, self.prior.num_codes)
    return map_rows(self._decode, self.mesh, self.tokenizer_variables, ids)

  def sample(
    self,
    labels: Int[np.ndarray, " n"] | Sequence[str],
    seed: int = 0,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float = 1.0,
    guidance: float | None = None,
    decode_steps: int | None = None,
  ) -> Float[np.ndarray, "n h w c"]:
    """New images of these classes, float in [0, 1].

    Image i depends on the weights, the seed, i and its label only.

    Args:
      labels: class of each image: names, or positions from 0 on.
      seed: whole number from 0 on; another one gives other images.
      temperature: below 1 is safer, above 1 is wilder.
      top_k: number of the likeliest codes to draw among, by default all.
      top_p: probability of the likeliest codes to draw among.
      guidance: how far to push each image towards its class, by default 0.3
        where there are classes.
      decode_steps: steps in which a maskgit prior draws an image.

    Raises:
      ArgumentError: if a label is not a class, could mean two of them, or
        another argument is out of range.
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

  def log_prob(self, images, labels) -> Float[np.ndarray, " n"]:
    """Log-probability of the images' ids under the prior, in nats.

    Args:
      images: pixels, as for `encode`.
      labels: class of each image: names, or positions from 0 on.

    Raises:
      ArgumentError: if the arrays are not these.
      ConfigError: if the prior has no likelihood.
    """
    if not self.prior.exact:
      raise ConfigError(
        f"a {self.config.prior.kind} prior has no exact likelihood; train one "
        "with --prior.kind=transformer or pixelcnn"
      )
    images = checked_images(images, self.spec)
    labels = checked_labels(labels, self.spec, len(images))
    ids = self.encode(images).reshape(len(images), self.prior.length)
    return map_rows(
      self._log_prob, self.mesh, self.prior_variables, ids, labels
    )

  def resolve_guidance(self, guidance: float | None) -> float:
    """The guidance to sample with; None is 0.3, or 0 without classes.

    Raises:
      ArgumentError: if guidance is not a number, or is asked of a prior that
        always saw the label.
    """
    if guidance is None:
      return default_guidance(self.config, self.spec)
    guidance = checked_number("guidance", guidance)
    if guidance and not can_be_guided(self.config, self.spec):
      raise ArgumentError(
        f"guidance {guidance} needs labelled images and a prior trained with "
        "--prior.label-dropout above 0"
      )
    return guidance

  def sampling(self, guidance: float | None = None, **options) -> Sampling:
    """Returns how to draw from this prior, checked.

    Args:
      guidance: guidance; None for `resolve_guidance`'s default.
      **options: other fields of `Sampling`.

    Raises:
      ArgumentError: if a setting is out of range.
    """
    sampling = Sampling(guidance=self.resolve_guidance(guidance), **options)
    sampling.check(self.prior)
    return sampling

  def sampler(self, **options):
    """A compiled function that draws blocks of images.

    Args:
      **options: see `sampling`.

    Returns:
      `draw(seed, first, labels)`: uint8 images [b, h, w, c] on the devices,
      numbered from `first` on, for int32 labels [b]. All blocks should be of
      one size: another size compiles again, and rounds differently.

    Raises:
      ArgumentError: if a setting is out of range.
    """
    sampling = self.sampling(**options)
    rows = split(self.mesh)

    def draw(tokenizer, prior, seed, first, labels):
      numbers = first + jnp.arange(labels.shape[0])
      keys = image_keys(seed, numbers)
      keys = jax.lax.with_sharding_constraint(keys, rows)
      ids = sample(self.prior, prior, keys, labels, sampling)
      ids = ids.reshape(-1, *self.prior.grid)
      images = self.tokenizer.apply(tokenizer, ids, method="decode")
      return to_uint8(images)

    compiled = jax.jit(draw, out_shardings=rows)

    def run(seed, first, labels):
      labels = jax.device_put(np.asarray(labels, np.int32), rows)
      return compiled(
        self.tokenizer_variables, self.prior_variables, seed, first, labels
      )

    return run
