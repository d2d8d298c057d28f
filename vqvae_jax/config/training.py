"""The settings of a training run, `train.py`'s flags."""

import dataclasses
import pathlib
import re
from typing import Any, ClassVar, Literal

from vqvae_jax.config import checks, from_step, generators
from vqvae_jax.config.baseline import BaselineConfig
from vqvae_jax.config.prior import PriorConfig
from vqvae_jax.config.tokenizer import TokenizerConfig
from vqvae_jax.errors import ConfigError

Augment = Literal["auto", "none", "affine", "weak", "flip"]
Dtype = Literal["float32", "bfloat16"]
Stage = Literal["all", "tokenizer", "prior"]


@dataclasses.dataclass(frozen=True)
class Config:
  """A whole run: data, and the tokenizer and prior or a baseline."""

  PREFIX: ClassVar[str] = ""

  # Images to learn: mnist5k (5,000 real digits, no download), a TFDS name
  # (mnist, fashion_mnist, cifar10, ...), folder:DIR (class folders of PNG,
  # JPEG or WebP, or one flat folder without labels), or npz:FILE (images and
  # labels, or MedMNIST's arrays), or tfds-dir:DIR (a prepared TFDS set, such as
  # sample.py --format=tfds writes).
  dataset: str = "mnist5k"
  # Where TFDS sets are prepared; by default TFDS's own choice.
  data_dir: str | None = None
  # Run folder: configuration, checkpoints, metrics, pictures. By default
  # runs/ and the name of the data set, with that of a baseline.
  workdir: str | None = None
  # Go on with the run in this folder, by its settings; other flags change
  # them. It takes the place of --workdir.
  resume: str | None = None
  # Go on from this checkpoint instead of the newest, of the last stage: 200,
  # or of the one that is named: tokenizer:200. Newer ones are set aside.
  from_step: str | None = None
  # What learns: vqvae (tokenizer and prior), or a baseline, in one stage: ae
  # (autoencoder), vae, beta_vae, dcgan.
  model: generators.GeneratorName = "vqvae"
  # What to train: all (of a vqvae: tokenizer, then prior), or one of the two.
  stage: Stage = "all"
  # Only say what the run will take (time, memory, disk), and stop.
  plan: bool = False
  # Seed of splits, initial weights, order of images, dropout.
  seed: int = 0
  # Images in one global batch.
  batch_size: int = 64
  # Precision of the networks: float32, or bfloat16 for TPUs and recent GPUs
  # (weights, losses and the codebook stay in float32).
  dtype: Dtype = "float32"
  # Learn from this many training images only, a class-balanced choice by
  # seed, validation included (1000: 800 and 200). By default all.
  num_train_images: int | None = None
  # Pixels: the shorter side is resized to this, then the centre is cropped.
  # By default images keep their size.
  image_size: int | None = None
  # 1 (grey) or 3 (RGB); by default as in the data.
  channels: Literal[1, 3] | None = None
  # The values LOW HIGH that become black and white; others are clipped. By
  # default found from the training images where they have 16 bits (all values
  # of as many bits as the largest has), 0 255 where they have 8.
  intensity_range: tuple[int, int] | None = None
  # Classical augmentation on the device: affine (rotate, scale, shear,
  # shift), weak (small shifts and brightness), flip (weak and mirrored),
  # none; auto is affine for digits and weak elsewhere.
  augment: Augment = "auto"
  # Regular expression on file paths of folder:DIR; files with the same first
  # group (or whole match) stay on one side of every split: a patient, say.
  group_regex: str | None = None
  # Labels of the files of folder:DIR: a CSV file with the columns file and
  # label (or as such columns are usually called), or FILE:COLUMN,COLUMN to name
  # them. By default the folders of the files are their labels.
  labels_csv: str | None = None
  # Compute together with other processes: on Cloud TPU pods no more is needed,
  # elsewhere each process is told the next three.
  multihost: bool = False
  # Address of process 0, host:port.
  coordinator: str | None = None
  # How many processes there are.
  num_processes: int | None = None
  # Number of this one, from 0 on.
  process_index: int | None = None
  # The VQ-VAE.
  tokenizer: TokenizerConfig = dataclasses.field(
    default_factory=TokenizerConfig
  )
  # The model of its ids.
  prior: PriorConfig = dataclasses.field(default_factory=PriorConfig)
  # The generator instead of both, where --model names one.
  baseline: BaselineConfig = dataclasses.field(default_factory=BaselineConfig)

  def __post_init__(self):
    checks.fields(self)
    if not self.dataset:
      raise ConfigError("--dataset is empty; try mnist5k")
    checks.at_least(self, "batch_size", 1)
    from_step.parse(self.from_step)
    checks.at_least(self, "seed", 0)
    for name in ("num_train_images", "image_size"):
      if getattr(self, name) is not None:
        checks.at_least(self, name, 1)
    checks.intensity_range(self)
    if self.group_regex is not None:
      try:
        re.compile(self.group_regex)
      except (re.error, OverflowError, RecursionError) as error:
        raise ConfigError(
          f"--group-regex {checks.shown(repr(self.group_regex))} is not a "
          f"regular expression: {error}"
        ) from None
    if self.labels_csv == "":
      raise ConfigError("--labels-csv is empty; write --labels-csv=FILE")
    if self.resume is not None and self.workdir not in (None, self.resume):
      raise ConfigError(
        f"--resume {self.resume} and --workdir {self.workdir} both name the "
        "run folder; give one of them"
      )
    checks.processes(self)
    stages = generators.stages_of(self.model)
    if self.stage not in ("all", *stages):
      raise ConfigError(
        f"--stage {self.stage} is for --model=vqvae; {self.model} has one "
        "stage only"
      )
    if "baseline" in stages:
      self.baseline.resolve(self.model)
    for stage in (self.tokenizer, self.prior, self.baseline):
      checks.divisible(
        stage, stage.batch_size or self.batch_size, stage.accumulate
      )

  def resolve_workdir(self) -> str:
    """The run folder: `--workdir`, or runs/ and the data set's own name.

    A baseline's name comes after that, so that runs of several models on one
    data set do not meet.
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
  """Inverse of `dataclasses.asdict`.

  Missing fields take their defaults.

  Args:
    values: fields and their values, as JSON holds them.

  Raises:
    ConfigError: if a field is unknown or holds what it must not.
  """
  values = dict(values)
  for name, kind in (
    ("tokenizer", TokenizerConfig),
    ("prior", PriorConfig),
    ("baseline", BaselineConfig),
  ):
    if name in values:
      values[name] = _build(kind, values[name], f"{name}.")
  return _build(Config, values, "")


def _build(kind, values, prefix):
  if not isinstance(values, dict):
    raise ConfigError(f"{prefix.rstrip('.')} is not a group of settings")
  known = {field.name for field in dataclasses.fields(kind)}
  unknown = sorted(set(values) - known)
  if unknown:
    raise ConfigError(f"unknown field {prefix}{unknown[0]}")
  # JSON has lists instead of tuples.
  values = {k: tuple(v) if type(v) is list else v for k, v in values.items()}
  return kind(**values)
