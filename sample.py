"""Writes new labelled images from a run of train.py.

  python sample.py --workdir=runs/mnist5k --num-images=1000 --out=out

With --resume, the same command goes on where it stopped; with --verify, it only
checks what is there.
"""

from vqvae_jax import stops

RESUME = "--resume goes on from here"


def main() -> int:
  # The imports are in here, so that Ctrl-C is one line during them, and --help
  # and mistakes answer at once.
  with stops.OneLine(RESUME):
    from vqvae_jax import cli
    from vqvae_jax.commands import first
    from vqvae_jax.config import SampleConfig

    def action(config):
      from vqvae_jax.jobs import generate

      generate(config, advise=True)

    return cli.run(
      SampleConfig, action, __doc__, first=first.SAMPLE, resume=RESUME
    )


if __name__ == "__main__":
  stops.leave(main())
