"""Writes new labelled images from a run of train.py.

  python sample.py --workdir=runs/mnist5k --num-images=1000 --out=out

With --resume, the same command goes on where it stopped; with --verify, it only
checks what is there.
"""

import sys

from vqvae_jax import cli
from vqvae_jax.config import SampleConfig


def main() -> int:
  def action(config):
    # Here, so that --help and mistakes answer at once.
    from vqvae_jax.generation import generate

    generate(config, advise=True)

  return cli.run(
    SampleConfig, action, __doc__, resume="--resume goes on from here"
  )


if __name__ == "__main__":
  sys.exit(main())
