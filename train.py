"""Learns a labelled image set: a VQ-VAE, then a prior over its ids.

  python train.py
  python train.py --dataset=folder:photos --image-size=64

If it was interrupted, the same command goes on from the last checkpoint.
"""

import sys

from vqvae_jax import cli
from vqvae_jax.commands import first
from vqvae_jax.config import Config


def main() -> int:
  def action(config):
    # Here, so that --help and mistakes answer at once.
    from vqvae_jax.training import train

    train(config)

  return cli.run(Config, action, __doc__, first=first.TRAIN)


if __name__ == "__main__":
  sys.exit(main())
