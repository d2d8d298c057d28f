"""The settings that several commands share: the images and the cluster."""

import dataclasses
import re
from typing import ClassVar, Literal

from vqvae_jax import rendezvous
from vqvae_jax.config import checks, generators
from vqvae_jax.config.fields import Settings, Values, Wanted, setting
from vqvae_jax.errors import ConfigError

Augment = Literal["auto", "none", "affine", "weak", "flip"]

_FOLDER = Values("naming folder:DIR", lambda name: name.startswith("folder:"))
_TFDS = Values(
  "naming a TFDS set",
  lambda name: (
    name.partition(":")[0] not in ("mnist5k", "folder", "npz", "tfds-dir")
  ),
)


def of_stage(stage: str) -> dict[str, Wanted]:
  """Returns the condition of settings that only models with a stage have."""
  return {"model": lambda: generators.with_stage(stage)}


_CLUSTER = {"of_command": True, "only": {"multihost": (True,)}}


@dataclasses.dataclass(frozen=True)
class DataSettings(Settings):
  """The images that a run or a study learns from."""

  HEADING: ClassVar[str] = "data"

  # The images to learn from: mnist5k (5,000 real digits that need no download),
  # the name of a TFDS set (mnist, fashion_mnist, cifar10, ...), folder:DIR (a
  # folder for each class with PNG, JPEG or WebP files, or one flat folder
  # without labels), npz:FILE (images and labels, or the arrays of MedMNIST) or
  # tfds-dir:DIR (a prepared TFDS set, such as sample.py --format=tfds writes).
  dataset: str = setting("mnist5k", filled=True)
  # The folder in which TFDS sets are prepared. By default TFDS chooses it.
  data_dir: str | None = setting(None, unit="dir", only={"dataset": _TFDS})
  # The size of an image in pixels: the shorter side is resized to this, then
  # the centre is cropped. By default images keep their size.
  image_size: int | None = setting(None, "[1, 8192]", unit="pixels")
  # The colours: 1 (grey) or 3 (RGB). By default they are those of the data.
  channels: Literal[1, 3] | None = None
  # The values LOW HIGH that become black and white; values outside are clipped.
  # By default they are 0 255 for images of 8 bits; for images of 16 bits they
  # are all values of as many bits as the largest training value has.
  intensity_range: tuple[int, int] | None = setting(None, "[0, 65535]")
  # How training images are varied on the device: affine (rotated, scaled,
  # sheared, shifted), weak (small shifts and changes of brightness), flip
  # (weak, and mirrored) or none. auto is affine for digits and weak for all
  # other images.
  augment: Augment = "auto"
  # A regular expression on the paths of files. Files with the same first group,
  # or the same whole match, stay on one side of every split: those of one
  # patient, for example.
  group_regex: str | None = setting(None, only={"dataset": _FOLDER})
  # The labels of the files: a CSV file with the columns file and label (or
  # usual names of such columns), or FILE:COLUMN,COLUMN to name the columns. By
  # default the folders of the files are their labels.
  labels_csv: str | None = setting(
    None, filled=True, unit="file", only={"dataset": _FOLDER}
  )

  def check_together(self):
    super().check_together()
    if self.intensity_range is not None:
      low, high = self.intensity_range
      if low >= high:
        raise ConfigError(
          f"--intensity-range {low} {high}: the first value must be below the "
          "second"
        )
    if self.group_regex is not None:
      try:
        re.compile(self.group_regex)
      except (re.error, OverflowError, RecursionError) as error:
        raise ConfigError(
          f"--group-regex {checks.shown(repr(self.group_regex))} is not a "
          f"regular expression: {error}"
        ) from None


@dataclasses.dataclass(frozen=True)
class ClusterSettings(Settings):
  """The processes that compute together."""

  HEADING: ClassVar[str] = "cluster"

  # Computes together with other processes. On Cloud TPU pods this flag is
  # enough; elsewhere each process also needs the next three.
  multihost: bool = setting(False, of_command=True)
  # The address HOST:PORT of process 0.
  coordinator: str | None = setting(None, unit="host:port", **_CLUSTER)
  # The number of processes.
  num_processes: int | None = setting(None, "[1, 1000000]", **_CLUSTER)
  # The number of this process, from 0 on.
  process_index: int | None = setting(None, "[0, inf)", **_CLUSTER)

  def check_together(self):
    super().check_together()
    given = {
      checks.flag(self, name): getattr(self, name)
      for name in ("coordinator", "num_processes", "process_index")
      if getattr(self, name) is not None
    }
    if not given:
      return
    if not self.multihost:
      name, value = next(iter(given.items()))
      raise ConfigError(f"{name} {value} is for --multihost")
    if len(given) < 3:
      verb = "was" if len(given) == 1 else "were"
      raise ConfigError(
        "--coordinator, --num-processes and --process-index come together; "
        f"only {' and '.join(given)} {verb} given"
      )
    rendezvous.split(self.coordinator)
    if self.process_index >= self.num_processes:
      raise ConfigError(
        f"--process-index {self.process_index} is not below "
        f"--num-processes {self.num_processes}"
      )
