"""Writes new labelled images from a run of train.py.

  python sample.py --workdir=runs/mnist5k --num-images=1000 --out=out

With --resume, the same command goes on where it stopped; with --verify, it only
checks what is there.
"""

import sys

import tyro

from vqvae_jax.config import SampleConfig
from vqvae_jax.errors import UserError


def main() -> int:
  try:
    config = tyro.cli(SampleConfig, description=__doc__)
    # After the flags are read, so that --help and mistakes answer at once.
    from vqvae_jax.generation import generate

    generate(config)
  except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    return 2
  except KeyboardInterrupt:
    print("interrupted; --resume goes on from here", file=sys.stderr)
    return 130
  return 0


if __name__ == "__main__":
  sys.exit(main())
