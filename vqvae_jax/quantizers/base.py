"""The interface of all quantizers, and what they return."""

import flax.linen as nn
import flax.struct
import jax
from jaxtyping import Array, Float, Int, Key

from vqvae_jax.quantizers.axes import flattened
from vqvae_jax.quantizers.search import at_least_float32


@flax.struct.dataclass
class QuantizerOutput:
  """The output of every quantizer.

  Attributes:
    vectors: codes of the latents, [..., d], in the latents' dtype. Their
      gradient goes straight through to the latents.
    ids: index of each code, int32 [...]; with several codes for one latent
      (residual, product), [..., m].
    loss: mean over all elements, which does not change with the batch size;
      a scalar to be added to the reconstruction loss as it is.
    metrics: scalars worth a look, without gradient.
  """

  vectors: Float[Array, "*n d"]
  ids: Int[Array, "..."]
  loss: Float[Array, ""]
  metrics: dict[str, Float[Array, ""]]


class Quantizer(nn.Module):
  """Latents to ids of codes and back: the interface of all quantizers.

  A quantizer has the properties `width` and `num_codes`, and the methods
  `__call__`, `ids_to_vectors` and `resample`. `start` and `update` do nothing
  unless the codes depend on the latents that were seen; they may change the
  collections "params" and "codebook", which must be mutable there.
  """

  @property
  def width(self) -> int:
    """Width of the latents."""
    raise NotImplementedError

  @property
  def num_codes(self) -> int:
    """Number of codes; ids are in [0, num_codes)."""
    raise NotImplementedError

  @property
  def ids_per_latent(self) -> int:
    """Ids of each latent; where there are several, ids have one more axis."""
    return 1

  def __call__(
    self, z: Float[Array, "*n d"], train: bool = False
  ) -> QuantizerOutput:
    """Quantizes latents.

    Args:
      z: latents, [..., width].
      train: whether to do what only training does, such as a random choice,
        which needs the rng "codes".

    Raises:
      ValueError: if the latents have another width.
    """
    raise NotImplementedError

  def ids_to_vectors(self, ids: Int[Array, "*n"]) -> Float[Array, "... d"]:
    """Returns the vectors of the codes, [..., width].

    Args:
      ids: ids as `__call__` returns them.

    Raises:
      ValueError: if the ids are known (not traced) and not ids of codes.
    """
    raise NotImplementedError

  def resample(
    self,
    z: Float[Array, "*n d"],
    temperature: float | Float[Array, ""],
    key: Key[Array, ""],
  ) -> Int[Array, "..."]:
    """Draws ids among the codes near each latent.

    Args:
      z: latents of one image.
      temperature: 0 takes the nearest code, larger values draw more distant
        ones; see `codebook.near_logits`.
      key: key of the draws.
    """
    raise NotImplementedError

  def start(self, z: Float[Array, "*n d"], key: Key[Array, ""]) -> None:
    """Takes the first codes from latents of the data.

    Args:
      z: latents of a batch.
      key: key of the choice of latents.
    """

  def update(
    self, z: Float[Array, "*n d"], ids: Int[Array, "..."], key: Key[Array, ""]
  ) -> None:
    """Lets the codes follow the latents of one optimizer step.

    Args:
      z: latents, before quantization.
      ids: ids that `__call__` gave to them.
      key: key of the choice of latents that replace dead codes.
    """


class CodebookQuantizer(Quantizer):
  """A quantizer whose codes are as wide as the latents.

  Attributes:
    codebook_size: number of codes, k.
    code_dim: width of latents and codes, d.
  """

  codebook_size: int
  code_dim: int

  @property
  def num_codes(self) -> int:
    return self.codebook_size

  @property
  def width(self) -> int:
    return self.code_dim


def flatten(z: Float[Array, "*n d"], width: int) -> Float[Array, "m d"]:
  """Returns latents as rows, in float32 or wider.

  Raises:
    ValueError: if they are not `width` wide.
  """
  if z.shape[-1] != width:
    raise ValueError(
      f"latents of width {z.shape[-1]}, but the quantizer's is {width}"
    )
  return flattened(at_least_float32(z))


def check_ids(ids: Int[Array, "..."], k: int) -> None:
  """Checks ids whose values are known; inside of `jit` they are not.

  Raises:
    ValueError: if an id is outside of [0, k).
  """
  if isinstance(ids, jax.core.Tracer) or not ids.size:
    return
  low, high = int(ids.min()), int(ids.max())
  if low < 0 or high >= k:
    raise ValueError(f"ids from {low} to {high} are not all in [0, {k})")
