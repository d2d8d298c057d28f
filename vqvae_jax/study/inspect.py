"""What a generated set is like: the gates' figures, the filter, the sheets."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from jaxtyping import Float, UInt8

from vqvae_jax.config import StudyConfig
from vqvae_jax.generation import load
from vqvae_jax.study import gates as g
from vqvae_jax.study import generators, records
from vqvae_jax.study.arms import Arm, Images
from vqvae_jax.study.classical import STRENGTHS, classical
from vqvae_jax.study.crossfit import (
  CrossFitted,
  cross_fit,
  cross_fitted_logits,
)
from vqvae_jax.study.judges import FEATURES, JUDGES, features
from vqvae_jax.study.seed import Seed
from vqvae_jax.training.pictures import grid, pairs, to_uint8

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
  images = seed.generated(generator, count)
  strength, _ = seed.choose_strength(config.judges[0])
  judged = seed.judge(Arm("classical"), FEATURES, None, strength, 1.0)
  made_from = {
    "generator": generator,
    "seed": seed.number,
    "settings": [config.filter, config.judge_steps],
    "augmentation": STRENGTHS[strength],
    "weights of the judge": judged["weights"],
    "training images": seed.real.digest,
    "validation images": seed.held_out.digest,
    "generated images": images.digest,
  }

  def make():
    start = time.monotonic()
    said = f"{generator}: comparing {count} images with the real ones"
    seed.say(said)
    with seed.busy(said):
      figures = _figures(config, seed, generator, images)
    return figures | {"seconds": time.monotonic() - start}

  figures = records.once(path, make, made_from)
  seed.schedule.done(
    f"comparing {generator}", (seed.number, generator), figures["seconds"]
  )
  return figures


def note_halves(seed: Seed):
  """Counts the judges of halves, which are trained where figures lack."""
  for half in (0, 1):
    seed.schedule.done(FEATURES, (seed.number, "half", half))


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
    found = _nearest(seed, images)
    # The likeliest copies come first.
    rows = np.argsort(found.distance)[: 2 * COLUMNS]
    pages[f"{generator}, above the nearest training images"] = pairs(
      images.images[rows], seed.real.images[found.index[rows]], COLUMNS
    )
  return pages


class _RealImages(NamedTuple):
  """What generated sets are compared with, the same for all of a seed.

  Attributes:
    features_of: gives the features of images.
    features: of the training images.
    unseen: distance of each validation image to the nearest training image.
    unseen_features: the same in the features.
    held_out: figures of the validation images as if they were generated.
  """

  features_of: Callable[[np.ndarray], np.ndarray]
  features: Float[np.ndarray, "n d"]
  unseen: Float[np.ndarray, " m"]
  unseen_features: Float[np.ndarray, " m"]
  held_out: dict[str, float]


def _real_images(config, seed) -> _RealImages:
  strength, _ = seed.choose_strength(config.judges[0])
  params = seed.params(Arm("classical"), FEATURES, strength, 1.0)
  features_of = partial(features, JUDGES[FEATURES], params)
  of_real, of_unseen = map(
    features_of, (seed.real.images, seed.held_out.images)
  )
  return _RealImages(
    features_of,
    of_real,
    g.nearest(seed.held_out.images, seed.real.images).distance,
    g.nearest(of_unseen, of_real).distance,
    {
      **g.precision_recall_density_coverage(of_real, of_unseen),
      "kid": g.kid(of_unseen, of_real),
    },
  )


def _nearest(seed, images):
  return seed.memo(
    ("nearest", images.digest),
    lambda: g.nearest(images.images, seed.real.images),
  )


def _figures(config, seed, generator, images):
  real = seed.memo("real images", lambda: _real_images(config, seed))
  fitted = seed.memo("judges of halves", lambda: _cross_fit(config, seed))
  logits = cross_fitted_logits(JUDGES[FEATURES], fitted, images.images)
  agreement = g.label_agreement(logits, images.labels)
  nearest = _nearest(seed, images).distance
  some = real.features_of(images.take(slice(g.COMPARED)).images)
  mask, counts = g.keep(logits, images.labels, nearest, real.unseen)
  ids = {"duplicate_ids": None, "training_ids": None}
  model, _ = generators.split_name(generator)
  if model == "vqvae":
    ids = repeated_ids(seed.folder / model, seed.real.images, images.images)
  distinct = len({image.tobytes() for image in images.images}) / len(images)
  return {
    "generator": generator,
    "seed": seed.number,
    "count": len(images),
    "label_agreement": float(agreement.mean()),
    "distinct": distinct,
    **ids,
    "nearest_pixels": _beside(nearest, real.unseen),
    "nearest_features": _beside(
      g.nearest(some, real.features).distance, real.unseen_features
    ),
    **g.precision_recall_density_coverage(real.features, some),
    "kid": g.kid(some, real.features),
    "frechet_distance_judge_features": g.frechet_distance_judge_features(
      some, real.features
    ),
    "held_out": real.held_out,
    **_dropped(config, seed, images, mask, counts),
  }


def _dropped(config, seed, images, mask, counts):
  """What the filter takes away; nothing without one."""
  if not config.filter:
    return {"dropped": None, "fewest_kept": None, "dropped_images": []}
  kept_labels = np.bincount(images.labels[mask], minlength=seed.num_classes)
  return {
    "dropped": {
      name: counts[name] for name in ("label", "copy", "label_and_copy")
    },
    "fewest_kept": int(kept_labels.min()),
    "dropped_images": np.flatnonzero(~mask).tolist(),
  }


def _cross_fit(config: StudyConfig, seed: Seed) -> CrossFitted:
  """Judges of halves of the real images."""
  start = time.monotonic()
  said = "two judges, each of one half of the real images"
  seed.say(f"training {said}")

  def tell(half, step, loss):
    seed.progress(f"judge {half + 1} of {said}")(step, loss)

  with seed.busy(f"{said}: compiling"):
    fitted = cross_fit(
      JUDGES[FEATURES],
      seed.real.images,
      seed.real.labels,
      seed.num_classes,
      seed.number,
      augment=seed.choose_strength(config.judges[0])[0],
      steps=config.judge_steps,
      on_progress=tell,
      groups=seed.data["train"].groups,
    )
  note_halves(seed)
  seed.say(f"trained, {time.monotonic() - start:.0f} s", left=True)
  return fitted


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
