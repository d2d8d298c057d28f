"""The settings of the study, the flags of `python -m vqvae_jax.study`."""

import dataclasses
from operator import attrgetter
from typing import ClassVar, Literal

from vqvae_jax.config import checks
from vqvae_jax.config.baseline import BaselineConfig
from vqvae_jax.config.fields import group, setting
from vqvae_jax.config.prior import PriorConfig
from vqvae_jax.config.shared import DataSettings, of_stage
from vqvae_jax.config.tokenizer import TokenizerConfig
from vqvae_jax.config.training import Config
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
class StudyConfig(DataSettings):
  """Do generated images help a classifier? Compares ways to grow a small set.

  Of the real images a fifth validates: settings are chosen there. Test images
  are read once, at the end, when all choices are made.
  """

  HEADING: ClassVar[str] = "study"
  DECIDERS: ClassVar[dict[str, str]] = {"model": "generators"}

  # The number of real images, a class-balanced choice by seed. They include the
  # validation images: of 1000 images, 800 are for training and 200 for
  # validation. 0 takes all.
  num_real: int = setting(1000, "[0, 1000000000]")
  # The number of images that each generator makes.
  num_synthetic: int = setting(10_000, "[1, 100000000]")
  # How often the whole comparison is made, each time with another choice of
  # real images, other generators and other classifiers.
  seeds: int = setting(3, "[1, 1000]")
  # The folder of the study. The same command continues where it stopped.
  out: str = setting("study", filled=True, unit="dir")
  # What makes images: vqvae draws from its prior or varies training images
  # (vqvae-perturb, vqvae-mix, vqvae-inpaint); ae, vae and beta_vae are
  # autoencoders (vae-walk starts from training images); dcgan is a GAN.
  generators: tuple[Generator, ...] = setting(
    ("vqvae", "vae", "dcgan"), filled=True, distinct=True
  )
  # The generator of the question that is named beforehand: does it improve on
  # classical augmentation, for the first classifier? All other comparisons are
  # corrected for their number. By default it is the first of --generators.
  primary: Generator | None = None
  # The classifiers: simple (a small CNN) and tuned (a stronger one).
  classifiers: tuple[ClassifierName, ...] = setting(
    ("simple", "tuned"), filled=True, distinct=True
  )
  # How many generated images there are for each real one, as a list such as 1 2
  # 5 10 20 50, for the generator that is best on validation images. By default
  # only --num-synthetic is compared.
  sweep: tuple[int, ...] = setting((), "[1, 1000000]", distinct=True)
  # The share of real images in each batch where generated ones are added. The
  # best of several is chosen on validation images.
  real_shares: tuple[float, ...] = setting(
    (0.75,), "(0, 1)", filled=True, distinct=True
  )
  # The number of optimizer steps of a classifier, the same for every arm.
  classifier_steps: int = setting(1500, "[1, inf)")
  # Leaves out generated images that classifiers of real images take for no
  # class or another class, and copies of training images.
  filter: bool = False
  # Reads the test images at the end. No choice can be made after that.
  test: bool = True
  # Makes everything shorter: one classifier, fewer seeds, steps and images.
  quick: bool = False
  tokenizer: TokenizerConfig = group(TokenizerConfig, of_stage("tokenizer"))
  prior: PriorConfig = group(PriorConfig, of_stage("prior"))
  baseline: BaselineConfig = group(BaselineConfig, of_stage("baseline"))

  def check_together(self):
    super().check_together()
    if self.primary is not None and self.primary not in self.generators:
      raise ConfigError(
        f"--primary {self.primary} is not one of --generators "
        f"{' '.join(self.generators)}"
      )
    # What the runs of train.py would refuse, before the first of them.
    for model in self.model:
      self.run_config(0, "", model)

  @property
  def model(self) -> tuple[str, ...]:
    """The models of the generators, each once."""
    names = (name.partition("-")[0] for name in self.generators)
    return tuple(dict.fromkeys(names))

  def limit(self, path: str) -> str | None:
    """Returns to what --quick shortens a setting, or None."""
    found = attrgetter(path)(self.resolved())
    if found == attrgetter(path)(self) or path == "primary":
      return None
    return f"with --quick, which takes {checks.shown(found)}"

  def resolved(self) -> "StudyConfig":
    """Returns the settings with the primary generator and `--quick` applied."""
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
    """Returns the settings of the run that trains one generator."""
    baseline = self.baseline
    if model != "beta_vae":
      baseline = dataclasses.replace(baseline, beta=None)
    data = {
      field.name: getattr(self, field.name)
      for field in dataclasses.fields(DataSettings)
    }
    return Config(
      **data,
      num_train_images=self.num_real or None,
      seed=seed,
      workdir=workdir,
      model=model,
      tokenizer=self.tokenizer,
      prior=self.prior,
      baseline=baseline,
    )
