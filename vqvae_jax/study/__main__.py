"""Compares ways to grow a small labelled image set.

  python -m vqvae_jax.study --quick
  python -m vqvae_jax.study --dataset=mnist --num-real=1000 \\
    --num-synthetic=10000 --seeds=5 --out=study

Of the real images a fifth validates, and every choice is made there. Test
images are read once, at the end. The report is OUT/report.html. The same
command goes on where it stopped.
"""

import sys

from vqvae_jax import cli
from vqvae_jax.commands import first
from vqvae_jax.config import StudyConfig


def main() -> int:
  def action(config):
    # Here, so that --help and mistakes answer at once.
    from vqvae_jax.study.run import study

    study(config)

  return cli.run(
    StudyConfig,
    action,
    __doc__,
    first=first.STUDY,
    prog="python -m vqvae_jax.study",
  )


if __name__ == "__main__":
  sys.exit(main())
