"""The settings of the study, `python -m vqvae_jax.study`'s flags."""

import dataclasses
from typing import ClassVar, Literal

from vqvae_jax.config import checks
from vqvae_jax.config.baseline import BaselineConfig
from vqvae_jax.config.prior import PriorConfig
from vqvae_jax.config.tokenizer import TokenizerConfig
from vqvae_jax.config.training import Augment, Config
from vqvae_jax.errors import ConfigError

Generator = Literal[
  "vqvae",
  "vqvae-perturb",
  "vqvae-mix",
  "vqvae-inpaint",
  "ae",
  "vae",
  "vae-walk",
  "beta_vae",
  "dcgan",
]
ClassifierName = Literal["simple", "tuned"]

# The largest values with --quick: optimizer steps of each stage and of a
# classifier, seeds, generated images.
QUICK_STEPS = {"tokenizer": 300, "prior": 300, "baseline": 250}
QUICK = {"classifier_steps": 300, "seeds": 2, "num_synthetic": 4000}


@dataclasses.dataclass(frozen=True)
class StudyConfig:
  """Do generated images help a classifier? Compares ways to grow a small set.

  Of the real images a fifth validates: settings are chosen there. Test images
  are read once, at the end, when all choices are made.
  """

  PREFIX: ClassVar[str] = ""

  # Images to learn; see train.py --help.
  dataset: str = "mnist5k"
  # Where TFDS sets are prepared; by default TFDS's own choice.
  data_dir: str | None = None
  # Pixels: the shorter side is resized to this, then the centre is cropped.
  image_size: int | None = None
  # 1 (grey) or 3 (RGB); by default as in the data.
  channels: Literal[1, 3] | None = None
  # The values LOW HIGH that become black and white; see train.py --help.
  intensity_range: tuple[int, int] | None = None
  # Regular expression on file paths of folder:DIR; files with the same first
  # group stay on one side of every split: a patient, say.
  group_regex: str | None = None
  # Labels of the files of folder:DIR, a CSV file; see train.py --help.
  labels_csv: str | None = None
  # Real images, validation included (1000: 800 and 200), a class-balanced
  # choice by seed; 0 takes all.
  num_real: int = 1000
  # Generated images of each generator.
  num_synthetic: int = 10_000
  # How often the whole comparison is made, each time with another choice of
  # real images, other generators and other classifiers.
  seeds: int = 3
  # Folder of the study; the same command goes on where it stopped.
  out: str = "study"
  # What makes images: vqvae by its prior or by varying training images
  # (vqvae-perturb, vqvae-mix, vqvae-inpaint), autoencoders (ae, vae, beta_vae;
  # vae-walk: from training images), dcgan.
  generators: tuple[Generator, ...] = ("vqvae", "vae", "dcgan")
  # The generator whose gain over classical augmentation, for the first
  # classifier, is the question named beforehand; other comparisons are
  # corrected for their number. By default the first of --generators.
  primary: Generator | None = None
  # Classifiers: simple (a small CNN), tuned (a stronger one).
  classifiers: tuple[ClassifierName, ...] = ("simple", "tuned")
  # Generated images over real ones, for the generator that is best on
  # validation images: 1 2 5 10 20 50, say. By default --num-synthetic alone.
  sweep: tuple[int, ...] = ()
  # Share of real images in each batch where generated ones are added, in
  # (0, 1); which of several is best is found on validation images.
  real_shares: tuple[float, ...] = (0.75,)
  # Optimizer steps of a classifier, the same for every arm.
  classifier_steps: int = 1500
  # Leave out generated images that classifiers of real images take for no class
  # or another class, and copies of training images.
  filter: bool = False
  # Read the test images at the end; no choice can be made after that.
  test: bool = True
  # Augmentation that the generators are trained with; see train.py --help.
  augment: Augment = "auto"
  # Everything shorter, with one classifier, at most 2 seeds and 4,000 generated
  # images.
  quick: bool = False
  # The VQ-VAE.
  tokenizer: TokenizerConfig = dataclasses.field(
    default_factory=TokenizerConfig
  )
  # The model of its ids.
  prior: PriorConfig = dataclasses.field(default_factory=PriorConfig)
  # The other generators.
  baseline: BaselineConfig = dataclasses.field(default_factory=BaselineConfig)

  def __post_init__(self):
    checks.fields(self)
    checks.at_least(self, "num_real", 0)
    for name in ("num_synthetic", "seeds", "classifier_steps"):
      checks.at_least(self, name, 1)
    for name in ("generators", "classifiers", "real_shares", "sweep"):
      values = getattr(self, name)
      needed = name != "sweep"
      if (needed and not values) or len(set(values)) < len(values):
        given = " ".join(map(str, values)) or "(none)"
        raise ConfigError(
          f"{checks.flag(self, name)} {given}: one or more, each once"
        )
    for share in self.real_shares:
      if not 0 < share < 1:
        raise ConfigError(f"--real-shares {share} is not in (0, 1)")
    if self.primary is not None and self.primary not in self.generators:
      raise ConfigError(
        f"--primary {self.primary} is not one of --generators "
        f"{' '.join(self.generators)}"
      )
    if any(multiplier < 1 for multiplier in self.sweep):
      raise ConfigError(f"--sweep {min(self.sweep)} is below 1")
    if not self.out:
      raise ConfigError("--out is empty; try study")
    # What the runs of train.py would refuse, before the first of them.
    for generator in self.generators:
      self.run_config(0, "", generator.partition("-")[0])

  def resolved(self) -> "StudyConfig":
    """With the primary generator, and what `--quick` shortens."""
    primary = self.primary or self.generators[0]
    if not self.quick:
      return dataclasses.replace(self, primary=primary)
    stages = {
      name: dataclasses.replace(
        getattr(self, name), steps=min(getattr(self, name).steps, steps)
      )
      for name, steps in QUICK_STEPS.items()
    }
    limits = {name: min(getattr(self, name), n) for name, n in QUICK.items()}
    return dataclasses.replace(
      self,
      primary=primary,
      classifiers=self.classifiers[:1],
      **stages,
      **limits,
    )

  def run_config(self, seed: int, workdir: str, model: str = "vqvae") -> Config:
    """The settings of the run of train.py that trains one generator."""
    baseline = self.baseline
    if model != "beta_vae":
      baseline = dataclasses.replace(baseline, beta=None)
    return Config(
      dataset=self.dataset,
      data_dir=self.data_dir,
      image_size=self.image_size,
      channels=self.channels,
      intensity_range=self.intensity_range,
      group_regex=self.group_regex,
      labels_csv=self.labels_csv,
      num_train_images=self.num_real or None,
      augment=self.augment,
      seed=seed,
      workdir=workdir,
      model=model,
      tokenizer=self.tokenizer,
      prior=self.prior,
      baseline=baseline,
    )
