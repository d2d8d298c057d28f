"""The batch job: many labelled images as a data set on disk."""

from vqvae_jax.jobs.job import generate

__all__ = ["generate"]
