"""Priors: class-conditional models of ids, their likelihood and sampling.

Each is a Flax module with the attributes of `base.Prior`. Where the likelihood
is exact (the transformer, PixelCNN), its methods are

    __call__(ids [b, t], labels [b], train) -> logits [b, t, k]
    init_cache(batch) -> cache
    begin_row(previous [b], labels [b], row, cache) -> cache
    decode_step(previous [b], labels [b], position, cache)
      -> logits [b, k], cache

and where it is not (MaskGIT),

    __call__(ids [b, t], labels [b], hidden [b, t], train) -> logits [b, t, k]

`sample` takes any of them, `log_prob` the exact ones. The label `num_classes`
stands for any class: training puts it in the place of some labels, so that
`sample` can guide by the difference that the class makes. Ids are int32 in
raster order, t is the product of the grid, and likelihoods are nats per image.
"""

from vqvae_jax.priors.base import Prior
from vqvae_jax.priors.likelihood import log_prob, prior_loss
from vqvae_jax.priors.maskgit import (
  MaskGITPrior,
  draw_mask,
  mask_ratio,
)
from vqvae_jax.priors.pixelcnn import PixelCNNPrior
from vqvae_jax.priors.sampling import Sampling, sample
from vqvae_jax.priors.transformer import TransformerPrior

__all__ = [
  "MaskGITPrior",
  "PixelCNNPrior",
  "Prior",
  "Sampling",
  "TransformerPrior",
  "draw_mask",
  "mask_ratio",
  "log_prob",
  "prior_loss",
  "sample",
]
