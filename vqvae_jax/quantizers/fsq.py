"""Finite scalar quantization.

Mentzer et al.: "Finite Scalar Quantization: VQ-VAE Made Simple", arXiv
2309.15505, section 3 and appendix A.1.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from vqvae_jax.errors import ConfigError
from vqvae_jax.quantizers import codebook as cb
from vqvae_jax.quantizers.axes import unflattened
from vqvae_jax.quantizers.fixed import (
  FixedCodes,
  digits_to_ids,
  ids_to_digits,
  rounded,
)

# Keeps the outermost levels within reach of tanh.
_MARGIN = 1e-3


class FSQ(FixedCodes):
  """Each channel is squashed and rounded to a few levels of its own.

  The ids count the combinations: `FSQ((8, 5, 5, 5))` has 1,000. There is no
  codebook to learn and no loss. Level i of L becomes (i - L // 2) / (L // 2),
  so codes lie in [-1, 1].

  Attributes:
    levels: of each channel, 2 or more; their number is the latents' width.
  """

  levels: tuple[int, ...]

  def __post_init__(self):
    levels = tuple(self.levels)
    if not levels or min(levels) < 2:
      raise ConfigError(f"levels {levels} are not all 2 or more")
    if math.prod(levels) >= 2**31:
      raise ConfigError(f"levels {levels} give {math.prod(levels)} codes")
    super().__post_init__()

  @property
  def num_codes(self) -> int:
    """Ids are in [0, num_codes)."""
    return math.prod(self.levels)

  @property
  def width(self) -> int:
    """Width of the latents."""
    return len(self.levels)

  def __call__(
    self, z: Float[Array, "*n d"], train: bool = False
  ) -> cb.QuantizerOutput:
    """Quantizes latents as wide as there are levels; `train` changes nothing.

    Raises:
      ConfigError: if the latents are of another width.
    """
    del train
    flat = cb.flatten(z, self.width)
    half = jnp.array(self.levels, flat.dtype)[None] // 2
    places = rounded(self._bounded(flat))
    digits = (places + half).astype(jnp.int32)
    ids = digits_to_ids(digits, self.levels)
    counts = cb.usage_counts(ids, self.num_codes)
    return cb.QuantizerOutput(
      vectors=unflattened(places / half, z).astype(z.dtype),
      ids=unflattened(ids, z),
      loss=jnp.zeros((), flat.dtype),
      metrics={"perplexity": cb.perplexity(counts)},
    )

  def resample(
    self,
    z: Float[Array, "*n d"],
    temperature: float | Float[Array, ""],
    key: Key[Array, ""],
  ) -> Int[Array, "*n"]:
    """As `NearestCode.resample`; the levels are drawn channel by channel.

    Distances are in levels.
    """
    flat = cb.flatten(z, self.width)
    levels = jnp.array(self.levels)[:, None]
    places = jnp.arange(max(self.levels))[None]
    distances = self._bounded(flat)[..., None] - (places - levels // 2)[None]
    distances = jnp.where((places < levels)[None], distances**2, jnp.inf)
    logits = cb.near_logits(distances, temperature)
    digits = jax.random.categorical(key, logits)
    return unflattened(digits_to_ids(digits, self.levels), z)

  def _bounded(self, flat):
    """Channels squashed into the reach of their levels, the middle at 0."""
    levels = jnp.array(self.levels, flat.dtype)[None]
    # An even number of levels lies half a level off centre.
    reach = (levels - 1) * (1 + _MARGIN) / 2
    offset = jnp.where(levels % 2 == 0, 0.5, 0.0).astype(flat.dtype)
    shift = jnp.arctanh(offset / reach)
    return jnp.tanh(flat + shift) * reach - offset

  def ids_to_vectors(self, ids: Int[Array, "*n"]) -> Float[Array, "*n d"]:
    """The codes that `ids` name."""
    cb.check_ids(ids, self.num_codes)
    half = jnp.array(self.levels, jnp.float32)[None] // 2
    digits = ids_to_digits(ids.reshape(-1), self.levels)
    return ((digits - half) / half).reshape(*ids.shape, self.width)
