"""Learns a labelled image set; see `python train.py --help`."""

from vqvae_jax import cli

if __name__ == "__main__":
  cli.train()
