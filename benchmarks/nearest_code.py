"""Compares our search of the nearest code with others, on the same arrays.

The others: the dense form in JAX (all distances, then argmin),
`torch.cdist(...).argmin`, scikit-learn's `pairwise_distances_argmin`, and the
lookup of `vector-quantize-pytorch`. Every round calls all of them in turn, each
twice, and takes the faster of the two: the first one pays for what the one
before left behind (threads that still spin, gigabytes that are freed). A line
gives medians, and the ratio of the fastest of the others to ours. On a TPU the
Pallas kernel is timed, too; on a GPU, torch runs on the GPU.
`temporary` is what the compiled program holds beside its arguments and results.

  pip install ".[peers]"
  python benchmarks/nearest_code.py
"""

import dataclasses
import functools
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from nearest_kernel import nearest_tpu

from vqvae_jax.quantizers import nearest_code

# Seconds between two calls.
REST = 0.5
# Arrays larger than this are not tried.
MEMORY = 8 * 2**30


@dataclasses.dataclass(frozen=True)
class Options:
  # Number of latents.
  rows: int = 65_536
  # Sizes of the codebook.
  codes: tuple[int, ...] = (512, 2048, 16_384, 65_536)
  # Width of latents and codes.
  width: int = 64
  # Rounds, of which the median is taken.
  rounds: int = 5


def dense(z, codes):
  distances = jnp.sum(codes**2, axis=1)[None] - 2 * z @ codes.T
  return jnp.argmin(distances, axis=1).astype(jnp.int32)


def compiled(function, *arrays):
  """Returns a call that waits for its result, and the temporary bytes."""
  program = jax.jit(function).lower(*arrays).compile()
  memory = program.memory_analysis().temp_size_in_bytes
  arrays = jax.device_put(arrays)
  return lambda: np.asarray(program(*arrays)), memory


def peers(z, codes):
  """Returns the others by name; each returns ids as a NumPy array."""
  import torch
  from sklearn.metrics import pairwise_distances_argmin
  from vector_quantize_pytorch import VectorQuantize

  # scikit-learn has the CPU alone.
  device = "cuda" if jax.default_backend() == "gpu" else "cpu"
  latents = torch.from_numpy(z).to(device)
  book = torch.from_numpy(codes).to(device)
  quantizer = VectorQuantize(dim=z.shape[1], codebook_size=len(codes))
  quantizer.eval().to(device)
  quantizer._codebook.embed.data.copy_(book[None])

  def cdist():
    with torch.inference_mode():
      return torch.cdist(latents, book).argmin(dim=1).cpu().numpy()

  def lookup():
    with torch.inference_mode():
      return quantizer(latents[None])[1][0].cpu().numpy()

  return {
    "torch.cdist": cdist,
    "scikit-learn": functools.partial(pairwise_distances_argmin, z, codes),
    "vector-quantize-pytorch": lookup,
  }


def timed(call) -> float:
  start = time.perf_counter()
  call()
  return time.perf_counter() - start


def compare(k, options):
  rng = np.random.default_rng(0)
  z = rng.normal(size=(options.rows, options.width)).astype(np.float32)
  codes = rng.normal(size=(k, options.width)).astype(np.float32)
  ours, memory = compiled(nearest_code, z, codes)
  calls = {"ours": ours}
  held = {"ours": memory}
  if jax.default_backend() == "tpu":
    calls["kernel"], held["kernel"] = compiled(nearest_tpu, z, codes)
  if 4 * options.rows * k <= MEMORY:
    calls["dense"], held["dense"] = compiled(dense, z, codes)
    calls |= peers(z, codes)
  else:
    others = peers(z, codes)
    calls["scikit-learn"] = others["scikit-learn"]
  expected = calls["ours"]()
  for name, call in calls.items():
    # Sums in another order may prefer another of two equally near codes.
    same = np.mean(call() == expected)
    assert same > 0.999, f"{name} agrees on {same:.4f} of the ids only"
  seconds = {name: [] for name in calls}
  for _ in range(options.rounds):
    for name, call in calls.items():
      time.sleep(REST)
      seconds[name].append(min(timed(call), timed(call)))
  medians = {name: statistics.median(times) for name, times in seconds.items()}
  for name, median in medians.items():
    temporary = f"{held[name] / 2**20:8.1f} MiB" if name in held else ""
    print(f"k={k:6d} {name:24s} {median:8.3f} s {temporary}", flush=True)
  best = min(medians.keys() - {"ours", "kernel"}, key=medians.get)
  ratio = statistics.median(
    other / ours
    for other, ours in zip(seconds[best], seconds["ours"], strict=True)
  )
  print(f"ratio={ratio:.2f} k={k} over {best}", flush=True)


def main():
  options = tyro.cli(Options, description=__doc__)
  print(
    f"device={jax.devices()[0].device_kind} n={options.rows} d={options.width}"
  )
  for k in options.codes:
    compare(k, options)


if __name__ == "__main__":
  main()
