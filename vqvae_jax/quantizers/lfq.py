"""Lookup-free quantization.

Yu et al.: "Language Model Beats Diffusion: Tokenizer is Key to Visual
Generation" (MAGVIT-v2), arXiv 2310.05737, section 3.1.
"""

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float, Int, Key

from vqvae_jax.errors import ConfigError
from vqvae_jax.quantizers import codebook as cb
from vqvae_jax.quantizers.axes import unflattened, with_auto_axes
from vqvae_jax.quantizers.fixed import (
  FixedCodes,
  digits_to_ids,
  ids_to_digits,
)

# Rows whose choices among all codes are held at a time.
_ROWS = 256


class LFQ(FixedCodes):
  """Each channel is its sign, and the signs are the bits of the id.

  Channel i positive sets bit i. The entropy loss makes each latent sure of its
  code and all codes used: with p(code) = softmax(2 sharpness z . code), the
  mean entropy of p less `diversity` times the entropy of the mean p.

  In vector-quantize-pytorch 1.32 the first channel is the highest bit, and the
  inverse temperature is 100 where it is not given; the rest is the same.

  Attributes:
    bits: width of the latents; there are 2 ** bits codes.
    commitment: weight of the mean squared distance to the code.
    entropy: weight of the entropy loss.
    diversity: weight of the second entropy in it.
    sharpness: an inverse temperature.
  """

  bits: int
  commitment: float = 0.25
  entropy: float = 0.1
  diversity: float = 1.0
  sharpness: float = 1.0

  def __post_init__(self):
    if not 1 <= self.bits <= 20:
      raise ConfigError(f"bits {self.bits} is not between 1 and 20")
    super().__post_init__()

  @property
  def num_codes(self) -> int:
    """Ids are in [0, num_codes)."""
    return 2**self.bits

  @property
  def width(self) -> int:
    """Width of the latents."""
    return self.bits

  def __call__(
    self, z: Float[Array, "*n d"], train: bool = False
  ) -> cb.QuantizerOutput:
    """Quantizes latents of width `bits`; `train` changes nothing.

    Raises:
      ConfigError: if the latents are of another width.
    """
    del train
    flat = cb.flatten(z, self.bits)
    positive = flat > 0
    vectors = jnp.where(positive, 1, -1).astype(flat.dtype)
    ids = digits_to_ids(positive, (2,) * self.bits)
    commitment = cb.mean((flat - vectors) ** 2)
    loss = self.commitment * commitment
    if self.entropy and z.size:
      each, together = with_auto_axes(self._entropies, PartitionSpec(), flat)
      loss += self.entropy * (each - self.diversity * together)
    counts = cb.usage_counts(ids, self.num_codes)
    return cb.QuantizerOutput(
      vectors=unflattened(cb.straight_through(flat, vectors), z).astype(
        z.dtype
      ),
      ids=unflattened(ids, z),
      loss=loss,
      metrics={
        "commitment": jax.lax.stop_gradient(commitment),
        "perplexity": cb.perplexity(counts),
      },
    )

  def resample(
    self,
    z: Float[Array, "*n d"],
    temperature: float | Float[Array, ""],
    key: Key[Array, ""],
  ) -> Int[Array, "*n"]:
    """As `NearestCode.resample`; the bits are drawn by themselves."""
    flat = cb.flatten(z, self.bits)
    distances = jnp.stack([(flat + 1) ** 2, (flat - 1) ** 2], axis=-1)
    logits = cb.near_logits(distances, temperature)
    digits = jax.random.categorical(key, logits)
    return unflattened(digits_to_ids(digits, (2,) * self.bits), z)

  def ids_to_vectors(self, ids: Int[Array, "*n"]) -> Float[Array, "*n d"]:
    """The codes that `ids` name."""
    cb.check_ids(ids, self.num_codes)
    digits = ids_to_digits(ids.reshape(-1), (2,) * self.bits)
    return (2.0 * digits - 1).reshape(*ids.shape, self.bits)

  def _entropies(self, z):
    """Mean entropy of the choices, and entropy of the mean choice, in nats.

    A choice is one of independent bits, so its entropy is the sum of theirs;
    that of the mean takes all codes, a few rows at a time.
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
    return each, cb.entropy(total)
