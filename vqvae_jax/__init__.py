"""Learn a small labelled image set with a VQ-VAE and grow it."""


def load(workdir, from_step=None):
  """The trained model of a run folder; see `vqvae_jax.generation.load`."""
  # Imported at use: importing one quantizer should not import Orbax and Grain.
  from vqvae_jax.generation import load as load_model

  return load_model(workdir, from_step=from_step)


__all__ = ["load"]
