"""Times the sampling of ids by our three priors and by pythae's PixelCNN.

All of them draw in one run, with the same grid, codebook and batch size. The
uncached transformer runs over the whole sequence for every id and uses the
logits of that id only. The sampler of pythae runs its whole network for every
id, as published; `pixelcnn like pythae's` has the same number of layers, the
same number of channels and the same kernel size.

  pip install ".[peers]"
  python benchmarks/sample.py
"""

import dataclasses
import functools
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from vqvae_jax.generators.vqvae.prior import example
from vqvae_jax.priors import (
  MaskGITPrior,
  PixelCNNPrior,
  TransformerPrior,
  sample,
)
from vqvae_jax.priors.choice import choose


@dataclasses.dataclass(frozen=True)
class Options:
  # Number of images that are sampled at a time.
  batch: int = 500
  # Number of rows and of columns of ids.
  side: int = 7
  # Number of codes.
  codes: int = 512
  # Number of timed rounds; every sampler runs once per round.
  rounds: int = 5


@functools.partial(jax.jit, static_argnums=0)
def sample_uncached(model, params, keys, labels):
  """Returns the ids of `sample`, computed without a cache."""

  def logits_at(prior, ids, position):
    x = prior.stream(ids, labels)
    x = jax.lax.dynamic_index_in_dim(x, position, axis=1, keepdims=False)
    return prior.readout(x)

  def step(ids, position):
    logits = model.apply({"params": params}, ids, position, method=logits_at)
    return ids.at[:, position].set(choose(keys, position, logits)), None

  ids = jnp.zeros((labels.shape[0], model.length), jnp.int32)
  return jax.lax.scan(step, ids, jnp.arange(model.length))[0]


def ours(options):
  """Returns our samplers by name; each returns ids as a numpy array."""
  grid = options.side, options.side
  keys = jax.random.split(jax.random.key(1), options.batch)
  labels = jnp.arange(options.batch, dtype=jnp.int32) % 10

  def sampler(kind, draw=sample, **sizes):
    model = kind(options.codes, 10, grid, **sizes)
    params = model.init(jax.random.key(0), *example(model, labels[:1]))
    arguments = model, params["params"], keys, labels
    return lambda: np.asarray(draw(*arguments))

  return {
    "transformer": sampler(TransformerPrior),
    "transformer, uncached": sampler(TransformerPrior, sample_uncached),
    "pixelcnn": sampler(PixelCNNPrior),
    "pixelcnn like pythae's": sampler(
      PixelCNNPrior, layers=10, width=64, kernel=5
    ),
    "maskgit": sampler(MaskGITPrior),
  }


def pythae(options):
  """Returns the sampler of pythae with an untrained, default PixelCNN."""
  import torch
  from pythae.models import VQVAE, VQVAEConfig
  from pythae.models.normalizing_flows import PixelCNN, PixelCNNConfig
  from pythae.samplers import PixelCNNSampler

  ids = options.side**2
  # The decoder can be small, because only the sampling is timed.
  model = VQVAE(
    VQVAEConfig(
      input_dim=(1, options.side, options.side),
      latent_dim=ids,
      num_embeddings=options.codes,
    )
  ).eval()
  sampler = PixelCNNSampler(model)
  sampler.pixelcnn_model = PixelCNN(
    PixelCNNConfig(
      input_dim=(1, options.side, options.side),
      n_embeddings=options.codes,
      n_layers=10,
    )
  ).eval()
  sampler.is_fitted = True

  def draw():
    with torch.inference_mode():
      return sampler.sample(options.batch, batch_size=options.batch)

  return draw


def main():
  options = tyro.cli(Options, description=__doc__)
  samplers = ours(options) | {"pythae's pixelcnn": pythae(options)}
  # The first call compiles. Logits that are nearly equal may round differently,
  # and then the rest of an image differs.
  first = {name: draw() for name, draw in samplers.items()}
  equal = np.mean(first["transformer"] == first["transformer, uncached"])
  print(f"device={jax.devices()[0].device_kind} equal_ids={equal:.4f}")
  seconds = {name: [] for name in samplers}
  for index in range(options.rounds):
    for name, draw in samplers.items():
      start = time.perf_counter()
      draw()
      seconds[name].append(time.perf_counter() - start)
    print(
      f"round {index + 1}/{options.rounds}: "
      + ", ".join(
        f"{name} {times[-1]:.2f} s" for name, times in seconds.items()
      ),
      flush=True,
    )
  for name, times in seconds.items():
    speed = options.batch / statistics.median(times)
    print(f"{name}: {speed:.1f} images/s")
  for fast, slow in (
    ("transformer", "transformer, uncached"),
    ("pixelcnn", "pythae's pixelcnn"),
    ("pixelcnn like pythae's", "pythae's pixelcnn"),
  ):
    ratio = statistics.median(
      b / a for a, b in zip(seconds[fast], seconds[slow], strict=True)
    )
    print(f"ratio={ratio:.1f} {fast} over {slow}")


if __name__ == "__main__":
  main()
