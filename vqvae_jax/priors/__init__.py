"""Priors: class-conditional models of ids, their likelihood and sampling.

Each is a Flax module with the attributes of `Prior`. `TransformerPrior` and
`PixelCNNPrior` have an exact likelihood and the methods of
`AutoregressivePrior`; `MaskGITPrior` fills in masked ids. `sample` takes any of
them, `log_prob` the exact ones.

The label `num_classes` stands for any class: training replaces some labels by
it, so that `sample` can guide by the difference that the class makes. Ids are
int32 [b, t] in raster order, and likelihoods are nats per image.
"""

from vqvae_jax.priors.base import (
  AutoregressivePrior,
  Prior,
  log_prob,
  prior_loss,
)
from vqvae_jax.priors.maskgit import MaskGITPrior, draw_mask, mask_ratio
from vqvae_jax.priors.pixelcnn import PixelCNNPrior
from vqvae_jax.priors.sampling import Sampling, sample
from vqvae_jax.priors.transformer import TransformerPrior

__all__ = [
  "AutoregressivePrior",
  "MaskGITPrior",
  "PixelCNNPrior",
  "Prior",
  "Sampling",
  "TransformerPrior",
  "draw_mask",
  "log_prob",
  "mask_ratio",
  "prior_loss",
  "sample",
]
