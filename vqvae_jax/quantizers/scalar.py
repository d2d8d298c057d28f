"""Quantizers without a codebook, whose channels are rounded: fsq and lfq."""

import math

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jaxtyping import Array, Bool, Float, Int, Key

from vqvae_jax.quantizers import codebook
from vqvae_jax.quantizers.axes import unflattened, with_auto_axes
from vqvae_jax.quantizers.base import (
  Quantizer,
  QuantizerOutput,
  check_ids,
  flatten,
)

# Keeps the outermost levels of FSQ within reach of tanh.
_MARGIN = 1e-3
# Rows of LFQ whose choices among all codes are held at a time.
_ROWS = 256


class FSQ(Quantizer):
  """Each channel is squashed and rounded to a few levels of its own.

  Mentzer et al.: "Finite Scalar Quantization: VQ-VAE Made Simple", arXiv
  2309.15505, section 3 and appendix A.1.

  The ids count the combinations: `FSQ((8, 5, 5, 5))` has 1,000. There is no
  codebook to learn and no loss. Level i of L becomes (i - L // 2) / (L // 2),
  so codes lie in [-1, 1].

  Attributes:
    levels: number of levels of each channel, 2 or more; there are as many
      channels as the latents are wide.
  """

  levels: tuple[int, ...]

  def __post_init__(self):
    levels = tuple(self.levels)
    if not levels or min(levels) < 2:
      raise ValueError(f"levels {levels} are not all 2 or more")
    if math.prod(levels) >= 2**31:
      raise ValueError(f"levels {levels} give {math.prod(levels)} codes")
    super().__post_init__()

  @property
  def num_codes(self) -> int:
    return math.prod(self.levels)

  @property
  def width(self) -> int:
    return len(self.levels)

  def __call__(
    self, z: Float[Array, "*n d"], train: bool = False
  ) -> QuantizerOutput:
    flat = flatten(z, self.width)
    half = jnp.array(self.levels, flat.dtype)[None] // 2
    places = _rounded(self._bounded(flat))
    digits = (places + half).astype(jnp.int32)
    ids = _digits_to_ids(digits, self.levels)
    counts = codebook.usage_counts(ids, self.num_codes)
    return QuantizerOutput(
      vectors=unflattened(places / half, z).astype(z.dtype),
      ids=unflattened(ids, z),
      loss=jnp.zeros((), flat.dtype),
      metrics={"perplexity": codebook.perplexity(counts)},
    )

  def resample(
    self,
    z: Float[Array, "*n d"],
    temperature: float | Float[Array, ""],
    key: Key[Array, ""],
  ) -> Int[Array, "*n"]:
    """Draws the level of each channel by itself; distances are in levels."""
    flat = flatten(z, self.width)
    levels = jnp.array(self.levels)[:, None]
    places = jnp.arange(max(self.levels))[None]
    distances = self._bounded(flat)[..., None] - (places - levels // 2)[None]
    distances = jnp.where((places < levels)[None], distances**2, jnp.inf)
    logits = codebook.near_logits(distances, temperature)
    digits = jax.random.categorical(key, logits)
    return unflattened(_digits_to_ids(digits, self.levels), z)

  def ids_to_vectors(self, ids: Int[Array, "*n"]) -> Float[Array, "*n d"]:
    check_ids(ids, self.num_codes)
    half = jnp.array(self.levels, jnp.float32)[None] // 2
    digits = _ids_to_digits(ids.reshape(-1), self.levels)
    return ((digits - half) / half).reshape(*ids.shape, self.width)

  def _bounded(self, flat):
    """Squashes channels into the reach of their levels, the middle at 0."""
    levels = jnp.array(self.levels, flat.dtype)[None]
    # An even number of levels lies half a level off centre.
    reach = (levels - 1) * (1 + _MARGIN) / 2
    offset = jnp.where(levels % 2 == 0, 0.5, 0.0).astype(flat.dtype)
    shift = jnp.arctanh(offset / reach)
    return jnp.tanh(flat + shift) * reach - offset


class LFQ(Quantizer):
  """Lookup-free quantization: the signs of the channels are the bits of the id.

  Yu et al.: "Language Model Beats Diffusion: Tokenizer is Key to Visual
  Generation" (MAGVIT-v2), arXiv 2310.05737, section 3.1.

  A positive channel i sets bit i: `LFQ(10)` takes latents [b, 7, 7, 10] to ids
  [b, 7, 7] below 1,024. The entropy loss makes each latent sure of its code and
  all codes used: with p(code) = softmax(2 sharpness z . code), it is the mean
  entropy of p less `diversity` times the entropy of the mean p.

  In vector-quantize-pytorch 1.32 the first channel is the highest bit, and the
  inverse temperature is 100 where it is not given; the rest is the same.

  Attributes:
    bits: width of the latents, from 1 to 20; there are 2 ** bits codes.
    commitment: weight of the mean squared distance to the code.
    entropy: weight of the entropy loss.
    diversity: weight of the second entropy in it.
    sharpness: inverse temperature.
  """

  bits: int
  commitment: float = 0.25
  entropy: float = 0.1
  diversity: float = 1.0
  sharpness: float = 1.0

  def __post_init__(self):
    if not 1 <= self.bits <= 20:
      raise ValueError(f"bits {self.bits} is not between 1 and 20")
    super().__post_init__()

  @property
  def num_codes(self) -> int:
    return 2**self.bits

  @property
  def width(self) -> int:
    return self.bits

  def __call__(
    self, z: Float[Array, "*n d"], train: bool = False
  ) -> QuantizerOutput:
    flat = flatten(z, self.bits)
    positive = flat > 0
    vectors = jnp.where(positive, 1, -1).astype(flat.dtype)
    ids = _digits_to_ids(positive, (2,) * self.bits)
    commitment = codebook.mean((flat - vectors) ** 2)
    loss = self.commitment * commitment
    if self.entropy and z.size:
      each, together = with_auto_axes(self._entropies, PartitionSpec(), flat)
      loss += self.entropy * (each - self.diversity * together)
    counts = codebook.usage_counts(ids, self.num_codes)
    passed = codebook.straight_through(flat, vectors)
    return QuantizerOutput(
      vectors=unflattened(passed, z).astype(z.dtype),
      ids=unflattened(ids, z),
      loss=loss,
      metrics={
        "commitment": jax.lax.stop_gradient(commitment),
        "perplexity": codebook.perplexity(counts),
      },
    )

  def resample(
    self,
    z: Float[Array, "*n d"],
    temperature: float | Float[Array, ""],
    key: Key[Array, ""],
  ) -> Int[Array, "*n"]:
    """Draws the bits of each latent by themselves."""
    flat = flatten(z, self.bits)
    distances = jnp.stack([(flat + 1) ** 2, (flat - 1) ** 2], axis=-1)
    logits = codebook.near_logits(distances, temperature)
    digits = jax.random.categorical(key, logits)
    return unflattened(_digits_to_ids(digits, (2,) * self.bits), z)

  def ids_to_vectors(self, ids: Int[Array, "*n"]) -> Float[Array, "*n d"]:
    check_ids(ids, self.num_codes)
    digits = _ids_to_digits(ids.reshape(-1), (2,) * self.bits)
    return (2.0 * digits - 1).reshape(*ids.shape, self.bits)

  def _entropies(self, z):
    """Returns the mean entropy of the choices, and that of the mean choice.

    Both are in nats. The bits of a choice are independent, so its entropy is
    the sum of theirs; that of the mean takes all codes, a few rows at a time.
    """
    logits = 4 * self.sharpness * z
    log_p, log_q = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
    entropies = -(jnp.exp(log_p) * log_p + jnp.exp(log_q) * log_q)
    each = entropies.sum(axis=-1).mean()

    @jax.checkpoint
    def add(total, rows):
      log_p, log_q, weight = rows
      choices = jnp.zeros((log_p.shape[0], 1), z.dtype)
      # Codes in the order of their ids: the highest bit is the slowest.
      for bit in reversed(range(self.bits)):
        pair = jnp.stack([log_q[:, bit], log_p[:, bit]], axis=1)
        choices = (choices[:, :, None] + pair[:, None]).reshape(len(pair), -1)
      return total + weight @ jnp.exp(choices), None

    n = z.shape[0]
    rows = min(_ROWS, n)
    tiles = -(-n // rows)

    def deal(x):
      x = jnp.pad(x, ((0, tiles * rows - n),) + ((0, 0),) * (x.ndim - 1))
      return x.reshape(rows, tiles, *x.shape[1:]).swapaxes(0, 1)

    weights = deal(jnp.full(n, 1 / n, z.dtype))
    # Made from `z`, so that inside of `shard_map` it varies as the sums do.
    start = jnp.zeros_like(z, shape=(self.num_codes,))
    total, _ = jax.lax.scan(
      add,
      start,
      (deal(log_p), deal(log_q), weights),
    )
    return each, codebook.entropy(total)


def _digits_to_ids(
  digits: Int[Array, "n d"] | Bool[Array, "n d"], bases: tuple[int, ...]
) -> Int[Array, " n"]:
  """Returns mixed-radix numbers whose first digit is the lowest."""
  places = jnp.cumprod(jnp.array((1, *bases[:-1]), jnp.int32))
  return jnp.sum(digits * places[None], axis=1, dtype=jnp.int32)


def _ids_to_digits(
  ids: Int[Array, " n"], bases: tuple[int, ...]
) -> Int[Array, "n d"]:
  """Inverts `_digits_to_ids`."""
  places = jnp.cumprod(jnp.array((1, *bases[:-1]), jnp.int32))
  return ids[:, None] // places[None] % jnp.array(bases, jnp.int32)[None]


def _rounded(x: Float[Array, "n d"]) -> Float[Array, "n d"]:
  """Rounds; the gradient passes as if nothing was rounded."""
  return codebook.straight_through(x, jnp.round(x))
