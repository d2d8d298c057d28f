"""Cached sampling beside one full forward pass per id, in one run.

Both sides are one compiled loop, with the same parameters, keys and sampling
rule. The uncached side runs the whole network over the full-length sequence
for every id and reads the logits at that id alone.

  python benchmarks/sample.py
"""

import argparse
import functools
import math
import pathlib
import statistics
import sys
import time

import jax
import jax.numpy as jnp

# This package is the one in this checkout, installed or not.
sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from vqvae_jax.priors import TransformerPrior, sample
from vqvae_jax.priors.sampling import choose


@functools.partial(jax.jit, static_argnums=0)
def sample_uncached(model, params, keys, labels):
  """The ids of `sample`, with nothing kept from one id to the next."""

  def logits_at(prior, ids, position):
    x = prior.hidden(ids, labels)
    x = jax.lax.dynamic_index_in_dim(x, position, axis=1, keepdims=False)
    return prior.readout(x)

  def step(ids, position):
    logits = model.apply({"params": params}, ids, position, method=logits_at)
    return ids.at[:, position].set(choose(keys, position, logits)), None

  length = math.prod(model.grid)
  ids = jnp.zeros((labels.shape[0], length), jnp.int32)
  return jax.lax.scan(step, ids, jnp.arange(length))[0]


def seconds(sampler, *args) -> float:
  start = time.perf_counter()
  jax.block_until_ready(sampler(*args))
  return time.perf_counter() - start


def main():
  parser = argparse.ArgumentParser(
    description=__doc__,
    formatter_class=argparse.ArgumentDefaultsHelpFormatter,
  )
  for flag, default, text in (
    ("--batch", 500, "images sampled at a time"),
    ("--side", 7, "rows and columns of ids: side * side ids per image"),
    ("--codes", 512, "size of the codebook"),
    ("--layers", 4, "transformer blocks"),
    ("--width", 128, "channels of the residual stream"),
    ("--heads", 4, "attention heads; divides the width"),
    ("--rounds", 5, "timed rounds, one run of each side per round"),
  ):
    parser.add_argument(flag, type=int, default=default, help=text)
  flags = parser.parse_args()

  model = TransformerPrior(
    num_codes=flags.codes,
    num_classes=10,
    grid=(flags.side, flags.side),
    layers=flags.layers,
    width=flags.width,
    heads=flags.heads,
  )
  ids = jnp.zeros((1, flags.side**2), jnp.int32)
  params = model.init(jax.random.key(0), ids, ids[:, 0])["params"]
  keys = jax.random.split(jax.random.key(1), flags.batch)
  labels = jnp.arange(flags.batch, dtype=jnp.int32) % 10
  args = (model, params, keys, labels)

  # The first call compiles. Close logits may round to either side of a
  # choice, and an image goes its own way after that.
  equal = jnp.mean(sample(*args) == sample_uncached(*args))
  print(f"device={jax.devices()[0].device_kind} equal_ids={equal:.4f}")
  cached, uncached = [], []
  for index in range(flags.rounds):
    cached.append(seconds(sample, *args))
    uncached.append(seconds(sample_uncached, *args))
    print(
      f"round {index + 1}/{flags.rounds}: cached {cached[-1]:.3f} s, "
      f"uncached {uncached[-1]:.3f} s",
      flush=True,
    )
  cached, uncached = statistics.median(cached), statistics.median(uncached)
  print(f"cached: {flags.batch / cached:.1f} images/s")
  print(f"uncached: {flags.batch / uncached:.1f} images/s")
  print(
    f"ratio={uncached / cached:.1f} ids={flags.side**2} batch={flags.batch}"
  )


if __name__ == "__main__":
  main()
