"""Priors: class-conditional models of ids, their likelihood and sampling.

An autoregressive prior is a Flax module with the attributes `num_codes`,
`num_classes` and `grid`, and three methods:

    __call__(ids [b, t], labels [b], train) -> logits [b, t, k]
    init_cache(batch) -> cache
    decode_step(previous [b], labels [b], position, cache)
      -> logits [b, k], cache

`log_prob` and `sample` take any of them. The label `num_classes` stands for any
class: training puts it in the place of some labels, so that `sample` can guide
by the difference that the class makes. Ids are int32 in raster order, t is
the product of the grid, and likelihoods are nats per image.
"""

from vqvae_jax.priors.likelihood import log_prob, prior_loss
from vqvae_jax.priors.sampling import check_sampling, sample
from vqvae_jax.priors.transformer import TransformerPrior

__all__ = [
  "TransformerPrior",
  "check_sampling",
  "log_prob",
  "prior_loss",
  "sample",
]
