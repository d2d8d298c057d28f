"""Compares ways to grow a small labelled image set.

  python -m vqvae_jax.study --quick
  python -m vqvae_jax.study --dataset=mnist --num-real=1000 \\
    --num-synthetic=10000 --seeds=5 --out=study

Of the real images a fifth validates, and every choice is made there. Test
images are read once, at the end. The report is OUT/report.html. The same
command goes on where it stopped.
"""

from vqvae_jax import stops


def main() -> int:
  # The imports are in here, so that Ctrl-C is one line during them, and --help
  # and mistakes answer at once.
  with stops.OneLine():
    from vqvae_jax import cli
    from vqvae_jax.commands import first
    from vqvae_jax.config import StudyConfig

    def action(config):
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
  stops.leave(main())
