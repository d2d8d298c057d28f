"""Optax gradient transformations from the settings of a stage."""

import jax
import optax

from vqvae_jax.config import StageConfig


def learning_rate_schedule(config: StageConfig) -> optax.Schedule:
  """Returns a linear warm-up followed by the schedule of the settings.

  The plateau schedule is constant here; the train step multiplies the updates
  by the scale that `plateau` keeps.
  """
  peak, warmup = config.learning_rate, config.warmup_steps
  if config.schedule == "cosine":
    # A run may be shorter than its warm-up.
    after = optax.cosine_decay_schedule(peak, max(config.steps - warmup, 1))
  elif config.schedule == "exponential":
    after = optax.exponential_decay(peak, config.decay_steps, config.decay_rate)
  else:
    after = optax.constant_schedule(peak)
  if not warmup:
    return after
  # Step n has (n + 1) / warmup of the peak, so that the first is not 0.
  rise = optax.linear_schedule(peak / warmup, peak, max(warmup - 1, 1))
  return optax.join_schedules([rise, after], [warmup])


def optimizer(config: StageConfig) -> optax.GradientTransformation:
  """Returns clipping followed by the optimizer with its schedule."""
  schedule = learning_rate_schedule(config)
  if config.optimizer == "adamw":
    update = optax.adamw(
      schedule,
      b1=config.adam_b1,
      weight_decay=config.weight_decay,
      mask=_decayed,
    )
  elif config.optimizer == "adam":
    update = optax.adam(schedule, b1=config.adam_b1)
  else:
    update = optax.sgd(schedule, momentum=config.momentum)
  if not config.clip_norm:
    return update
  return optax.chain(optax.clip_by_global_norm(config.clip_norm), update)


def plateau(
  config: StageConfig,
) -> optax.GradientTransformationExtraArgs:
  """Returns reduce-on-plateau, which is updated with the validation loss."""
  return optax.contrib.reduce_on_plateau(
    factor=config.plateau_factor, patience=config.plateau_patience
  )


def _decayed(params):
  """Marks the weights that decay: matrices, not biases, scales and codes."""

  def decays(path, leaf):
    names = [getattr(key, "key", "") for key in path]
    return leaf.ndim > 1 and "quantizer" not in names

  return jax.tree_util.tree_map_with_path(decays, params)
