"""Learns a labelled image set: a VQ-VAE, then a prior over its ids.

  python train.py
  python train.py --dataset=folder:photos --image-size=64
  python train.py --dataset=folder:photos --image-size=64 --plan

Run again, the same command goes on where it stopped.
"""

import sys

from vqvae_jax import cli
from vqvae_jax.config import Config


def main() -> int:
  def action(config):
    # Here, so that --help and mistakes answer at once.
    from vqvae_jax.training import train

    train(config)

  return cli.run(Config, action, __doc__)


if __name__ == "__main__":
  sys.exit(main())
