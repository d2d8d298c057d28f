"""Jobs without a model: their images are drawn by NumPy, in milliseconds."""

import contextlib
import types

import numpy as np
import pytest
import tiny

from vqvae_jax.config import Config, SampleConfig
from vqvae_jax.data import DataSpec
from vqvae_jax.data.images import Shape
from vqvae_jax.data.source import ArraySource
from vqvae_jax.data.split import Split
from vqvae_jax.generators.labels import labels_of
from vqvae_jax.generators.plan import Plan
from vqvae_jax.generators.starts import StartImages
from vqvae_jax.jobs import job
from vqvae_jax.sharding import make_mesh


def spec(names, shape=(4, 4, 1)) -> DataSpec:
  classes = max(1, len(names))
  return DataSpec(
    name="folder:/somewhere/of/mine/pets",
    image_shape=shape,
    class_names=tuple(names),
    class_counts=(6,) * classes,
    num_train=6 * classes,
    num_validation=classes,
    variance=0.1,
    augment="none",
    digest="d1",
  )


def images_of(numbers, shape):
  """Each image is another, and a function of its number."""
  return np.stack(
    [
      np.random.default_rng(int(n)).integers(0, 256, shape, np.uint8)
      for n in numbers
    ]
  )


def make_plan(config, model) -> Plan:
  labels = labels_of(config.labels, np.arange(config.num_images), model.spec)
  shape = model.spec.image_shape
  origins = None
  if config.mode != "prior":
    classes = model.spec.num_classes
    source = ArraySource(
      "pets",
      images_of(range(6 * classes), shape),
      np.arange(6 * classes) % classes,
      model.spec.class_names,
    )
    source.files = [f"{n % classes}/\u00fc {n}.png" for n in range(len(source))]
    split = Split(source, np.arange(len(source)), Shape(*shape), None)
    count = 2 if config.mode == "mix" else 1
    outlines = None
    if config.mode == "inpaint":
      outlines = lambda n: np.tile([0.25, 0.5, 0.5, 0.5], (len(n), 1))  # noqa: E731
    origins = StartImages(split, model.spec, config.mode, count).origins(
      config.seed, outlines
    )
  return Plan(
    labels,
    shape,
    lambda numbers, labels: images_of(numbers, shape),
    {"seed": config.seed, "labels_as": config.labels},
    origins,
  )


@contextlib.contextmanager
def patched(names=("cat", "dog"), shape=(4, 4, 1)):
  """Jobs load a model that is not there."""
  model = types.SimpleNamespace(
    spec=spec(names, shape),
    mesh=make_mesh(),
    config=Config(dataset="folder:pets"),
  )
  model.plan = lambda config: make_plan(config, model)
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(job, "load", lambda *_: model)
    yield patch


def settings(out, **changes) -> SampleConfig:
  base = {"num_images": 5, "shard_size": 3, "batch_size": 1}
  return SampleConfig(workdir="r/run", out=str(out), **(base | changes))


def make(out, names=("cat", "dog"), shape=(4, 4, 1), **changes) -> str:
  """Runs a job of a model that is not there; gives what the screen showed."""
  with patched(names, shape):
    return tiny.sample(settings(out, **changes))


def verify(out) -> str:
  return tiny.sample(SampleConfig(out=str(out), verify=True))
