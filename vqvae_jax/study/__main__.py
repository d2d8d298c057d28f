"""Measures whether new images help; see `python -m vqvae_jax.study --help`."""

from vqvae_jax import cli

if __name__ == "__main__":
  cli.study()
