"""The settings of a training run, the flags of `train.py`."""

import dataclasses
import pathlib
from typing import Any, ClassVar, Literal

from vqvae_jax.config import from_step, generators
from vqvae_jax.config.baseline import BaselineConfig
from vqvae_jax.config.fields import group, setting
from vqvae_jax.config.paths import build, flatten, paths_of
from vqvae_jax.config.prior import PriorConfig
from vqvae_jax.config.shared import ClusterSettings, DataSettings, of_stage
from vqvae_jax.config.tokenizer import TokenizerConfig
from vqvae_jax.errors import ConfigError

Dtype = Literal["float32", "bfloat16"]
Stage = Literal["all", "tokenizer", "prior"]


@dataclasses.dataclass(frozen=True)
class Config(ClusterSettings, DataSettings):
  """A whole run: the images, and the stages of a model."""

  HEADING: ClassVar[str] = "run"

  # Uses only this many training images, a class-balanced choice by seed. They
  # include the validation images: of 1000 images, 800 are for training and 200
  # for validation. By default all images are used.
  num_train_images: int | None = setting(None, "[1, 1000000000]", unit="images")
  # The run folder, which receives settings, checkpoints, metrics and pictures.
  # By default it is runs/ and the name of the data set, followed by the model
  # if that is not vqvae.
  workdir: str | None = setting(None, unit="dir", of_command=True)
  # Continues the run in this folder with its settings, which other flags
  # change. It replaces --workdir.
  resume: str | None = setting(None, unit="dir", of_command=True)
  # Continues from this checkpoint instead of the newest one. 200 is step 200 of
  # the last stage, and tokenizer:200 names the stage. Newer checkpoints are set
  # aside.
  from_step: str | None = setting(None, unit="step", of_command=True)
  # The model that learns: vqvae (in two stages: tokenizer, then prior), or one
  # of those with a single stage, which are ae (autoencoder), vae, beta_vae and
  # dcgan.
  model: generators.GeneratorName = "vqvae"
  # The stages to train: all, or only the tokenizer or the prior of a vqvae.
  stage: Stage = setting("all", only=of_stage("tokenizer"))
  # Prints how much time, memory and disk the run will take, and stops.
  plan: bool = setting(False, of_command=True)
  # The seed of splits, initial weights, the order of images and dropout.
  seed: int = setting(0, "[0, 2147483647]")
  # The number of images in a global batch.
  batch_size: int = setting(64, "[1, 1048576]")
  # The precision of the networks: float32, or bfloat16 for TPUs and recent
  # GPUs. Weights, losses and the codebook stay in float32.
  dtype: Dtype = "float32"
  tokenizer: TokenizerConfig = group(TokenizerConfig, of_stage("tokenizer"))
  prior: PriorConfig = group(PriorConfig, of_stage("prior"))
  baseline: BaselineConfig = group(BaselineConfig, of_stage("baseline"))

  def check_together(self):
    super().check_together()
    from_step.parse(self.from_step)
    if self.resume is not None and self.workdir not in (None, self.resume):
      raise ConfigError(
        f"--resume {self.resume} and --workdir {self.workdir} both name the "
        "run folder; give one of them"
      )
    stages = generators.stages_of(self.model)
    if self.stage not in ("all", *stages):
      raise ConfigError(
        f"--stage {self.stage} is for --model=vqvae; {self.model} has one "
        "stage only"
      )
    if "baseline" in stages:
      self.baseline.resolve(self.model)
    for stage in (self.tokenizer, self.prior, self.baseline):
      stage.check_micro_batches(stage.batch_size or self.batch_size)

  def resolve_workdir(self) -> str:
    """Returns the run folder: `--workdir`, or runs/ and the name of the set.

    The name of a model other than vqvae follows, so that runs of several models
    on one data set have folders of their own.
    """
    if self.workdir or self.resume:
      return self.workdir or self.resume
    kind, _, path = self.dataset.partition(":")
    if kind in ("folder", "npz", "tfds-dir"):
      # Made absolute first, because "." and ".." have no name of their own.
      name = pathlib.Path(path).resolve().name.removesuffix(".npz")
    else:
      name = kind.replace("/", "_")
    model = "" if self.model == "vqvae" else f"_{self.model}"
    return f"runs/{name or kind}{model}"


def from_dict(values: dict[str, Any]) -> Config:
  """Returns the settings that `dataclasses.asdict` made into a dictionary.

  Fields that are missing take their defaults.

  Args:
    values: fields and their values, as JSON holds them.

  Raises:
    ConfigError: if a field is unknown or holds a value that it must not.
  """
  paths = flatten(Config, values)
  if unknown := sorted(set(paths) - set(paths_of(Config))):
    raise ConfigError(f"unknown field {unknown[0]}")
  return build(Config, paths)
