"""Lists the commands: `python -m vqvae_jax`."""

import sys

from vqvae_jax import commands

# The text stands here and not in the modules that it names, so that the command
# answers at once.
COMMANDS = """\
Learns a small labelled image set and grows it. The commands, to be called from
the folder of train.py:

  python train.py --dataset=folder:photos --image-size=64
      learns the images: a VQ-VAE, then a prior over its ids

  python sample.py --workdir=runs/photos --num-images=1000 --out=new_photos
      writes new labelled images from what train.py learned

  python -m vqvae_jax.study --dataset=folder:photos --image-size=64 --num-real=0
      measures whether new images help a classifier

Each has --help, the flags that people need first, and --help-all.
"""


def main() -> int:
  """Prints the commands and returns the exit code."""
  args = sys.argv[1:]
  if "--version" in args:
    import vqvae_jax

    commands.show(f"vqvae_jax {vqvae_jax.__version__}")
    return 0
  unknown = [arg for arg in args if arg not in ("-h", "--help", "--help-all")]
  if unknown:
    from vqvae_jax.cli import one_line

    print(
      f"error: {one_line(unknown[0])} is not a command; python -m vqvae_jax "
      "lists them",
      file=sys.stderr,
    )
    return 2
  commands.show(COMMANDS.rstrip())
  return 0


if __name__ == "__main__":
  sys.exit(main())
