"""The settings of a batch generation job, `sample.py`'s flags."""

import dataclasses
import math
from typing import ClassVar, Literal

from vqvae_jax.config import checks, from_step
from vqvae_jax.errors import ConfigError
from vqvae_jax.files import is_remote

Mode = Literal["prior", "perturb", "mix", "inpaint", "walk", "reconstruct"]
Format = Literal["png", "npz", "tfds"]

_DRAWN = ("prior", "inpaint")
# The modes that a flag is for; in others it would change nothing.
_MODES = {
  "top_k": _DRAWN,
  "top_p": _DRAWN,
  "guidance": _DRAWN,
  "decode_steps": _DRAWN,
  "temperature": (*_DRAWN, "perturb"),
  "share": ("inpaint",),
  "walk_steps": ("walk",),
  "step_size": ("walk",),
  "labels": ("prior", "perturb", "mix", "inpaint", "walk"),
}


@dataclasses.dataclass(frozen=True)
class SampleConfig:
  """Draws new labelled images from a trained run."""

  PREFIX: ClassVar[str] = ""

  # Run folder of train.py; --verify needs none.
  workdir: str | None = None
  # Take this checkpoint instead of the newest, of the last stage: 200, or of
  # the one that is named: tokenizer:200.
  from_step: str | None = None
  # Folder for the images, README.md (what they are, how to load them),
  # manifest.json and grid.png; new or empty, unless --resume or --worker.
  out: str = "out"
  # Where the training images are now, if they have moved, for the modes that
  # start from them; by default as in training.
  dataset: str | None = None
  # Images to write; reconstruct writes at most the validation split.
  num_images: int = 1000
  # png: images/<class>/<number>.png, sorted folders being in the order of the
  # labels; npz: files of images [n, h, w, c] and labels [n]; tfds: a TFDS data
  # set in ArrayRecord, for as_data_source() (as_dataset() needs TFRecord) and
  # train.py's --dataset=tfds-dir:DIR.
  format: Format = "png"
  # Images of a shard: what an interruption may cost, and for npz and tfds what
  # a file holds.
  shard_size: int = 1000
  # What each image shows: balanced (all classes in turn), as-data (as often
  # as in the training images), fill-minority (each time the class with the
  # fewest images so far, training images included), or classes by name,
  # taken in turn: cat,dog. A name with a comma stands in double quotes. Numbers
  # are positions from 0 on, unless a class is called by a number.
  labels: str = "balanced"
  # prior: new images; perturb: training images whose ids are drawn anew among
  # the codes near by; mix: between two training images of a class; inpaint:
  # training images with a rectangle drawn anew by the prior; walk: from
  # training images at random over the latents of a vae or beta_vae;
  # reconstruct: validation images, encoded and decoded. Baselines know prior,
  # walk and reconstruct. sources.jsonl names the images that each was made
  # from.
  mode: Mode = "prior"
  # Seed; image n depends on the checkpoint, the seed, n and these settings.
  seed: int = 0
  # Temperature of the ids' distribution: below 1 safer, above 1 wilder,
  # 0 the likeliest id each time (perturb: the nearest). Of a baseline: the
  # factor of its latents' standard deviation.
  temperature: float = 1.0
  # Draw among the k likeliest ids only; by default all.
  top_k: int | None = None
  # Draw among the fewest ids that hold this probability, in (0, 1].
  top_p: float = 1.0
  # How far to push each image towards its class, from 0 on; doubles the
  # work where it is not 0. By default 0.3 for labelled sets.
  guidance: float | None = None
  # Steps in which a maskgit prior draws the ids of an image, at most as many as
  # ids; by default 12.
  decode_steps: int | None = None
  # Share of the ids that inpaint draws anew, about, in (0, 1].
  share: float = 0.5
  # Steps of each walk; by default 10.
  walk_steps: int | None = None
  # About how far a walk's step moves the image along each latent: Euclidean
  # distance, pixels in [0, 1]; above 0, by default 0.3.
  step_size: float | None = None
  # Images that one device makes at a time.
  batch_size: int = 250
  # Which share of the shards is this process's: 0/4, 1/4, 2/4 or 3/4 for four
  # processes, which may run at any time, each with the same other flags.
  worker: str = "0/1"
  # The processes of one cluster share the shards, instead of --worker: on
  # Cloud TPU pods no more is needed, elsewhere each is told the next three.
  multihost: bool = False
  # Address of process 0, host:port.
  coordinator: str | None = None
  # How many processes there are.
  num_processes: int | None = None
  # Number of this one, from 0 on.
  process_index: int | None = None
  # Check what is there, and make what an interrupted job with the same
  # settings left undone.
  resume: bool = False
  # With --resume: make again what is missing or changed. Files that are no part
  # of the job stay, and are named.
  repair: bool = False
  # Only check --out, file by file, and change nothing.
  verify: bool = False

  def __post_init__(self):
    checks.fields(self)
    if self.workdir is None and not self.verify:
      raise ConfigError("--workdir is missing: the run folder of train.py")
    from_step.parse(self.from_step)
    for name in ("num_images", "batch_size", "shard_size"):
      checks.at_least(self, name, 1)
    if self.format == "tfds" and is_remote(self.out):
      raise ConfigError(
        f"--format tfds writes to local folders only, not to {self.out}; copy "
        "the set there when it is whole"
      )
    self.worker_share()
    checks.processes(self)
    if self.multihost and self.worker != "0/1":
      raise ConfigError(
        f"--worker {self.worker} and --multihost both share the shards; "
        "choose one"
      )
    checks.up_to_one(self, "share")
    checks.at_least(self, "seed", 0)
    checks.in_range(self, "temperature", 0, math.inf)
    for name in ("top_k", "decode_steps"):
      if getattr(self, name) is not None:
        checks.at_least(self, name, 1)
    checks.up_to_one(self, "top_p")
    if self.guidance is not None:
      checks.in_range(self, "guidance", 0, math.inf)
    self._check_modes()
    if self.repair and (self.verify or not self.resume):
      raise ConfigError(
        "--repair is for --resume: it makes again what is missing or changed"
      )
    if not self.labels:
      raise ConfigError("--labels is empty; try balanced")

  def _check_modes(self):
    defaults = {f.name: f.default for f in dataclasses.fields(self)}
    for name, modes in _MODES.items():
      value = getattr(self, name)
      if value != defaults[name] and self.mode not in modes:
        raise ConfigError(
          f"{checks.flag(self, name)} {value} is for --mode="
          f"{', '.join(modes)}, not {self.mode}"
        )
    if self.walk_steps is not None:
      checks.at_least(self, "walk_steps", 1)
    if self.step_size is not None:
      checks.positive(self, "step_size")

  def worker_share(self) -> tuple[int, int]:
    """Index and number of workers.

    Raises:
      ConfigError: if `worker` is not I/N with I below N.
    """
    index, _, workers = self.worker.partition("/")
    if not (index.isdecimal() and workers.isdecimal()):
      raise ConfigError(
        f"--worker {checks.shown(repr(self.worker))} is not of the form 0/4"
      )
    # Python refuses to read integers of thousands of digits.
    if len(self.worker) > 20:
      raise ConfigError(f"--worker {checks.shown(self.worker)} is too large")
    index, workers = int(index), int(workers)
    if index >= workers:
      raise ConfigError(
        f"--worker {self.worker}: workers are numbered from 0 to {workers - 1}"
      )
    return index, workers
