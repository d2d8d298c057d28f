"""What a generated set is like: the gates' figures, the filter, the sheets."""

import time
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from jaxtyping import UInt8

from vqvae_jax.config import StudyConfig
from vqvae_jax.errors import ConfigError
from vqvae_jax.generation import load
from vqvae_jax.study import gates as g
from vqvae_jax.study import generators, records
from vqvae_jax.study.arms import Arm, Images, parts
from vqvae_jax.study.classical import STRENGTHS, classical
from vqvae_jax.study.crossfit import (
  CrossFitted,
  cross_fit,
  cross_fitted_logits,
  folds,
)
from vqvae_jax.study.judges import JUDGES, features
from vqvae_jax.study.parts import batch_rows
from vqvae_jax.study.seed import Seed
from vqvae_jax.training.baseline import build_baseline
from vqvae_jax.training.pictures import grid, pairs, to_uint8
from vqvae_jax.training.prior import build_prior

# Of every judge here, which one trains and in whose features sets compare.
JUDGE = "simple"
COLUMNS = 10
ROWS = 6


def kept(
  config: StudyConfig,
  seed: Seed,
  generator: str,
  count: int | None = None,
) -> Images:
  """The images of a generator that arms learn from: all, or the filtered."""
  images = seed.generated(generator, count or config.num_synthetic)
  if not config.filter:
    return images
  dropped = gates(config, seed, generator, len(images))["dropped_images"]
  return images.take(np.setdiff1d(np.arange(len(images)), dropped))


def gates(
  config: StudyConfig, seed: Seed, generator: str, count: int | None = None
) -> dict[str, Any]:
  """The gates' figures of a generated set, beside held-out real images.

  Judges that filter are cross-fitted: each saw one half of the training images
  and none of the others.
  """
  count = count or config.num_synthetic
  path = seed.folder / "gates" / f"{generator}-{count}.json"

  def make():
    start = time.monotonic()
    images = seed.generated(generator, count)
    seed.say(f"{generator}: comparing {count} images with the real ones")
    figures = _figures(config, seed, generator, images)
    return figures | {"seconds": time.monotonic() - start}

  return records.once(path, make)


def sheets(
  config: StudyConfig, seed: Seed
) -> dict[str, UInt8[np.ndarray, "h w c"]]:
  """Pages of real images, as they are and augmented, and of generated ones,
  these also with their nearest."""
  pages = {
    "real": _by_class(seed.real, seed.num_classes),
    "classical": _by_class(_augmented(config, seed), seed.num_classes),
  }
  for generator in config.generators:
    images = kept(config, seed, generator)
    if not len(images):
      continue
    pages[generator] = _by_class(images, seed.num_classes)
    found = g.nearest(images.images, seed.real.images)
    # The likeliest copies come first.
    rows = np.argsort(found.distance)[: 2 * COLUMNS]
    pages[f"{generator}, above the nearest training images"] = pairs(
      images.images[rows], seed.real.images[found.index[rows]], COLUMNS
    )
  return pages


def _figures(config, seed, generator, images):
  real, held_out = seed.real, seed.held_out
  fitted = _cross_fitted(config, seed)
  logits = cross_fitted_logits(JUDGES[JUDGE], fitted, images.images)
  agreement = g.label_agreement(logits, images.labels)
  nearest = g.nearest(images.images, real.images).distance
  unseen = g.nearest(held_out.images, real.images).distance
  features_of = _features(config, seed)
  some = features_of(images.take(slice(g.COMPARED)).images)
  of_real, of_unseen = map(features_of, (real.images, held_out.images))
  mask, counts = g.keep(logits, images.labels, nearest, unseen)
  ids = {"duplicate_ids": None, "training_ids": None}
  model, _ = generators.split_name(generator)
  if model == "vqvae":
    ids = repeated_ids(seed.folder / model, real.images, images.images)
  distinct = len({image.tobytes() for image in images.images}) / len(images)
  return {
    "generator": generator,
    "seed": seed.number,
    "count": len(images),
    "label_agreement": float(agreement.mean()),
    "distinct": distinct,
    **ids,
    "nearest_pixels": _beside(nearest, unseen),
    "nearest_features": _beside(
      g.nearest(some, of_real).distance, g.nearest(of_unseen, of_real).distance
    ),
    **g.precision_recall_density_coverage(of_real, some),
    "kid": g.kid(some, of_real),
    "frechet_distance_judge_features": g.frechet_distance_judge_features(
      some, of_real
    ),
    "held_out": {
      **g.precision_recall_density_coverage(of_real, of_unseen),
      "kid": g.kid(of_unseen, of_real),
    },
    "dropped": {
      name: counts[name] for name in ("label", "copy", "label_and_copy")
    }
    if config.filter
    else None,
    "fewest_kept": int(
      np.bincount(images.labels[mask], minlength=seed.num_classes).min()
    )
    if config.filter
    else None,
    "dropped_images": np.flatnonzero(~mask).tolist() if config.filter else [],
  }


def _cross_fitted(config: StudyConfig, seed: Seed) -> CrossFitted:
  """Judges of halves of the real images; kept for all generators of a seed."""
  if seed.fitted is None:
    seed.say("training two judges, each on one half of the real images")
    seed.fitted = cross_fit(
      JUDGES[JUDGE],
      seed.real.images,
      seed.real.labels,
      seed.num_classes,
      seed.number,
      augment=seed.choose_strength(config.judges[0])[0],
      steps=config.judge_steps,
      groups=seed.data["train"].groups,
    )
  return seed.fitted


def check(config: StudyConfig, seed: Seed):
  """Raises `ConfigError` for what would fail only after hours of training."""
  spec = seed.data.spec
  for generator in config.generators:
    model, _ = generators.split_name(generator)
    build = build_prior if model == "vqvae" else build_baseline
    # Refuses what its network cannot take.
    build(config.run_config(seed.number, "", model), spec)
  if seed.num_classes < 2:
    raise ConfigError(
      f"{spec.name} has {seed.num_classes} class: there is nothing "
      "for a classifier to learn"
    )
  counts = {
    "training": len(seed.real),
    "validation": len(seed.held_out),
    "generated": config.num_synthetic,
  }
  for name, count in counts.items():
    if count <= g.NEIGHBOURS:
      raise ConfigError(
        f"{count} {name} images: sets are compared by the nearest "
        f"{g.NEIGHBOURS} of each image, so a study needs more than that"
      )
  for share in config.real_shares:
    sources = parts(
      Arm("real+"), seed.real, seed.held_out, "none", share, repeated=0
    )
    for judge in config.judges:
      batch_rows(sources, JUDGES[judge].batch_size)
  groups = seed.data["train"].groups
  folds(seed.real.labels, seed=seed.number, groups=groups)


def _features(config, seed):
  """Of the judge of real, classically augmented images."""
  strength, _ = seed.choose_strength(config.judges[0])
  arm = Arm("classical")
  seed.judge(arm, JUDGE, None, strength, 1.0)
  params = seed.params(arm, JUDGE, strength, 1.0)
  return partial(features, JUDGES[JUDGE], params)


def _beside(distances, held_out):
  return {
    "median": float(np.median(distances)),
    "p1": float(np.percentile(distances, 1)),
    "held_out_median": float(np.median(held_out)),
    "held_out_p1": float(np.percentile(held_out, 1)),
    "share_closer": g.share_closer(distances, held_out),
  }


def _augmented(config, seed):
  """Training images as the classical arms see them, once."""
  strength, _ = seed.choose_strength(config.judges[0])
  some = seed.real.take(_rows_by_class(seed.real.labels, seed.num_classes))
  magnitudes = np.tile(np.float32(STRENGTHS[strength]), (len(some), 1))
  changed = jax.jit(classical)(
    jax.random.key(seed.number), some.images / np.float32(255), magnitudes
  )
  return Images(np.asarray(jnp.round(changed * 255), np.uint8), some.labels)


def repeated_ids(
  workdir: epath.PathLike,
  real: UInt8[np.ndarray, "m h w c"],
  images: UInt8[np.ndarray, "n h w c"],
) -> dict[str, float]:
  """How many images of a VQ-VAE have ids that others have, too.

  An image that was made of a training image's ids is that one's
  reconstruction. Images are encoded again here, which need not give the ids
  they were made of, but gives these two the same.

  Args:
    workdir: of the VQ-VAE.
    real: what it was trained on.
    images: what it made.

  Returns:
    `duplicate_ids`, the share of images with the ids of another one, and
    `training_ids`, with those of a training image's reconstruction.
  """
  model = load(workdir)
  copies = to_uint8(model.decode(model.encode(real)))
  shares = g.duplicate_codes(model.encode(images), model.encode(copies))
  return {
    "duplicate_ids": shares["duplicates"],
    "training_ids": shares["training"],
  }


def _by_class(images, num_classes):
  """One column for each class, the first so many of them."""
  classes = min(num_classes, COLUMNS)
  shape = images.images.shape[1:]
  # White where a class has fewer.
  page = np.full((ROWS, classes, *shape), 255, np.uint8)
  for c in range(classes):
    column = images.images[images.labels == c][:ROWS]
    page[: len(column), c] = column
  used = min(ROWS, np.bincount(images.labels)[:classes].max())
  return grid(page[:used].reshape(-1, *shape), classes)


def _rows_by_class(labels, num_classes):
  """The first rows of every class, for a page."""
  return np.concatenate(
    [np.flatnonzero(labels == c)[:ROWS] for c in range(num_classes)]
  )
