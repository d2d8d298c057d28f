"""Learns a labelled image set: a VQ-VAE, then a prior over its ids.

  python train.py
  python train.py --dataset=folder:photos --image-size=64

Run again, the same command goes on where it stopped.
"""

import sys

import tyro

from vqvae_jax.config import Config
from vqvae_jax.errors import Interrupted, UserError


def main() -> int:
  try:
    config = tyro.cli(Config, description=__doc__)
    # After the flags are read, so that --help and mistakes answer at once.
    from vqvae_jax.training import train

    train(config)
  except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    return 2
  except Interrupted as stop:
    print(f"{stop}; the same command goes on from there")
    return 128 + stop.signum
  return 0


if __name__ == "__main__":
  sys.exit(main())
