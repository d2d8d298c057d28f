"""Quantizers that choose the nearest code of a codebook: ema, vq and simvq."""

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from vqvae_jax.quantizers import codebook
from vqvae_jax.quantizers.axes import unflattened
from vqvae_jax.quantizers.base import (
  CodebookQuantizer,
  QuantizerOutput,
  check_ids,
  flatten,
)


class NearestCode(CodebookQuantizer):
  """Looks up the nearest code; subclasses say where codes come from.

  Attributes:
    commitment: weight of the commitment loss, beta.
    codebook_norm: "l2" puts latents and codes on the unit sphere before they
      are compared, so the nearest code is the one with the largest cosine (Yu
      et al., "Vector-quantized Image Modeling with Improved VQGAN", arXiv
      2110.04627, section 3.2).
    gradient: how the gradient passes the choice, a name in
      `codebook.GRADIENTS`.
    code_temperature: temperature of a random choice among near codes in
      training; 0 takes the nearest. See `codebook.near_logits`.
    entropy: weight of `codebook.entropy_loss` on softmax(-distance^2); it
      holds all distances.
  """

  commitment: float = 0.25
  codebook_norm: Literal["none", "l2"] = "none"
  gradient: Literal["straight-through", "rotation"] = "straight-through"
  code_temperature: float = 0.0
  entropy: float = 0.0

  def code_vectors(self) -> Float[Array, "k d"]:
    """Returns all codes, as latents are compared with them."""
    raise NotImplementedError

  def codebook_loss(
    self, z: Float[Array, "n d"], vectors: Float[Array, "n d"]
  ) -> Float[Array, ""] | float:
    """Returns the loss that moves the codes, where gradients do."""
    return 0.0

  def __call__(
    self, z: Float[Array, "*n d"], train: bool = False
  ) -> QuantizerOutput:
    return self.quantize(z, train)[0]

  def quantize(
    self, z: Float[Array, "*n d"], train: bool
  ) -> tuple[QuantizerOutput, Float[Array, "m d"]]:
    """Returns `__call__`'s output, and the latents as they were compared."""
    flat = self.compared(z)
    codes = self.code_vectors()
    temperature = self.code_temperature if train else 0.0
    key = self.make_rng("codes") if temperature else None
    ids = codebook.choose_code(flat, codes, temperature, key)
    vectors = codebook.lookup(codes, ids)
    fixed, target = jax.lax.stop_gradient((flat, vectors))
    # Both losses before the gradient is passed through the choice.
    commitment = codebook.mean((flat - target) ** 2)
    loss = self.commitment * commitment + self.codebook_loss(fixed, vectors)
    if self.entropy:
      distances = codebook.squared_distances(flat, codes)
      loss += self.entropy * codebook.entropy_loss(-distances)
    passed = codebook.GRADIENTS[self.gradient](flat, vectors)
    counts = codebook.usage_counts(ids, self.codebook_size)
    out = QuantizerOutput(
      vectors=unflattened(passed, z).astype(z.dtype),
      ids=unflattened(ids, z),
      loss=loss,
      metrics={
        "commitment": jax.lax.stop_gradient(commitment),
        "perplexity": codebook.perplexity(counts),
      },
    )
    return out, flat

  def compared(self, z: Float[Array, "*n d"]) -> Float[Array, "m d"]:
    """Returns latents as they are compared: in float32, on the sphere."""
    return self.normalized(flatten(z, self.code_dim))

  def normalized(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Returns rows on the unit sphere if `codebook_norm` asks for it."""
    return codebook.unit(x) if self.codebook_norm == "l2" else x

  def resample(
    self,
    z: Float[Array, "*n d"],
    temperature: float | Float[Array, ""],
    key: Key[Array, ""],
  ) -> Int[Array, "*n"]:
    ids = codebook.choose_code(
      self.compared(z), self.code_vectors(), temperature, key
    )
    return unflattened(ids, z)

  def ids_to_vectors(self, ids: Int[Array, "*n"]) -> Float[Array, "*n d"]:
    check_ids(ids, self.num_codes)
    return codebook.lookup(self.code_vectors(), ids)


class CountedCodes(NearestCode):
  """Nearest code with a running count for each code, which finds dead ones.

  Subclasses hold the variables `codes` [k, d] and `count` [k].

  Attributes:
    codebook_ema: decay of the running averages, in [0, 1).
    revive_below: a code whose running count is below this share of the average
      count is replaced by a latent of the batch; 0 never replaces.
    kmeans: iterations of k-means for the first codes.
  """

  codebook_ema: float = 0.99
  revive_below: float = 0.03
  kmeans: int = 0

  def start(self, z: Float[Array, "*n d"], key: Key[Array, ""]) -> None:
    flat = self.compared(z)
    if not len(flat):
      return
    self.codes.value = codebook.first_codes(
      key, flat, self.codebook_size, self.kmeans
    )
    self.count.value = jnp.ones_like(self.count.value)


class EMAQuantizer(CountedCodes):
  """Nearest code; each code is the running mean of the latents that chose it.

  Van den Oord, Vinyals, Kavukcuoglu: "Neural Discrete Representation Learning",
  arXiv 1711.00937, section 3 and appendix A.1.

  The collection `"codebook"` holds `vectors` [k, d], the running `count` [k]
  and the running `sum` [k, d]. It changes in two ways only: by `update`, and by
  a call with `train=True` under `mutable=["codebook"]`, which looks up first
  and updates after (it needs the rng `"codes"`).

  vector-quantize-pytorch 1.32 has the same averages; it smooths the counts by
  1e-5 before it divides by them (here a code keeps its vector instead), calls a
  code dead below an absolute count, and starts a revived one with that count.

  Example: `EMAQuantizer(512, 64)` takes latents [b, 7, 7, 64] to ids [b, 7, 7].
  """

  def setup(self):
    shape = (self.codebook_size, self.code_dim)
    self.codes = self.variable(
      "codebook",
      "vectors",
      lambda: self.normalized(
        jax.random.normal(self.make_rng("params"), shape)
      ),
    )
    self.count = self.variable(
      "codebook", "count", lambda: jnp.ones(self.codebook_size)
    )
    # A copy: two leaves that share one buffer cannot both be donated.
    self.sum = self.variable("codebook", "sum", lambda: self.codes.value + 0)

  def __call__(
    self, z: Float[Array, "*n d"], train: bool = False
  ) -> QuantizerOutput:
    out, flat = self.quantize(z, train)
    if train and self.is_mutable_collection("codebook"):
      self.update(flat, out.ids, self.make_rng("codes"))
    return out

  def code_vectors(self) -> Float[Array, "k d"]:
    return self.codes.value

  def start(self, z: Float[Array, "*n d"], key: Key[Array, ""]) -> None:
    if not z.size:
      return
    super().start(z, key)
    self.codes.value = self.normalized(self.codes.value)
    self.sum.value = self.codes.value + 0

  def update(
    self, z: Float[Array, "*n d"], ids: Int[Array, "..."], key: Key[Array, ""]
  ) -> None:
    """Takes one step of the running averages, then revives dead codes.

    Equations 6 to 8 of appendix A.1. A revived code is reset whole: its vector,
    its running count (to the average) and its running sum; otherwise it would
    die again at the next step.

    Args:
      z: latents of one optimizer step, before quantization.
      ids: ids that the old codebook gave to them.
      key: key of the choice of latents that replace dead codes.
    """
    flat = jax.lax.stop_gradient(self.compared(z))
    counts, sums = codebook.code_statistics(
      flat, ids.reshape(-1), self.codebook_size
    )
    decay = self.codebook_ema
    count = decay * self.count.value + (1 - decay) * counts
    total = decay * self.sum.value + (1 - decay) * sums
    # A code that nothing chooses keeps its vector: both averages shrink alike,
    # down to the smallest float, where only the old vector is left.
    alive = count > jnp.finfo(count.dtype).tiny * 1e6
    safe = jnp.where(alive, count, 1)
    codes = jnp.where(
      alive[:, None], self.normalized(total / safe[:, None]), self.codes.value
    )
    if self.revive_below > 0 and len(flat):
      dead = codebook.dead_codes(count, self.revive_below)
      fresh = codebook.draw_latents(key, flat, self.codebook_size)
      codes = jnp.where(dead[:, None], fresh, codes)
      count = jnp.where(dead, count.mean(), count)
      total = jnp.where(dead[:, None], codes * count[:, None], total)
    self.codes.value, self.count.value, self.sum.value = codes, count, total


class VectorQuantizer(CountedCodes):
  """Nearest code; the codebook loss pulls codes to the latents they stand for.

  Van den Oord, Vinyals, Kavukcuoglu: "Neural Discrete Representation Learning",
  arXiv 1711.00937, section 3.2, equation 3.

  The codes are the parameter `vectors` [k, d]; the collection `"codebook"`
  holds their running `count` [k], which only the revival of dead codes reads.

  Attributes:
    orthogonality: weight of `codebook.orthogonality_loss`.
  """

  orthogonality: float = 0.0

  def setup(self):
    shape = (self.codebook_size, self.code_dim)
    self.codes = self.variable(
      "params",
      "vectors",
      lambda: jax.random.normal(self.make_rng("params"), shape),
    )
    self.count = self.variable(
      "codebook", "count", lambda: jnp.ones(self.codebook_size)
    )

  def code_vectors(self) -> Float[Array, "k d"]:
    return self.normalized(self.codes.value)

  def codebook_loss(
    self, z: Float[Array, "n d"], vectors: Float[Array, "n d"]
  ) -> Float[Array, ""]:
    loss = codebook.mean((z - vectors) ** 2)
    if self.orthogonality:
      loss += self.orthogonality * codebook.orthogonality_loss(self.codes.value)
    return loss

  def update(
    self, z: Float[Array, "*n d"], ids: Int[Array, "..."], key: Key[Array, ""]
  ) -> None:
    """Counts the codes in use and revives dead ones, after the optimizer."""
    counts = codebook.usage_counts(ids, self.codebook_size)
    count = (
      self.codebook_ema * self.count.value + (1 - self.codebook_ema) * counts
    )
    if self.revive_below > 0 and z.size:
      dead = codebook.dead_codes(count, self.revive_below)
      fresh = codebook.draw_latents(key, self.compared(z), self.codebook_size)
      self.codes.value = jnp.where(dead[:, None], fresh, self.codes.value)
      count = jnp.where(dead, count.mean(), count)
    self.count.value = count


class SimVQ(NearestCode):
  """Nearest code; the codes are `basis @ map`, and only the map learns.

  Zhu et al.: "Addressing Representation Collapse in Vector Quantized Models
  with One Linear Layer", arXiv 2411.02038.

  Every step moves all codes, also those that no latent chose. The `basis`
  [k, d] stays as drawn, in the collection `"codebook"`; `map` [d, d] is a
  parameter that the codebook loss moves.
  """

  def setup(self):
    k, d = self.codebook_size, self.code_dim
    self.basis = self.variable(
      "codebook",
      "basis",
      lambda: jax.random.normal(self.make_rng("params"), (k, d)) * d**-0.5,
    )
    self.map = self.param("map", nn.initializers.lecun_normal(), (d, d))

  def code_vectors(self) -> Float[Array, "k d"]:
    codes = jnp.matmul(
      self.basis.value, self.map, precision=jax.lax.Precision.HIGHEST
    )
    return self.normalized(codes)

  def codebook_loss(
    self, z: Float[Array, "n d"], vectors: Float[Array, "n d"]
  ) -> Float[Array, ""]:
    return codebook.mean((z - vectors) ** 2)
