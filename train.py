"""Learns a labelled image set: a VQ-VAE, then a prior over its ids.

  python train.py
  python train.py --dataset=folder:photos --image-size=64
  python train.py --dataset=folder:photos --image-size=64 --plan

If it was interrupted, the same command goes on from the last checkpoint. So
does this, by the settings that the run was started with:

  python train.py --resume=runs/mnist5k
"""

from vqvae_jax import stops


def main() -> int:
  # The imports are in here, so that Ctrl-C is one line during them, and --help
  # and mistakes answer at once.
  with stops.OneLine():
    from vqvae_jax import cli
    from vqvae_jax.commands import first
    from vqvae_jax.config import Config

    def default(args):
      run = cli.value_of("--resume", args)
      if run is None:
        return None
      from vqvae_jax.training.workdir import resumed_config

      return resumed_config(run)

    def action(config):
      from vqvae_jax.runs import train

      train(config)

    return cli.run(Config, action, __doc__, first=first.TRAIN, default=default)


if __name__ == "__main__":
  stops.leave(main())
