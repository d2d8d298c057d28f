"""Random walks over latents whose steps are alike in pixels.

The decoder pulls the metric of pixels back to the latents: with its Jacobian J,
a small step dz changes the image by the length of J dz, that is by the metric
J^T J. A step is drawn from N(0, e^2 (J^T J + e^2 I)^-1): about e pixels'
distance along each direction that the image depends on, and a standard normal
step along those that it does not. It is also the Laplace approximation of the
posterior of a VAE whose pixels have standard deviation e.

This is in the spirit of Chadebec, Thibeau-Sutre, Burgos and Allassonniere:
"Data augmentation in high dimensional low sample size setting using a
geometry-based variational autoencoder", arXiv 2103.13751. There the metric is
learned together with the VAE and sampled by Hamiltonian Monte Carlo; here it is
the decoder's own, and no step is accepted or rejected.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key


def walk(
  decode: Callable[[Float[Array, " d"]], Float[Array, "..."]],
  start: Float[Array, " d"],
  key: Key[Array, ""],
  steps: int,
  step_size: float | Float[Array, ""],
) -> Float[Array, " d"]:
  """Returns where a walk ends.

  Args:
    decode: function from one latent vector to pixels.
    start: latent vector where the walk begins.
    key: key of the steps.
    steps: number of steps.
    step_size: e, a distance in pixels; see above.
  """

  def body(latents, key):
    noise = jax.random.normal(key, latents.shape, latents.dtype)
    return latents + pullback_step(decode, latents, noise, step_size), None

  return jax.lax.scan(body, start, jax.random.split(key, steps))[0]


def pullback_step(
  decode: Callable[[Float[Array, " d"]], Float[Array, "..."]],
  latents: Float[Array, " d"],
  noise: Float[Array, " d"],
  step_size: float | Float[Array, ""],
) -> Float[Array, " d"]:
  """Turns standard normal noise into a step, which is linear in the noise."""
  rows = jacobian(decode, latents)
  metric = jnp.matmul(rows, rows.T, precision="highest")
  # By eigenvalues: a metric has no Cholesky factor if it has directions that
  # change next to nothing.
  values, directions = jnp.linalg.eigh(metric)
  lengths = step_size / jnp.sqrt(jnp.maximum(values, 0) + step_size**2)
  return directions @ (lengths * noise)


def jacobian(
  function: Callable[[Float[Array, " d"]], Float[Array, "..."]],
  x: Float[Array, " d"],
) -> Float[Array, "d m"]:
  """Returns derivatives of all results, flattened, by each number of `x`.

  Products with J are the transposed products with its transpose: the CPU's
  convolutions have derivatives in reverse mode only (see `nn.winograd`), and
  one pass for each of a few numbers beats one for each pixel.
  """
  result, pull = jax.vjp(function, x)
  _, push = jax.vjp(lambda g: pull(g)[0], jnp.zeros_like(result))
  columns = jax.vmap(lambda v: push(v)[0])(jnp.eye(len(x), dtype=x.dtype))
  return columns.reshape(len(x), -1)
