"""Compares ways to grow a small labelled image set.

  python -m vqvae_jax.study --quick
  python -m vqvae_jax.study --dataset=mnist --num-real=1000 \\
    --num-synthetic=10000 --seeds=5 --out=study

Of the real images a fifth validates, and every choice is made there. Test
images are read once, at the end. The report is OUT/report.html. The same
command goes on where it stopped.
"""

import sys

import tyro

from vqvae_jax.config import StudyConfig
from vqvae_jax.errors import Interrupted, UserError


def main() -> int:
  try:
    config = tyro.cli(
      StudyConfig, description=__doc__, prog="python -m vqvae_jax.study"
    )
    # After the flags are read, so that --help and mistakes answer at once.
    from vqvae_jax.study.run import study

    study(config)
  except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    return 2
  except Interrupted as stop:
    print(f"{stop}; the same command goes on from there")
    return 128 + stop.signum
  except KeyboardInterrupt:
    print("interrupted; the same command goes on from there", file=sys.stderr)
    return 130
  return 0


if __name__ == "__main__":
  sys.exit(main())
