"""Writes new labelled images; see `python sample.py --help`."""

from vqvae_jax import cli

if __name__ == "__main__":
  cli.sample()
